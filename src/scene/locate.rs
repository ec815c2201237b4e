//! Scenes named by one of their own files: `SCENE/transforms.json`, `SCENE/poses_bounds.npy` or `SCENE/sparse/0` stand
//! for the scene in the folder SCENE and select its format.

use super::{Format, OpenOptions, colmap};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Number of folders above a reconstruction that are searched for its photographs: `colmap/sparse/0` is three deep.
const DEEPEST: usize = 3;

/// The folder of a scene, and the options with which it is read.
pub(super) struct Located {
    pub folder: PathBuf,
    pub options: OpenOptions,
}

/// Finds the folder of the scene that `path` names. A path that names no scene by a file is returned unchanged.
///
/// # Errors
/// Returns an error if the path names a format other than that of `options`, or a reconstruction without photographs.
pub(super) fn locate(path: &Path, options: &OpenOptions) -> Result<Located> {
    match format_of(path) {
        Some(Format::Colmap) => reconstruction(path, options),
        Some(format) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Ok(Located { folder: folder.to_path_buf(), options: with_format(path, options, format)? })
        }
        None => Ok(Located { folder: path.to_path_buf(), options: options.clone() }),
    }
}

/// Returns the format of which `path` is a file or, for COLMAP, the folder of a reconstruction.
fn format_of(path: &Path) -> Option<Format> {
    if path.is_dir() {
        return colmap::is_reconstruction(path).then_some(Format::Colmap);
    }
    match path.file_name().filter(|_| path.is_file())?.to_str()? {
        "transforms.json" => Some(Format::Transforms),
        "transforms_train.json" | "transforms_val.json" | "transforms_test.json" => Some(Format::Blender),
        "poses_bounds.npy" => Some(Format::Llff),
        name if name.ends_with(".bin") || name.ends_with(".txt") => {
            path.parent().filter(|folder| colmap::is_reconstruction(folder)).map(|_| Format::Colmap)
        }
        _ => None,
    }
}

fn with_format(path: &Path, options: &OpenOptions, format: Format) -> Result<OpenOptions> {
    match options.format.filter(|asked| *asked != format) {
        None => Ok(OpenOptions { format: Some(format), ..options.clone() }),
        Some(asked) => {
            let what = format!(
                "is of a scene in the format {}, but {} was asked for; leave --format away or give the scene's folder",
                format.as_str(),
                asked.as_str()
            );
            Err(Error::file(path, what))
        }
    }
}

/// Finds the scene of a reconstruction: the nearest folder above it that holds the photographs.
fn reconstruction(path: &Path, options: &OpenOptions) -> Result<Located> {
    // A folder that is both, with its photographs beside the reconstruction's files, is read as a scene.
    if colmap::holds_photographs(path) {
        return Ok(Located { folder: path.to_path_buf(), options: options.clone() });
    }
    let unreadable = |e| Error::file(path, format!("cannot be read: {e}"));
    let absolute = path.canonicalize().map_err(unreadable)?;
    let sparse = if absolute.is_dir() { &*absolute } else { absolute.parent().unwrap_or(&absolute) };
    let Some(folder) = sparse.ancestors().skip(1).take(DEEPEST).find(|folder| colmap::holds_photographs(folder)) else {
        let what =
            "is of a COLMAP reconstruction, but no folder above it holds the photographs in images/; put them there";
        return Err(Error::file(path, what));
    };
    if options.sparse.is_some() {
        return Err(Error::file(
            path,
            "names the reconstruction already; leave --sparse away or give the scene's folder",
        ));
    }
    let options = with_format(path, options, Format::Colmap)?;
    let below = sparse.strip_prefix(folder).expect("an ancestor").to_path_buf();
    Ok(Located { folder: folder.to_path_buf(), options: OpenOptions { sparse: Some(below), ..options } })
}
