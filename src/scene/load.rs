//! Loading of image files into [`Image8`]: headers, decoding with helpful error messages, and many views in parallel.

use super::view::{DepthMap, ImageFile, Mask};
use super::{Image8, View};
use crate::geometry::{Camera, Intrinsics};
use crate::names::{self, IMAGE_EXTENSIONS};
use crate::{Error, Result, npy};
use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat, ImageReader};
use rayon::prelude::*;
use std::fs::File;
use std::io::{Cursor, ErrorKind, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reductions for which a folder is looked for next to a folder of images: `images_2` and so on.
const REDUCTIONS: [u32; 3] = [2, 4, 8];

impl View {
    /// Decodes the image, reduced by `downscale` in width and height. It is read from a file that is already reduced by
    /// this factor, or else reduced by area averaging from the smallest file that leaves an integer factor.
    /// [`View::camera_at`] with the same number is the camera of the result.
    ///
    /// # Errors
    /// Returns an error if the file is missing, truncated, of an unsupported format, smaller than `downscale`, or not
    /// of the size it had when the scene was opened, or if the scene has the photograph only at smaller sizes.
    pub fn load(&self, downscale: u32) -> Result<Image8> {
        load_view(self, downscale)
    }

    /// Returns for each pixel of the image that [`View::load`] returns whether it counts, row by row, if the view has a
    /// mask or counts only within a circle. A reduced pixel counts if all pixels that it covers count.
    ///
    /// # Errors
    /// Returns an error if the mask cannot be read or has another aspect ratio.
    pub fn load_mask(&self, downscale: u32) -> Result<Option<Vec<bool>>> {
        let mask = self.mask.as_ref().map(|mask| load_mask(self, mask, downscale)).transpose()?;
        let Some(radius) = self.crop_radius else { return Ok(mask) };
        let mut counts = in_circle(self, radius, downscale);
        mask.iter().for_each(|mask| counts.iter_mut().zip(mask).for_each(|(counts, &mask)| *counts &= mask));
        Ok(Some(counts))
    }

    /// Returns the depth map for the pixels of the image that [`View::load`] returns, `[h, w]`, in scene units along
    /// the optical axis (of a panorama, along the ray), 0 where the depth is unknown, if the view has one. Depths are
    /// sampled, not averaged.
    ///
    /// # Errors
    /// Returns an error if the map cannot be read or has another aspect ratio.
    pub fn load_depth(&self, downscale: u32) -> Result<Option<Vec<f32>>> {
        self.depth.as_ref().map(|depth| load_depth(self, depth, downscale)).transpose()
    }
}

/// Returns the photograph at `full`, if it exists, and its reduced copies in sibling folders: for `images/a.jpg`, those
/// in `images_2/a.jpg`, `images_4`, `images_8`, with any extension.
///
/// # Errors
/// Returns an error if a file is not a valid image.
pub(super) fn image_files(full: &Path, view: &str) -> Result<Vec<ImageFile>> {
    let itself = full.is_file().then(|| (full.to_path_buf(), 1));
    let copies = REDUCTIONS.iter().filter_map(|&reduced| Some((reduced_copy(full, reduced)?, reduced)));
    itself.into_iter().chain(copies).map(|(path, reduced)| ImageFile::open(path, reduced, view)).collect()
}

impl ImageFile {
    /// Opens an image file, with the size in its header.
    pub(super) fn open(path: PathBuf, reduced: u32, view: &str) -> Result<Self> {
        let (width, height) = image_size(&path, view)?;
        Ok(ImageFile { path, reduced, width, height })
    }
}

/// Returns the reduced copy of an image, if it exists. The folder of images is the nearest ancestor called `images`, or
/// else the image's own folder.
fn reduced_copy(image: &Path, reduced: u32) -> Option<PathBuf> {
    let folder = image.ancestors().skip(1).find(|folder| folder.file_name().is_some_and(|name| name == "images"));
    let folder = folder.or_else(|| image.parent())?;
    let beside = folder.with_file_name(format!("{}_{reduced}", folder.file_name()?.to_str()?));
    let same = beside.join(image.strip_prefix(folder).ok()?);
    let others = IMAGE_EXTENSIONS.map(|extension| same.with_extension(extension));
    let find = |path: &PathBuf| if path.is_file() { Some(path.clone()) } else { names::other_case(path) };
    std::iter::once(&same).chain(&others).find_map(find)
}

/// Decodes `views`, each reduced by `downscale`, in parallel, and returns the images in the order of the views.
///
/// Calls `progress(done, total)` after each image, with `done` increasing by one each time, from the thread that
/// decoded the image. If several images fail, returns the error of the first view among them.
pub fn load_images(views: &[View], downscale: u32, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Vec<Image8>> {
    let done = Mutex::new(0);
    in_order(views, |view| {
        let image = view.load(downscale)?;
        let mut done = done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *done += 1;
        progress(*done, views.len());
        Ok(image)
    })
}

/// Applies `f` to every item in parallel, and returns the results or the error of the first item that fails. After a
/// failure, items behind it are no longer started; items before it still are, so that the result does not depend on
/// timing.
pub(super) fn in_order<T: Sync, R: Send>(items: &[T], f: impl Fn(&T) -> Result<R> + Sync) -> Result<Vec<R>> {
    let first_failure = AtomicUsize::new(usize::MAX);
    let results: Vec<Option<Result<R>>> = items
        .par_iter()
        .enumerate()
        .map(|(i, item)| {
            if i > first_failure.load(Ordering::Relaxed) {
                return None;
            }
            let result = f(item);
            if result.is_err() {
                first_failure.fetch_min(i, Ordering::Relaxed);
            }
            Some(result)
        })
        .collect();
    results.into_iter().flatten().collect()
}

/// Reads width and height from the file's header. `frame` names the view in messages.
pub(super) fn image_size(path: &Path, frame: &str) -> Result<(u32, u32)> {
    let header = || ImageReader::open(path)?.with_guessed_format()?.into_dimensions();
    header().map_err(|e| undecodable(path, frame, &e)).and_then(|size| nonzero(path, frame, size))
}

fn load_view(view: &View, downscale: u32) -> Result<Image8> {
    if downscale == 0 {
        return Err(Error::config("downscale is 0; expected 1 (full size) or more"));
    }
    let file = view.source(downscale).ok_or_else(|| too_large(view, downscale))?;
    let mut image = decode(&file.path, &view.name)?;
    if !view.transparent.is_empty() {
        let stands_for_none = |pixel: &&mut [u8]| view.transparent.iter().any(|color| pixel[..3] == *color);
        image.rgba.chunks_exact_mut(4).filter(stands_for_none).for_each(|pixel| pixel[3] = 0);
    }
    let found = (image.width, image.height);
    if found != (file.width, file.height) {
        let what = format!(
            "{} is {}×{}, but was {}×{} when the scene was opened; open the scene again",
            view.name, found.0, found.1, file.width, file.height
        );
        return Err(Error::file(&file.path, what));
    }
    let factor = downscale / file.reduced;
    if factor > found.0.min(found.1) {
        let what = format!(
            "{} is {}×{}, too small to be reduced {factor} times; use a smaller downscale",
            view.name, found.0, found.1
        );
        return Err(Error::file(&file.path, what));
    }
    Ok(image.downscaled(factor))
}

/// Returns the error for a view that is available only at smaller sizes.
fn too_large(view: &View, downscale: u32) -> Error {
    let sizes: Vec<String> = view.images.iter().map(|file| file.reduced.to_string()).collect();
    let what = format!(
        "{} is here only as reduced by {}, not by {downscale}; give --downscale {} or a multiple of it",
        view.name,
        sizes.join(" and "),
        view.images[0].reduced
    );
    Error::file(view.image_path(), what)
}

/// Relative tolerance for the aspect ratio of an image compared with its camera's: sizes rounded when downscaling stay
/// well within it, those of a wrong or cropped image do not.
pub(super) const ASPECT_TOLERANCE: f64 = 0.01;

/// Returns the camera of a full-size image, whose size may differ from the one in the camera's file.
pub(super) fn camera_for(camera: &Camera, image: &ImageFile, view: &str) -> Result<Camera> {
    let Intrinsics { width, height, .. } = camera.intrinsics;
    let (x, y) = (f64::from(image.width) / f64::from(width), f64::from(image.height) / f64::from(height));
    if (x / y - 1.0).abs() > ASPECT_TOLERANCE {
        let size = (image.width, image.height);
        let turned = turned_when_shown(&image.path, size, (width.into(), height.into()));
        let what = format!(
            "{view} is {}×{}, but its camera is of {width}×{height}, of another aspect ratio{turned}; correct one of them",
            image.width, image.height
        );
        return Err(Error::file(&image.path, what));
    }
    let same = (width, height) == (image.width, image.height);
    Ok(if same { *camera } else { camera.scaled(image.width, image.height) })
}

/// Returns a clause for the message that an image file does not have the expected size: it says that width and height
/// are swapped because of the file's EXIF orientation, if that is the case, and is empty otherwise.
pub(super) fn turned_when_shown(path: &Path, (width, height): (u32, u32), expected: (f64, f64)) -> &'static str {
    let orientation = || ImageReader::open(path)?.with_guessed_format()?.into_decoder()?.orientation();
    let turns = matches!(
        orientation(),
        Ok(Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH)
    );
    let swapped = (f64::from(height) / expected.0 * expected.1 / f64::from(width) - 1.0).abs() <= ASPECT_TOLERANCE;
    if turns && swapped {
        " (its EXIF orientation turns it when it is shown, but photographs of a scene are read as they are stored)"
    } else {
        ""
    }
}

/// Returns an error if a reduced image does not have the expected size, up to rounding.
pub(super) fn check_size(file: &ImageFile, full: &Intrinsics, view: &str) -> Result<()> {
    let fits = |found: u32, full: u32| {
        let expected = f64::from(full) / f64::from(file.reduced);
        (f64::from(found) - expected).abs() <= 1.0 + ASPECT_TOLERANCE * expected
    };
    if fits(file.width, full.width) && fits(file.height, full.height) {
        return Ok(());
    }
    let what = format!(
        "{view} is {}×{}, which is not its full size of {}×{} divided by {}; reduce it again or remove the folder",
        file.width, file.height, full.width, full.height, file.reduced
    );
    Err(Error::file(&file.path, what))
}

fn load_mask(view: &View, mask: &Mask, downscale: u32) -> Result<Vec<bool>> {
    let image = decode(&mask.path, &format!("the mask of {}", view.name))?;
    let counts = |x: u32, y: u32| {
        let [r, g, b, _] = image.pixel(x, y);
        ((r | g | b) > 0) == mask.white_counts
    };
    let covers = Cover::of(&mask.path, view, (image.width, image.height), downscale)?;
    Ok(covers.blocks().map(|(mut xs, ys)| xs.all(|x| ys.clone().all(|y| counts(x, y)))).collect())
}

/// Returns for each pixel of the reduced image whether the centres of all full-size pixels that it covers lie within
/// the circle.
fn in_circle(view: &View, radius: f32, downscale: u32) -> Vec<bool> {
    let (full, reduced) = (view.camera.intrinsics, view.camera_at(downscale).intrinsics);
    // The largest distance along one axis between the middle of the image and a full-size centre that pixel `i` covers.
    let farthest = |i: u32, reduced: u32, full: u32| {
        let size = full as f32 / reduced as f32;
        let ends = [i as f32 * size + 0.5, (i + 1) as f32 * size - 0.5];
        ends.map(|x| (x - 0.5 * full as f32).abs()).into_iter().fold(0.0, f32::max)
    };
    let along_x: Vec<f32> = (0..reduced.width).map(|x| farthest(x, reduced.width, full.width)).collect();
    let along_y = (0..reduced.height).map(|y| farthest(y, reduced.height, full.height));
    along_y.flat_map(|y| along_x.iter().map(move |x| x.hypot(y) <= radius)).collect()
}

fn load_depth(view: &View, depth: &DepthMap, downscale: u32) -> Result<Vec<f32>> {
    let (width, height, depths) = decode_depth(&depth.path, &view.name)?;
    let covers = Cover::of(&depth.path, view, (width, height), downscale)?;
    let middle = |(xs, ys): (Range<u32>, Range<u32>)| {
        let (x, y) = ((xs.start + xs.end) / 2, (ys.start + ys.end) / 2);
        depths[y.min(height - 1) as usize * width as usize + x.min(width - 1) as usize] * depth.unit
    };
    Ok(covers.blocks().map(middle).collect())
}

/// Decodes a depth map into its width, height and values, none of which is negative.
fn decode_depth(path: &Path, frame: &str) -> Result<(u32, u32, Vec<f32>)> {
    let whose = format!("the depth map of {frame}");
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            Error::file(path, format!("{whose} is not there; restore it, or set train.depth_loss to 0"))
        }
        _ => unreadable(path, &whose, &e),
    })?;
    if names::extension(path) == "npy" {
        let array = npy::parse(&bytes).map_err(|refusal| Error::file(path, format!("{whose} is {refusal}")))?;
        let [height, width] = array.shape[..] else {
            return Err(Error::file(path, format!("{whose} has the shape {:?}, expected [h, w]", array.shape)));
        };
        let size = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
        let (width, height) = nonzero(path, &whose, size)?;
        let known = |depth: f64| if depth.is_finite() && depth > 0.0 { depth as f32 } else { 0.0 };
        return Ok((width, height, array.values.into_iter().map(known).collect()));
    }
    let decoded = image::load_from_memory(&bytes).map_err(|e| undecodable(path, &whose, &e))?;
    let image::DynamicImage::ImageLuma16(image) = decoded else {
        let what = format!("{whose} is not an image with one channel of 16 bits, as depth maps are; save it again");
        return Err(Error::file(path, what));
    };
    let (width, height) = nonzero(path, &whose, image.dimensions())?;
    Ok((width, height, image.into_raw().into_iter().map(f32::from).collect()))
}

