//! From image files to [`Image8`]: headers, decoding with words for what is wrong, and many views at once.

use super::{Image8, View};
use crate::{Error, Result};
use image::{ImageFormat, ImageReader};
use rayon::prelude::*;
use std::io::{Cursor, ErrorKind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Decodes `views`, each reduced `downscale` times, in parallel; the images come in the order of the views.
///
/// `progress(done, total)` is called after each image, with `done` rising by one each time, from the thread that
/// decoded it. Of several errors the one of the first view is returned.
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

/// `f` of every item in parallel, or the error of the first item that fails. After a failure, items behind it are not
/// begun; items before it are, so that the answer does not depend on timing.
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

/// Width and height from the file's header. `frame` names the view in messages.
pub(super) fn image_size(path: &Path, frame: &str) -> Result<(u32, u32)> {
    let header = || ImageReader::open(path)?.with_guessed_format()?.into_dimensions();
    header().map_err(|e| undecodable(path, frame, &e)).and_then(|size| nonzero(path, frame, size))
}

pub(super) fn load_view(view: &View, downscale: u32) -> Result<Image8> {
    if downscale == 0 {
        return Err(Error::config("downscale is 0; expected 1 (full size) or more"));
    }
    let image = decode(&view.image_path, &view.name)?;
    let (found, expected) = ((image.width, image.height), view.camera.intrinsics);
    if found != (expected.width, expected.height) {
        let what = format!(
            "{} is {}×{}, but was {}×{} when the scene was opened; open the scene again",
            view.name, found.0, found.1, expected.width, expected.height
        );
        return Err(Error::file(&view.image_path, what));
    }
    if downscale > found.0.min(found.1) {
        let what = format!(
            "{} is {}×{}, too small to be reduced {downscale} times; use a smaller downscale",
            view.name, found.0, found.1
        );
        return Err(Error::file(&view.image_path, what));
    }
    Ok(image.downscaled(downscale))
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
    Error::file(path, format!("{frame} is not a whole PNG or JPEG ({error}); copy or export the image again"))
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

/// Whether an end-of-image marker follows the last start-of-scan marker. The decoder fills a missing end with grey
/// without a word; in scan data 0xFF is always followed by 0 or a restart marker, so this cannot be fooled by it.
pub(crate) fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let marker = |code: u8| move |pair: &[u8]| pair == [0xFF, code];
    let scan = bytes.windows(2).rposition(marker(0xDA)).unwrap_or(0);
    bytes[scan..].windows(2).any(marker(0xD9))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_file_that_may_not_be_read_says_so() {
        // Made by hand, since tests may run as root, who may read everything.
        let denied = image::ImageError::IoError(ErrorKind::PermissionDenied.into());
        let sentence = undecodable(Path::new("a.png"), "train/a", &denied).to_string();
        let expected = "a.png: train/a cannot be read, as reading it is not permitted; change the file's permissions";
        assert_eq!(sentence, expected);
    }
}
