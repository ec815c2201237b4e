//! Reader of COLMAP reconstructions: `cameras`, `images` and `points3D`, as `.bin` or `.txt`, next to `images/`.
//!
//! The pose of an image is the rotation (a quaternion w, x, y, z) and the translation that map world coordinates to the
//! camera's axes: x to the right, y down, z forward. COLMAP's world coordinates are those of the scene.

mod binary;
mod model;
mod text;

use super::load::image_files;
use super::load::{self, in_order};
use super::view::Mask;
use super::{Capture, CaptureKind, Contents, OpenOptions, View, fit, hold_out};
use crate::geometry::{Camera, pose, relative};
use crate::{Error, Result, names};
pub(super) use model::supported_models;
use model::{Model, Registered};
use nalgebra::{Quaternion, UnitQuaternion, Vector3};
use std::path::{Path, PathBuf};

/// Folders in which a reconstruction is looked for, in this order.
const PLACES: [&str; 3] = ["sparse/0", "sparse", "colmap/sparse/0"];

const IMAGES: &str = "images";

/// Folder of the masks. Each is named after the full file name of its image plus `.png`, as COLMAP's own feature
/// extraction expects.
const MASKS: &str = "masks";

/// Quantiles of the depths of the points that an image sees, used as its bounds as in LLFF; points outside are
/// outliers.
const BOUNDS: (f64, f64) = (0.001, 0.999);

pub(super) fn is_here(folder: &Path, options: &OpenOptions) -> bool {
    reconstruction(folder, options).is_some()
}

/// Returns the folder of the reconstruction.
fn reconstruction(folder: &Path, options: &OpenOptions) -> Option<PathBuf> {
    let holds = |folder: &PathBuf| is_reconstruction(folder);
    match &options.sparse {
        Some(named) => Some(folder.join(named)).filter(holds),
        None => PLACES.iter().map(|place| folder.join(place)).find(holds),
    }
}

/// Returns whether the folder itself holds the files of a reconstruction.
pub(super) fn is_reconstruction(folder: &Path) -> bool {
    is_model(folder, "bin") || is_model(folder, "txt")
}

/// Returns whether the folder holds the photographs of a scene.
pub(super) fn holds_photographs(folder: &Path) -> bool {
    folder.join(IMAGES).is_dir()
}

fn is_model(folder: &Path, extension: &str) -> bool {
    ["cameras", "images"].iter().all(|name| folder.join(name).with_extension(extension).is_file())
}

pub(super) fn read(folder: &Path, options: &OpenOptions) -> Result<Contents> {
    let missing = || Error::file(folder, "its COLMAP reconstruction is no longer there; open the scene again");
    let sparse = reconstruction(folder, options).ok_or_else(missing)?;
    let mut model = read_model(&sparse)?;
    model.images.sort_by(|a, b| a.name.cmp(&b.name));
    let images = &model.images;
    let origin = options.origin_for(images.iter().map(|image| pose::position(&camera_to_world(image))));
    let found = in_order(images, |image| view(folder, &model, image, &origin))?;
    let absent: Vec<&Registered> = images.iter().zip(&found).filter(|(_, view)| view.is_none()).map(|i| i.0).collect();
    let mut notes = Vec::new();
    if let Some(first) = absent.first() {
        let (n, all, first) = (absent.len(), images.len(), &first.name);
        let told = format!("{n} of {all} images of the reconstruction are not in {IMAGES}/, the first of them {first}");
        if !options.allow_missing {
            let what = format!("{told}; restore them, or skip them with --allow-missing");
            return Err(Error::file(folder, what));
        }
        notes.push(format!("{told}; they are skipped"));
    }
    let splits = hold_out::every_eighth(found.into_iter().flatten().collect());
    if splits.train.is_empty() {
        let what = "its reconstruction leaves no view to train on; it needs at least two images";
        return Err(Error::file(&sparse, what));
    }
    let all = || splits.train.iter().chain(&splits.test);
    let flat = all().all(|view| view.bounds.is_some()) && fit::looks_one_way(all());
    let kind = if flat { CaptureKind::ForwardFacing } else { CaptureKind::Inward };
    let capture = Capture::of(kind, &splits.train);
    let points: Vec<[f32; 3]> = model.points.values().map(|&point| relative(point, &origin)).collect();
    let unit_cube = match kind {
        CaptureKind::ForwardFacing => fit::around_frusta(&splits.train, origin),
        _ => fit::around_cameras(&splits.train, &points, origin),
    };
    let capture = Capture { aabb_scale: fit::reach(&unit_cube, &points), ..capture };
    Ok(Contents { splits, unit_cube, capture, points, notes })
}

