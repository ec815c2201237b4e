//! Opening a scene: which format a folder holds, and words for folders that hold none.

use super::{Format, Scene, UnitCube, blender};
use crate::{Error, Result};
use std::path::Path;

/// Files and folders by which a scene that is not of the Blender format is recognised.
const OTHER_FORMATS: [(&str, &str); 4] = [
    ("transforms.json", "a single transforms.json (the nerfstudio and instant-ngp format)"),
    ("poses_bounds.npy", "poses_bounds.npy (the LLFF format)"),
    ("sparse", "a COLMAP reconstruction in sparse/"),
    ("database.db", "a COLMAP database"),
];

impl Scene {
    /// Whether the folder `path` looks like a scene that can be opened.
    pub fn is_at(path: impl AsRef<Path>) -> bool {
        blender::is_here(path.as_ref())
    }

    /// Reads and checks every transform of the scene in the folder `path`, and the size of every image, without
    /// decoding any.
    ///
    /// Fails with a sentence that names the file and the frame or key when something is missing or wrong.
    pub fn open(path: impl AsRef<Path>) -> Result<Scene> {
        let path = path.as_ref();
        if !path.exists() {
            return Err(Error::file(path, "there is no such folder; give the folder of a scene"));
        }
        if !path.is_dir() {
            return Err(Error::file(path, "is a file; give the folder that holds transforms_train.json"));
        }
        if !blender::is_here(path) {
            return Err(Error::file(path, no_scene_here(path)));
        }
        Ok(Scene {
            path: path.to_path_buf(),
            name: folder_name(path),
            format: Format::Blender,
            splits: blender::read_splits(path)?,
            unit_cube: UnitCube::BLENDER,
            background: [1.0; 3],
        })
    }
}

fn no_scene_here(path: &Path) -> String {
    let wanted = "expected transforms_train.json, as in the NeRF paper's Blender scenes";
    match OTHER_FORMATS.iter().find(|(file, _)| path.join(file).exists()) {
        Some((_, format)) => format!("holds {format}, which is not supported; {wanted}"),
        None => format!("holds no scene: {wanted}"),
    }
}

/// The last part of the path, with `.` and `..` resolved.
fn folder_name(path: &Path) -> String {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    resolved.file_name().map_or_else(|| "scene".to_owned(), |name| name.to_string_lossy().into_owned())
}
