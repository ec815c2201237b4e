//! Conversion of a folder of photographs to a scene with an installed COLMAP: features, matches and poses, on the CPU.
//!
//! All work is done in a temporary folder next to the scene's, which is renamed to the scene's name when everything is
//! complete. The images are copied unchanged; the lens that COLMAP estimates becomes part of their cameras.

use super::llff::images_of;
use super::load::image_size;
use super::{Format, OpenOptions, Scene, colmap};
use crate::atomic::{TEMPORARY_PREFIX, cannot_write};
use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Interval between checks of the running program and of the interruption flag.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Smallest number of photographs for which camera poses can be estimated.
const FEWEST_PHOTOGRAPHS: usize = 3;

const PROGRAM: &str = "colmap";
/// Message that COLMAP's mapper prints if it registered no images.
const NO_MODEL: &str = "failed to create sparse model";
const LOG: &str = "colmap.log";

/// Returns COLMAP's names of the camera models that the reader of its reconstructions supports.
pub fn camera_models() -> impl Iterator<Item = &'static str> {
    colmap::supported_models()
}

/// Options for running COLMAP.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// COLMAP's name of the camera model, one of [`camera_models`].
    pub camera_model: String,
    /// Whether to match each photograph only with those taken soon after it, as suits the frames of a video, instead of
    /// with all others.
    pub sequential: bool,
    /// `None` leaves the number of threads to COLMAP.
    pub threads: Option<u16>,
}

/// Stage that COLMAP is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStage {
    /// Features are extracted from the photographs.
    Features,
    /// Features of pairs of photographs are matched.
    Matches,
    /// Poses are reconstructed.
    Poses,
}

impl ImportStage {
    /// Returns a description for the user.
    pub fn name(self) -> &'static str {
        match self {
            ImportStage::Features => "finding features",
            ImportStage::Matches => "matching them",
            ImportStage::Poses => "placing cameras",
        }
    }

    /// Returns the text that COLMAP prints once per photograph, or once per block of photographs while matching.
    fn sign(self) -> &'static str {
        match self {
            ImportStage::Features => "Processed file [",
            ImportStage::Matches => "Matching block [",
            ImportStage::Poses => "Registering image #",
        }
    }
}

/// Result of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Number of photographs.
    pub n_images: usize,
    /// Number of images whose pose COLMAP found.
    pub n_placed: usize,
}

/// Creates the scene `out` from the photographs in the folder `photos`. Calls `progress(stage, done, total)` from time
/// to time. Returns `None` if `interrupted` was set during the import.
///
/// # Errors
/// Returns an error if there are too few photographs, COLMAP is not installed, `out` already exists, or COLMAP fails or
/// cannot place the photographs. In these cases, as after an interruption, no partial scene is left behind.
pub fn import(
    photos: &Path,
    out: &Path,
    options: &ImportOptions,
    interrupted: &AtomicBool,
    progress: &mut dyn FnMut(ImportStage, usize, usize),
) -> Result<Option<Imported>> {
    let photographs = photographs(photos)?;
    if out.exists() {
        return Err(Error::file(out, "is there already; give the name of a folder that is not"));
    }
    let gpu = GpuOptions::ask()?;
    let work = work_folder(out)?;
    let images = work.path().join("images");
    fs::create_dir_all(work.path().join("sparse")).map_err(|e| Error::file(out, cannot_write(&e)))?;
    copy(&photographs, &images)?;
    let colmap = Colmap { work: work.path(), interrupted, n_images: photographs.len() };
    let unplaced = || {
        let what = "COLMAP found no photographs that fit together; take more of them, with more overlap and detail";
        Error::file(photos, what)
    };
    for (stage, arguments) in commands(options, &gpu, one_size(&photographs)?) {
        match colmap.run(stage, &arguments, progress) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(Error::Config(words)) if words.contains(NO_MODEL) => return Err(unplaced()),
            Err(error) => return Err(error),
        }
    }
    let n_placed = keep_largest(work.path()).map_err(|e| Error::file(out, cannot_write(&e)))?;
    let n_placed = n_placed.ok_or_else(unplaced)?;
    let options = OpenOptions { format: Some(Format::Colmap), ..OpenOptions::default() };
    Scene::open_with(work.path(), &options)?;
    fs::rename(work.keep(), out).map_err(|e| Error::file(out, cannot_write(&e)))?;
    Ok(Some(Imported { n_images: photographs.len(), n_placed }))
}