/// Maps each pixel of a photograph to the pixels that it covers in an auxiliary image (mask or depth map), which may
/// have another size.
struct Cover {
    /// Size of the auxiliary image.
    from: (u32, u32),
    /// Size of the photograph's file, and the factor by which it is reduced further.
    file: (u32, u32),
    factor: u32,
}

impl Cover {
    fn of(path: &Path, view: &View, from: (u32, u32), downscale: u32) -> Result<Self> {
        let file = view.source(downscale).ok_or_else(|| too_large(view, downscale))?;
        let aspect = |(width, height): (u32, u32)| f64::from(width) / f64::from(height);
        if (aspect(from) / aspect((file.width, file.height)) - 1.0).abs() > ASPECT_TOLERANCE {
            let what = format!(
                "is {}×{}, of another aspect ratio than {}, which is {}×{}; make it anew",
                from.0, from.1, view.name, file.width, file.height
            );
            return Err(Error::file(path, what));
        }
        Ok(Cover { from, file: (file.width, file.height), factor: downscale / file.reduced })
    }

    /// Returns the columns and rows covered by each pixel, row by row, at least one of each.
    fn blocks(&self) -> impl Iterator<Item = (Range<u32>, Range<u32>)> {
        let factor = self.factor;
        let range = move |i: u32, from: u32, file: u32| {
            let place = |pixel: u32| u64::from(pixel) * u64::from(factor) * u64::from(from);
            (place(i) / u64::from(file)) as u32..place(i + 1).div_ceil(u64::from(file)) as u32
        };
        let (from, file) = (self.from, self.file);
        let (width, height) = (file.0 / factor, file.1 / factor);
        (0..height).flat_map(move |y| (0..width).map(move |x| (range(x, from.0, file.0), range(y, from.1, file.1))))
    }
}