/// Returns the number of images in the reconstruction in the folder `sparse`.
pub(super) fn count_images(sparse: &Path) -> Result<usize> {
    read_model(sparse).map(|model| model.images.len())
}

/// Reads the files of a reconstruction; the points may be missing.
fn read_model(sparse: &Path) -> Result<Model> {
    let is_binary = is_model(sparse, "bin");
    let extension = if is_binary { "bin" } else { "txt" };
    let parse = if is_binary { binary::parse } else { text::parse };
    let mut model = Model::default();
    for name in ["cameras", "images", "points3D"] {
        let file = sparse.join(name).with_extension(extension);
        if name == "points3D" && !file.exists() {
            break;
        }
        let bytes = std::fs::read(&file).map_err(|e| Error::file(&file, format!("cannot be read: {e}")))?;
        parse(&file, &bytes, &mut model)?;
    }
    if model.images.is_empty() {
        let file = sparse.join("images").with_extension(extension);
        return Err(Error::file(file, "holds no image; reconstruct again"));
    }
    Ok(model)
}

/// Returns the view of an image, in coordinates relative to `origin`, or `None` if the image file is missing.
fn view(folder: &Path, model: &Model, image: &Registered, origin: &[f64; 3]) -> Result<Option<View>> {
    let name = view_name(&image.name);
    let path = folder.join(IMAGES).join(&image.name);
    let files = image_files(&names::find(&folder.join(IMAGES), &image.name).unwrap_or(path), &name)?;
    if files.is_empty() {
        return Ok(None);
    }
    // `add_image` checked that the camera exists.
    let camera_to_world = pose::relative_to(origin, &camera_to_world(image));
    let mut camera = Camera { intrinsics: model.cameras[&image.camera], camera_to_world };
    if let Some(full) = files.first().filter(|file| file.reduced == 1) {
        camera = load::camera_for(&camera, full, &name)?;
    }
    files.iter().try_for_each(|file| load::check_size(file, &camera.intrinsics, &name))?;
    let mask = names::find(&folder.join(MASKS), &format!("{}.png", image.name));
    let mask = mask.map(|path| Mask { path, white_counts: true });
    Ok(Some(View { images: files, bounds: bounds(model, image), mask, ..View::new(name, "", camera) }))
}

/// Returns the rows of the camera-to-world matrix with the camera's axes right, up and back, in COLMAP's coordinates.
fn camera_to_world(image: &Registered) -> [[f64; 4]; 3] {
    let [w, x, y, z] = image.rotation;
    let to_world = UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z)).inverse().to_rotation_matrix();
    let position = to_world * -Vector3::from(image.translation);
    std::array::from_fn(|row| {
        let axis = |column: usize| to_world[(row, column)];
        [axis(0), -axis(1), -axis(2), position[row]]
    })
}

/// Returns depths that bound most of the points that the image sees; for a panorama, distances.
fn bounds(model: &Model, image: &Registered) -> Option<[f32; 2]> {
    let [w, x, y, z] = image.rotation;
    let rotation = UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z));
    let is_panorama = model.cameras[&image.camera].lens.is_panorama();
    let depth = |point: &[f64; 3]| {
        let seen = rotation * Vector3::from(*point) + Vector3::from(image.translation);
        if is_panorama { seen.norm() } else { seen.z }
    };
    let points = image.points.iter().filter_map(|id| model.points.get(id));
    let mut depths: Vec<f64> = points.map(depth).filter(|depth| *depth > 0.0).collect();
    depths.sort_by(f64::total_cmp);
    let quantile = |share: f64| depths[((depths.len() - 1) as f64 * share).round() as usize] as f32;
    let bounds = (depths.len() >= 2).then(|| [quantile(BOUNDS.0), quantile(BOUNDS.1)])?;
    (bounds[0] > 0.0 && bounds[0] < bounds[1] && bounds[1].is_finite()).then_some(bounds)
}

fn view_name(name: &str) -> String {
    Path::new(&names::with_slashes(name)).with_extension("").to_string_lossy().into_owned()
}