fn photographs(photos: &Path) -> Result<Vec<PathBuf>> {
    if !photos.is_dir() {
        return Err(Error::file(photos, "is no folder; give the folder of the photographs"));
    }
    let photographs = images_of(photos)?;
    if photographs.len() < FEWEST_PHOTOGRAPHS {
        let what = format!(
            "holds {} PNG or JPEG images, but at least {FEWEST_PHOTOGRAPHS} photographs are needed",
            photographs.len()
        );
        return Err(Error::file(photos, what));
    }
    Ok(photographs)
}

/// Returns whether all photographs have the same size, as those of a single camera do.
fn one_size(photographs: &[PathBuf]) -> Result<bool> {
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

fn copy(photographs: &[PathBuf], images: &Path) -> Result<()> {
    fs::create_dir(images).map_err(|e| Error::file(images, cannot_write(&e)))?;
    for path in photographs {
        let name = path.file_name().unwrap_or_default();
        fs::copy(path, images.join(name)).map_err(|e| Error::file(path, format!("cannot be copied: {e}")))?;
    }
    Ok(())
}

/// Sections of the options that keep COLMAP off the GPU; their names depend on the COLMAP version.
struct GpuOptions {
    extraction: &'static str,
    matching: &'static str,
}

impl GpuOptions {
    fn ask() -> Result<Self> {
        let output = Command::new(PROGRAM).args(["feature_extractor", "--help"]).stdin(Stdio::null()).output();
        let output = output.map_err(|e| match e.kind() {
            ErrorKind::NotFound => Error::config(
                "COLMAP, which finds the poses of photographs, is not on PATH; install it (Debian, Ubuntu: apt install \
                 colmap; macOS: brew install colmap; https://colmap.github.io/install.html)",
            ),
            _ => Error::config(format!("COLMAP cannot be run: {e}; check the `colmap` that is on PATH")),
        })?;
        let help = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Ok(match help.contains("FeatureExtraction.use_gpu") {
            true => GpuOptions { extraction: "FeatureExtraction", matching: "FeatureMatching" },
            false => GpuOptions { extraction: "SiftExtraction", matching: "SiftMatching" },
        })
    }
}

/// Returns the command of each stage, with paths relative to the working folder.
fn commands(options: &ImportOptions, gpu: &GpuOptions, one_camera: bool) -> [(ImportStage, Vec<String>); 3] {
    let database = ["--database_path", "database.db"];
    let threads = |section: &str| match options.threads {
        Some(threads) => vec![format!("--{section}.num_threads"), threads.to_string()],
        None => Vec::new(),
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut extract = words(&["feature_extractor", "--image_path", "images", "--ImageReader.camera_model"]);
    extract.extend([options.camera_model.clone(), format!("--{}.use_gpu", gpu.extraction), "0".to_owned()]);
    extract.extend(["--ImageReader.single_camera".to_owned(), u8::from(one_camera).to_string()]);
    let matcher = if options.sequential { "sequential_matcher" } else { "exhaustive_matcher" };
    let mut matching = vec![matcher.to_owned(), format!("--{}.use_gpu", gpu.matching), "0".to_owned()];
    let mut map = words(&["mapper", "--image_path", "images", "--output_path", "sparse"]);
    for (command, section) in [(&mut extract, gpu.extraction), (&mut matching, gpu.matching), (&mut map, "Mapper")] {
        command.extend(words(&database));
        command.extend(threads(section));
    }
    [(ImportStage::Features, extract), (ImportStage::Matches, matching), (ImportStage::Poses, map)]
}

struct Colmap<'a> {
    work: &'a Path,
    interrupted: &'a AtomicBool,
    n_images: usize,
}

impl Colmap<'_> {
    /// Runs a command to completion. Returns false if it was interrupted.
    fn run(
        &self,
        stage: ImportStage,
        arguments: &[String],
        progress: &mut dyn FnMut(ImportStage, usize, usize),
    ) -> Result<bool> {
        let log = self.work.join(LOG);
        let writable = |e| Error::file(&log, cannot_write(&e));
        let output = File::create(&log).map_err(writable)?;
        let errors = output.try_clone().map_err(writable)?;
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.work).stdin(Stdio::null()).stdout(output).stderr(errors);
        // COLMAP is built with Qt, which must not look for a display where there is none.
        command.env("QT_QPA_PLATFORM", "offscreen");
        let mut child = command.spawn().map_err(|e| Error::config(format!("COLMAP cannot be run: {e}")))?;
        progress(stage, 0, self.n_images);
        let status = loop {
            if self.interrupted.load(Ordering::Relaxed) {
                // The same Ctrl-C may already have ended the child process.
                let _ = child.kill();
                let _ = child.wait();
                return Ok(false);
            }
            let ended = child.try_wait().map_err(|e| Error::config(format!("COLMAP cannot be waited for: {e}")))?;
            progress(stage, self.done(stage, &log), self.n_images);
            match ended {
                Some(status) => break status,
                None => thread::sleep(LOOK_EVERY),
            }
        };
        if self.interrupted.load(Ordering::Relaxed) {
            return Ok(false);
        }
        match status.success() {
            true => Ok(true),
            false => Err(Error::config(format!(
                "COLMAP failed while {} ({status}); its last words: {}",
                stage.name(),
                last_words(&text(&log))
            ))),
        }
    }

    /// Estimates the number of images done from what COLMAP has printed so far. While matching, COLMAP reports only
    /// blocks of images.
    fn done(&self, stage: ImportStage, log: &Path) -> usize {
        let text = text(log);
        let count = text.matches(stage.sign()).count();
        match stage {
            ImportStage::Matches => {
                let of = text.rsplit(stage.sign()).next().and_then(|rest| {
                    let (_, total) = rest.split(']').next()?.split_once('/')?;
                    total.split(',').next()?.trim().parse::<usize>().ok()
                });
                let blocks = of.filter(|_| count > 0).map_or(1, |of| (of * of).max(1));
                count.saturating_sub(1) * self.n_images / blocks
            }
            // The first two images are registered without printing this line.
            ImportStage::Poses if count > 0 => (count + 2).min(self.n_images),
            _ => count.min(self.n_images),
        }
    }
}