fn decode(path: &Path, frame: &str) -> Result<Image8> {
    let bytes = std::fs::read(path).map_err(|e| unreadable(path, frame, &e))?;
    let reader = ImageReader::new(Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(|e| Error::file(path, format!("{frame} cannot be read: {e}")))?;
    if reader.format() == Some(ImageFormat::Jpeg) && !jpeg_is_complete(&bytes) {
        return Err(Error::file(path, format!("{frame} is a truncated JPEG; copy or export the image again")));
    }
    let image = reader.decode().map_err(|e| undecodable(path, frame, &e))?.into_rgba8();
    let (width, height) = nonzero(path, frame, image.dimensions())?;
    Ok(Image8 { width, height, rgba: image.into_raw() })
}

fn undecodable(path: &Path, frame: &str, error: &image::ImageError) -> Error {
    if let image::ImageError::IoError(e) = error {
        return unreadable(path, frame, e);
    }
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut start));
    if let (Ok(_), Some(format)) = (read, foreign_format(&start)) {
        return Error::file(path, format!("{frame} is {format}, which is not read; convert it to PNG or JPEG"));
    }
    Error::file(path, format!("{frame} is not a whole PNG, JPEG or WebP ({error}); copy or export the image again"))
}

/// Returns the name of a format that is known but not read, by the first bytes of a file.
pub(crate) fn foreign_format(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => Some("an AVIF image"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'h', b'e', ..] => Some("a HEIC image"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'm', b'i' | b's', b'f', b'1', ..] => Some("a HEIF image"),
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => Some("a JPEG XL image"),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => Some("a JPEG 2000 image"),
        [b'8', b'B', b'P', b'S', ..] => Some("a Photoshop document"),
        [b'%', b'P', b'D', b'F', ..] => Some("a PDF document"),
        _ => None,
    }
}

