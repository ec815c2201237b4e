//! Reader of LLFF scenes: `poses_bounds.npy` next to `images`, `images_4`, `images_8`.
//!
//! A row of `poses_bounds.npy` is a 3×5 matrix, row by row, followed by two bounds. The matrix's columns are the
//! camera's axes down, right and back, its position, and the height, width and focal length of the full-size image in
//! pixels. The bounds are the nearest and farthest depth seen. Rows correspond to the images sorted by name.

use super::load::in_order;
use super::{Capture, CaptureKind, Contents, ImageFile, OpenOptions, View, fit, hold_out, load};
use crate::geometry::{Camera, Intrinsics, Lens, pose};
use crate::names::{self, IMAGE_EXTENSIONS};
use crate::{Error, Result, npy};
use std::path::{Path, PathBuf};

const FILE: &str = "poses_bounds.npy";

/// Folders of images and the factors by which their images are reduced.
const FOLDERS: [(&str, u32); 4] = [("images", 1), ("images_2", 2), ("images_4", 4), ("images_8", 8)];

/// Largest plausible number of pixels along a side of a photograph.
const MOST_PIXELS: f64 = 1e6;

pub(super) fn is_here(folder: &Path, _: &OpenOptions) -> bool {
    folder.join(FILE).is_file()
}

pub(super) fn read(folder: &Path, options: &OpenOptions) -> Result<Contents> {
    let file = folder.join(FILE);
    let bytes = std::fs::read(&file).map_err(|e| Error::file(&file, format!("cannot be read: {e}")))?;
    let array = npy::parse(&bytes).map_err(|refusal| Error::file(&file, refusal))?;
    let [n, 17] = array.shape[..] else {
        let what = format!("has the shape {:?}, expected [N, 17]: a 3×5 matrix and two bounds an image", array.shape);
        return Err(Error::file(&file, what));
    };
    if n < 2 {
        return Err(Error::file(&file, format!("has {n} cameras, but a scene needs at least two")));
    }
    let rows = array.values.chunks_exact(17).enumerate();
    let rows: Vec<Row> = rows.map(|(i, row)| Row::read(&file, i, row)).collect::<Result<_>>()?;
    let origin = options.origin_for(rows.iter().map(|row| pose::position(&row.camera_to_world)));
    let views = views(folder, &rows, &origin)?;
    let splits = hold_out::every_eighth(views);
    let forward_facing = fit::is_forward_facing(splits.train.iter().chain(&splits.test));
    let kind = if forward_facing { CaptureKind::ForwardFacing } else { CaptureKind::Inward };
    let capture = Capture::of(kind, &splits.train);
    let unit_cube = match kind {
        CaptureKind::ForwardFacing => fit::around_frusta(&splits.train, origin),
        _ => fit::around_cameras(&splits.train, &[], origin),
    };
    Ok(Contents { splits, unit_cube, capture, points: Vec::new(), notes: Vec::new() })
}

/// A validated row of the array.
struct Row {
    intrinsics: Intrinsics,
    /// Camera-to-world matrix in the coordinates of the file.
    camera_to_world: [[f64; 4]; 3],
    bounds: [f32; 2],
}

impl Row {
    fn read(file: &Path, index: usize, row: &[f64]) -> Result<Self> {
        let error = |what: String| Error::file(file, format!("row {index} {what}"));
        if let Some(number) = row.iter().find(|number| !(**number as f32).is_finite()) {
            return Err(error(format!("holds {number}, where a finite number is needed; run LLFF's imgs2poses again")));
        }
        // A row of the 3×5 matrix: down, right, back, position.
        let camera_to_world: [[f64; 4]; 3] = std::array::from_fn(|r| {
            let [down, right, back, position] = std::array::from_fn(|c| row[5 * r + c]);
            [right, -down, back, position]
        });
        if pose::is_singular(&camera_to_world) {
            return Err(error("has a camera whose axes lie in a plane; run LLFF's imgs2poses again".to_owned()));
        }
        let (height, width, focal) = (row[4], row[9], row[14] as f32);
        if !((1.0..MOST_PIXELS).contains(&height) && (1.0..MOST_PIXELS).contains(&width) && focal > 0.0) {
            let what = format!("says that the image is {width}×{height} with a focal length of {focal}, which none is");
            return Err(error(what));
        }
        let (near, far) = (row[15] as f32, row[16] as f32);
        if !(near > 0.0 && far > near) {
            return Err(error(format!("has the bounds {near} and {far}, but expected 0 < near < far")));
        }
        let (width, height) = (width.round() as u32, height.round() as u32);
        let (cx, cy) = (0.5 * width as f32, 0.5 * height as f32);
        let intrinsics = Intrinsics { width, height, fl_x: focal, fl_y: focal, cx, cy, lens: Lens::Perspective };
        Ok(Row { intrinsics, camera_to_world, bounds: [near, far] })
    }
}

/// Returns the views of the rows, with the images of every folder that exists, in coordinates relative to `origin`.
fn views(folder: &Path, rows: &[Row], origin: &[f64; 3]) -> Result<Vec<View>> {
    let mut folders = Vec::new();
    for (name, reduced) in FOLDERS {
        let images = folder.join(name);
        if images.is_dir() {
            let files = images_of(&images)?;
            if files.len() != rows.len() {
                let (found, expected) = (files.len(), rows.len());
                let what = format!("holds {found} images, but {FILE} has {expected} cameras; make them agree");
                return Err(Error::file(&images, what));
            }
            folders.push((reduced, files));
        }
    }
    let Some((_, names)) = folders.first() else {
        let wanted = FOLDERS.map(|(name, _)| name).join(", ");
        return Err(Error::file(folder, format!("holds {FILE} but no images; expected one of the folders {wanted}")));
    };
    let names: Vec<String> = names.iter().map(|path| stem(path)).collect();
    let numbered: Vec<usize> = (0..rows.len()).collect();
    in_order(&numbered, |&i| {
        let files = folders.iter().map(|(reduced, files)| ImageFile::open(files[i].clone(), *reduced, &names[i]));
        let images = files.collect::<Result<Vec<_>>>()?;
        let Row { intrinsics, camera_to_world, bounds } = &rows[i];
        let camera_to_world = pose::relative_to(origin, camera_to_world);
        let mut camera = Camera { intrinsics: *intrinsics, camera_to_world };
        if let Some(full) = images.first().filter(|file| file.reduced == 1) {
            camera = load::camera_for(&camera, full, &names[i])?;
        }
        images.iter().try_for_each(|file| load::check_size(file, &camera.intrinsics, &names[i]))?;
        Ok(View { images, bounds: Some(*bounds), ..View::new(names[i].clone(), "", camera) })
    })
}

/// Returns the image files of a folder, sorted by name like Python's `sorted`. Names that begin with a dot are passed
/// over: macOS leaves such files (`._a.jpg`) on disks of other systems.
pub(super) fn images_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut files = list().map_err(|e| Error::file(folder, format!("cannot be read: {e}")))?;
    files.retain(|path| {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !is_hidden && IMAGE_EXTENSIONS.contains(&names::extension(path).as_str())
    });
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