fn text(log: &Path) -> String {
    let mut bytes = Vec::new();
    // If reading fails now, the next check tries again.
    let _ = File::open(log).and_then(|mut file| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn last_words(log: &str) -> String {
    let last = log.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or_else(|| "none".to_owned(), |line| line.chars().take(300).collect())
}

/// Keeps the reconstruction with the most images as the only one, in `sparse/0`, and removes files that are no longer
/// needed. Returns its number of images, or `None` if there is no reconstruction.
fn keep_largest(work: &Path) -> std::io::Result<Option<usize>> {
    let sparse = work.join("sparse");
    let mut found = Vec::new();
    for entry in fs::read_dir(&sparse)? {
        let folder = entry?.path();
        if let Ok(n_images) = colmap::count_images(&folder) {
            found.push((n_images, folder));
        }
    }
    // Ties are broken by name, so that the choice is deterministic.
    found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let Some((n_images, largest)) = found.into_iter().next() else { return Ok(None) };
    let kept = work.join("sparse.kept");
    fs::create_dir(&kept)?;
    fs::rename(largest, kept.join("0"))?;
    fs::remove_dir_all(&sparse)?;
    fs::rename(kept, sparse)?;
    for leftover in ["database.db", "database.db-shm", "database.db-wal", "sparse/0/project.ini", LOG] {
        match fs::remove_file(work.join(leftover)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(Some(n_images))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_keep_colmap_off_the_gpu_and_within_its_threads() {
        let options = ImportOptions { camera_model: "OPENCV".to_owned(), sequential: true, threads: Some(3) };
        let gpu = GpuOptions { extraction: "SiftExtraction", matching: "SiftMatching" };
        let commands = commands(&options, &gpu, true).map(|(_, words)| words.join(" "));
        assert_eq!(
            commands,
            [
                "feature_extractor --image_path images --ImageReader.camera_model OPENCV --SiftExtraction.use_gpu 0 \
                 --ImageReader.single_camera 1 --database_path database.db --SiftExtraction.num_threads 3",
                "sequential_matcher --SiftMatching.use_gpu 0 --database_path database.db --SiftMatching.num_threads 3",
                "mapper --image_path images --output_path sparse --database_path database.db --Mapper.num_threads 3",
            ]
        );
    }

    #[test]
    fn the_last_line_that_says_something_is_quoted() {
        assert_eq!(last_words("a\n  could not open  \n\n"), "could not open");
        assert_eq!(last_words(""), "none");
    }
}