fn unreadable(path: &Path, frame: &str, error: &std::io::Error) -> Error {
    let what = match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("{frame} cannot be read, as reading it is not permitted; change the file's permissions")
        }
        _ => format!("{frame} cannot be read as an image: {error}; copy or export it again"),
    };
    Error::file(path, what)
}

fn nonzero(path: &Path, frame: &str, (width, height): (u32, u32)) -> Result<(u32, u32)> {
    if width == 0 || height == 0 {
        return Err(Error::file(path, format!("{frame} is {width}×{height}: it has no pixels; export it again")));
    }
    Ok((width, height))
}

/// Returns whether the image reaches its end-of-image marker. The decoder silently fills a missing end with grey.
/// Segments are followed from the start, since any bytes may follow the end, such as the video of a motion photo, and a
/// thumbnail inside a segment has an end of its own.
pub(crate) fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    // In scan data, 0xFF is followed by 0 or a restart marker; between segments, other bytes are passed over as libjpeg
    // does.
    while let Some(&[first, code]) = bytes.get(at..at + 2) {
        match (first, code) {
            (0xFF, 0xD9) => return true,
            (0xFF, 0x00 | 0x01 | 0xD0..=0xD8) => at += 2,
            (0xFF, 0xFF) => at += 1,
            (0xFF, _) => match bytes.get(at + 2..at + 4) {
                Some(length) => at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2),
                None => return false,
            },
            _ => at += 1,
        }
    }
    false
}

