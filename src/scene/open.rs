//! Opening of scenes: detection of a folder's format, and error messages for folders that hold no scene.

use super::locate::{Located, locate};
use super::{
    Contents, Format, OpenOptions, PoseConvention, Scene, blender, colmap, duplicates, llff, panorama, transforms,
};
use crate::geometry::is_zero;
use crate::{Error, Result};
use std::path::Path;

/// A reader and how its format is recognized.
struct Reader {
    format: Format,
    /// The file that is looked for, and the format that it indicates.
    sign: &'static str,
    is_here: fn(&Path, &OpenOptions) -> bool,
    read: fn(&Path, &OpenOptions) -> Result<Contents>,
}

/// Readers in the order in which they are tried.
const READERS: [Reader; 4] = [
    Reader {
        format: Format::Blender,
        sign: "transforms_train.json (Blender)",
        is_here: blender::is_here,
        read: blender::read,
    },
    Reader {
        format: Format::Transforms,
        sign: "transforms.json (nerfstudio, instant-ngp)",
        is_here: transforms::is_here,
        read: transforms::read,
    },
    Reader { format: Format::Llff, sign: "poses_bounds.npy (LLFF)", is_here: llff::is_here, read: llff::read },
    Reader {
        format: Format::Colmap,
        sign: "sparse/0 with cameras and images, .bin or .txt (COLMAP)",
        is_here: colmap::is_here,
        read: colmap::read,
    },
];

impl Scene {
    /// Returns whether `path` looks like a scene that can be opened: its folder, or a file in it that shows its format.
    pub fn is_at(path: impl AsRef<Path>) -> bool {
        let Ok(Located { folder, options }) = locate(path.as_ref(), &OpenOptions::default()) else { return true };
        READERS.iter().any(|reader| (reader.is_here)(&folder, &options))
    }

    /// Opens the scene at `path` and detects its format from the folder's contents.
    ///
    /// # Errors
    /// Returns an error in the same cases as [`Scene::open_with`].
    pub fn open(path: impl AsRef<Path>) -> Result<Scene> {
        Scene::open_with(path, &OpenOptions::default())
    }

    /// Reads and validates every camera of the scene at `path`, and the size of every image, without decoding any.
    /// `path` is the scene's folder, or a file in it that shows its format, such as `transforms.json`, or the folder of
    /// a COLMAP reconstruction in it.
    ///
    /// # Errors
    /// Returns an error that names the file and the frame or key if something is missing or wrong.
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Scene> {
        let path = path.as_ref();
        if !path.exists() {
            return Err(Error::file(path, "there is no such folder; give the folder of a scene"));
        }
        let Located { folder, options } = &locate(path, options)?;
        let path = folder.as_path();
        let readers = READERS.iter().filter(|reader| options.format.is_none_or(|format| format == reader.format));
        let signs = readers.clone().map(|reader| sign(reader, options)).collect::<Vec<_>>().join(", ");
        if !path.is_dir() {
            return Err(Error::file(path, format!("is a file; give the folder that holds one of {signs}")));
        }
        let Some(reader) = readers.clone().find(|reader| (reader.is_here)(path, options)) else {
            return Err(Error::file(path, format!("holds no scene: none of {signs} is there")));
        };
        let has_choice = matches!(reader.format, Format::Blender | Format::Transforms);
        if options.pose_convention != PoseConvention::default() && !has_choice {
            let what = "the convention of poses can be chosen for transforms files only, and this scene has none; leave \
                        --pose-convention away";
            return Err(Error::file(path, what));
        }
        let Contents { splits, unit_cube, capture, points, mut notes } = (reader.read)(path, options)?;
        if !is_zero(&unit_cube.origin) {
            notes.push(format!(
                "coordinates are large for the extent of the cameras, so they are taken relative to {:?}; exports have the \
                 scene's own",
                unit_cube.origin
            ));
        }
        notes.extend(duplicates::notes(&splits));
        notes.extend(panorama::odd_sizes(&splits));
        Ok(Scene {
            path: path.to_path_buf(),
            name: folder_name(path),
            format: reader.format,
            splits,
            unit_cube,
            capture,
            points,
            notes,
            background: [1.0; 3],
        })
    }
}

fn sign(reader: &Reader, options: &OpenOptions) -> String {
    match (&options.sparse, reader.format) {
        (Some(named), Format::Colmap) => reader.sign.replace("sparse/0", &named.to_string_lossy()),
        _ => reader.sign.to_owned(),
    }
}

/// Returns the last component of the path, with `.` and `..` resolved.
fn folder_name(path: &Path) -> String {
    let resolved = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    resolved.file_name().map_or_else(|| "scene".to_owned(), |name| name.to_string_lossy().into_owned())
}
