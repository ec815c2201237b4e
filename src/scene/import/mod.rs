//! Conversion of a folder of photographs, or of the frames of a video, to a scene with an installed COLMAP: features,
//! matches and poses.
//!
//! All work is done in a temporary folder next to the scene's, which is renamed to the scene's name when everything is
//! complete. Photographs and masks are copied unchanged; the lens that COLMAP estimates becomes part of their cameras.

mod frames;
mod masks;
mod options;
mod program;
mod stage;

use super::llff::images_of;
use super::load::image_size;
use super::{Format, OpenOptions, Scene, colmap};
use crate::atomic::{TEMPORARY_PREFIX, cannot_write};
use crate::{Error, Result};
use options::FEWEST_PHOTOGRAPHS;
use program::{Colmap, GpuOptions, NO_MODEL};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

pub use options::{FrameChoice, ImportOptions, Matching};
pub use stage::ImportStage;

/// Returns COLMAP's names of the camera models that the reader of its reconstructions supports.
pub fn camera_models() -> impl Iterator<Item = &'static str> {
    colmap::supported_models()
}

/// Result of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Number of photographs.
    pub n_images: usize,
    /// Number of images whose pose COLMAP found.
    pub n_placed: usize,
    /// Number of photographs that have a mask.
    pub n_masks: usize,
}

/// Creates the scene `out` from `source`: a folder of photographs or a video file. Calls `progress(stage, done, total)`
/// from time to time, with a total of 0 where it is not known. Returns `None` if `interrupted` was set during the
/// import.
///
/// # Errors
/// Returns an error if there are too few photographs, options do not fit the source, COLMAP or, for a video, ffmpeg is
/// not installed, `out` already exists, or a program fails or cannot place the photographs. In these cases, as after an
/// interruption, no partial scene is left behind.
pub fn import(
    source: &Path,
    out: &Path,
    options: &ImportOptions,
    interrupted: &AtomicBool,
    progress: &mut dyn FnMut(ImportStage, usize, usize),
) -> Result<Option<Imported>> {
    let from = Source::find(source, options)?;
    if out.exists() {
        return Err(Error::file(out, "is there already; give the name of a folder that is not"));
    }
    let gpu = GpuOptions::ask()?;
    let work = work_folder(out)?;
    let images = work.path().join("images");
    let make = |folder: &Path| fs::create_dir_all(folder).map_err(|e| Error::file(out, cannot_write(&e)));
    [&images, &work.path().join("sparse")].into_iter().try_for_each(|folder| make(folder))?;
    let mut n_masks = 0;
    match &from {
        Source::Photographs { photographs, masks } => {
            photographs.iter().try_for_each(|path| copy(path, &images.join(path.file_name().unwrap_or_default())))?;
            n_masks = masks.len();
            if n_masks > 0 {
                make(&work.path().join(masks::FOLDER))?;
            }
            masks.iter().try_for_each(|mask| copy(&mask.path, &work.path().join(masks::FOLDER).join(&mask.name)))?;
        }
        Source::Video(choice) => {
            if frames::write(source, *choice, &images, interrupted, progress)?.is_none() {
                return Ok(None);
            }
        }
    }
    let photographs = photographs(&images)?;
    let colmap = Colmap { work: work.path(), interrupted, n_images: photographs.len(), gpu: options.gpu };
    let unplaced = || Error::file(source, from.unplaced());
    let plan = program::Plan {
        options,
        matching: options.matching.unwrap_or_else(|| from.matching()),
        has_masks: n_masks > 0,
        one_camera: have_one_size(&photographs)?,
    };
    for (stage, arguments) in plan.commands(&gpu) {
        match colmap.run(stage, &arguments, progress) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(Error::Config(words)) if words.contains(NO_MODEL) => return Err(unplaced()),
            Err(error) => return Err(error),
        }
    }
    let n_placed = program::keep_largest(work.path()).map_err(|e| Error::file(out, cannot_write(&e)))?;
    let n_placed = n_placed.ok_or_else(unplaced)?;
    let options = OpenOptions { format: Some(Format::Colmap), ..OpenOptions::default() };
    Scene::open_with(work.path(), &options)?;
    fs::rename(work.keep(), out).map_err(|e| Error::file(out, cannot_write(&e)))?;
    Ok(Some(Imported { n_images: photographs.len(), n_placed, n_masks }))
}

/// Where the pictures come from.
enum Source {
    Photographs { photographs: Vec<PathBuf>, masks: Vec<masks::MaskFile> },
    Video(FrameChoice),
}

impl Source {
    /// Checks that there is something to import and that the options fit it.
    fn find(source: &Path, options: &ImportOptions) -> Result<Self> {
        if source.is_file() {
            if options.masks.is_some() {
                let what =
                    "is a video, whose frames have no names for masks; import a folder of its frames with --masks";
                return Err(Error::file(source, what));
            }
            return Ok(Source::Video(options.frames.unwrap_or_default()));
        }
        if !source.is_dir() {
            return Err(Error::file(source, "there is no such folder or video; check the path"));
        }
        if options.frames.is_some() {
            return Err(Error::file(source, "is a folder of photographs; --frames and --fps are for videos"));
        }
        let photographs = photographs(source)?;
        let masks = match &options.masks {
            Some(folder) => masks::find(folder, &photographs)?,
            None => Vec::new(),
        };
        Ok(Source::Photographs { photographs, masks })
    }

    /// Returns the error message for photographs of which COLMAP can place none.
    fn unplaced(&self) -> &'static str {
        match self {
            Source::Photographs { .. } => {
                "COLMAP found no photographs that fit together; take more of them, with more overlap and detail"
            }
            Source::Video(_) => {
                "COLMAP found no frames that fit together; use more of them (--frames), or film more slowly and with more detail"
            }
        }
    }

    fn matching(&self) -> Matching {
        match self {
            Source::Photographs { .. } => Matching::Exhaustive,
            Source::Video(_) => Matching::Sequential,
        }
    }
}

fn photographs(folder: &Path) -> Result<Vec<PathBuf>> {
    let photographs = images_of(folder)?;
    if photographs.len() < FEWEST_PHOTOGRAPHS {
        let what = format!(
            "holds {} PNG or JPEG images, but at least {FEWEST_PHOTOGRAPHS} photographs are needed",
            photographs.len()
        );
        return Err(Error::file(folder, what));
    }
    Ok(photographs)
}

/// Returns whether all photographs have the same size, as those of a single camera do.
fn have_one_size(photographs: &[PathBuf]) -> Result<bool> {
    let sizes = photographs.iter().map(|path| image_size(path, &path.to_string_lossy()));
    let sizes = sizes.collect::<Result<Vec<_>>>()?;
    Ok(sizes.iter().all(|size| *size == sizes[0]))
}

fn work_folder(out: &Path) -> Result<tempfile::TempDir> {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let made = fs::create_dir_all(parent).and_then(|()| {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY_PREFIX);
        #[cfg(unix)]
        {
            // Use the permissions of any other new folder, which the umask determines; tempfile's default is 0700.
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        builder.tempdir_in(parent)
    });
    made.map_err(|e| Error::file(out, cannot_write(&e)))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map(drop).map_err(|e| Error::file(from, format!("cannot be copied: {e}")))
}