/// Returns a JPEG that is stored as 32×16, red on the left and blue on the right, and whose EXIF orientation, 6, turns
/// it by a quarter clockwise.
#[cfg(test)]
pub(crate) fn sideways_jpeg() -> Vec<u8> {
    let pixels = image::RgbImage::from_fn(32, 16, |x, _| image::Rgb(if x < 16 { [255, 0, 0] } else { [0, 0, 255] }));
    let mut bytes = Vec::new();
    pixels.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).unwrap();
    let directory = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let length = (directory.len() as u16 + 2).to_be_bytes();
    // After the two bytes that begin the file.
    bytes.splice(2..2, [b"\xff\xe1", &length[..], directory].concat());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photographs_that_are_turned_when_shown_say_so_where_their_size_is_swapped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        std::fs::write(&path, sideways_jpeg()).unwrap();
        let file = ImageFile::open(path.clone(), 1, "a").unwrap();
        assert_eq!((file.width, file.height), (32, 16), "as stored");
        let camera = |width, height| Camera {
            intrinsics: Intrinsics::from_fov_y(width, height, 0.8),
            camera_to_world: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]],
        };
        assert!(camera_for(&camera(64, 32), &file, "a").is_ok());
        let refusal = |width, height| camera_for(&camera(width, height), &file, "a").unwrap_err().to_string();
        assert!(refusal(16, 32).contains("of another aspect ratio (its EXIF orientation turns it when it is shown"));
        assert!(!refusal(20, 20).contains("EXIF"));
        image::RgbImage::new(32, 16).save(folder.path().join("a.png")).unwrap();
        assert_eq!(turned_when_shown(&folder.path().join("a.png"), (32, 16), (16.0, 32.0)), "");
    }

    #[test]
    fn first_error_by_order_wins() {
        let items: Vec<usize> = (0..200).collect();
        for _ in 0..20 {
            let result = in_order(&items, |&i| if i % 50 == 49 { Err(Error::config(i.to_string())) } else { Ok(i) });
            assert_eq!(result.unwrap_err().to_string(), "49");
        }
        assert_eq!(in_order(&items, |&i| Ok(i)).unwrap(), items);
    }

    #[test]
    fn a_jpeg_ends_at_its_own_end_whatever_stands_behind() {
        let mut whole = Cursor::new(Vec::new());
        let noise = |x: u32, y: u32| image::Luma([(x * x * 31 + y * y * 17) as u8]);
        image::GrayImage::from_fn(40, 30, noise).write_to(&mut whole, ImageFormat::Jpeg).unwrap();
        let whole = whole.into_inner();
        assert!(jpeg_is_complete(&whole));
        assert!(jpeg_is_complete(&[&whole[..], &[0xFF, 0xDA, 0, 4, 1, 2, 3]].concat()), "bytes behind");
        // A whole picture inside a segment is not the end of the picture around it.
        let length = (whole.len() as u16 + 2).to_be_bytes();
        let thumbnail = [&whole[..2], &[0xFF, 0xE1], &length, &whole, &whole[2..]].concat();
        assert!(jpeg_is_complete(&thumbnail));
        for cut in [2, 3, 5, 20, thumbnail.len() / 2, thumbnail.len() - whole.len() / 2, thumbnail.len() - 1] {
            assert!(!jpeg_is_complete(&thumbnail[..cut]), "{cut}");
        }
    }

    #[test]
    fn a_file_that_may_not_be_read_says_so() {
        // Constructed by hand, since tests may run as root, which can read everything.
        let denied = image::ImageError::IoError(ErrorKind::PermissionDenied.into());
        let sentence = undecodable(Path::new("a.png"), "train/a", &denied).to_string();
        let expected = "a.png: train/a cannot be read, as reading it is not permitted; change the file's permissions";
        assert_eq!(sentence, expected);
    }
}
