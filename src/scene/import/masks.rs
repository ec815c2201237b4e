//! Masks of photographs: which file belongs to which photograph.

use crate::scene::llff::images_of;
use crate::scene::load::image_size;
use crate::{Error, Result, names};
use std::path::{Path, PathBuf};

/// Folder of the masks in a scene, and for COLMAP.
pub(super) const FOLDER: &str = "masks";

/// A mask, and its name in the scene: the photograph's full name with `.png` at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MaskFile {
    pub path: PathBuf,
    pub name: String,
}

/// Returns the masks in `folder`: for the photograph `a.jpg`, the file `a.jpg.png` or `a.png`. A photograph need not
/// have one.
///
/// # Errors
/// Returns an error if the folder has no masks, or if a mask is no PNG file, belongs to no photograph, or has another
/// size than its photograph.
pub(super) fn find(folder: &Path, photographs: &[PathBuf]) -> Result<Vec<MaskFile>> {
    if !folder.is_dir() {
        return Err(Error::file(folder, "is not a folder; give the folder of the masks"));
    }
    let files = images_of(folder)?;
    if files.is_empty() {
        return Err(Error::file(folder, "holds no masks, which are PNG files named as their photographs"));
    }
    let mut masks = Vec::new();
    for photograph in photographs {
        let name = photograph.file_name().unwrap_or_default().to_string_lossy();
        let stem = photograph.file_stem().unwrap_or_default().to_string_lossy();
        let found = [format!("{name}.png"), format!("{stem}.png")].iter().find_map(|mask| names::find(folder, mask));
        if let Some(path) = found {
            refuse_another_size(&path, photograph)?;
            masks.push(MaskFile { path, name: format!("{name}.png") });
        }
    }
    let is_used = |file: &PathBuf| masks.iter().any(|mask| mask.path == *file);
    match files.iter().find(|file| !is_used(file)) {
        Some(file) if names::extension(file) != "png" => Err(Error::file(file, "is no PNG file, which masks must be")),
        Some(file) => {
            let what = "belongs to no photograph; a mask is named as its photograph, a.png or a.jpg.png for a.jpg";
            Err(Error::file(file, what))
        }
        None => Ok(masks),
    }
}

fn refuse_another_size(mask: &Path, photograph: &Path) -> Result<()> {
    let size = |path: &Path| image_size(path, &path.to_string_lossy());
    let ((width, height), (w, h)) = (size(mask)?, size(photograph)?);
    if (width, height) == (w, h) {
        return Ok(());
    }
    let photograph = photograph.display();
    Err(Error::file(mask, format!("is {width}×{height}, but {photograph} is {w}×{h}; make the mask of the same size")))
}
