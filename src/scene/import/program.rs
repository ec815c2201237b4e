//! COLMAP as a program: its commands, its options by version, and what it prints.

use super::masks;
use super::options::{ImportOptions, Matching};
use super::stage::ImportStage;
use crate::atomic::cannot_write;
use crate::scene::colmap;
use crate::{Error, Result, child};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

const PROGRAM: &str = "colmap";
/// Message that COLMAP's mapper prints if it registered no images.
pub(super) const NO_MODEL: &str = "failed to create sparse model";
const LOG: &str = "colmap.log";

/// Sections of the options for the GPU and for threads. COLMAP 3 names them after SIFT, COLMAP 4 after their purpose.
pub(super) struct GpuOptions {
    extraction: &'static str,
    matching: &'static str,
}

impl GpuOptions {
    /// Finds out which names the installed COLMAP uses.
    pub fn ask() -> Result<Self> {
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

/// What COLMAP is to do.
pub(super) struct Plan<'a> {
    pub options: &'a ImportOptions,
    pub matching: Matching,
    pub has_masks: bool,
    /// Whether one camera took all photographs.
    pub one_camera: bool,
}

impl Plan<'_> {
    /// Returns the command of each stage, with paths relative to the working folder.
    pub fn commands(&self, gpu: &GpuOptions) -> [(ImportStage, Vec<String>); 3] {
        let options = self.options;
        let threads = |section: &str| match options.threads {
            Some(threads) => vec![format!("--{section}.num_threads"), threads.to_string()],
            None => Vec::new(),
        };
        let use_gpu = |section: &str| [format!("--{section}.use_gpu"), u8::from(options.gpu).to_string()];
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut extract = words(&["feature_extractor", "--image_path", "images", "--ImageReader.camera_model"]);
        extract.push(options.camera_model.clone());
        extract.extend(use_gpu(gpu.extraction));
        extract.extend(["--ImageReader.single_camera".to_owned(), u8::from(self.one_camera).to_string()]);
        if self.has_masks {
            extract.extend(words(&["--ImageReader.mask_path", masks::FOLDER]));
        }
        let mut matching = words(&[match self.matching {
            Matching::Exhaustive => "exhaustive_matcher",
            Matching::Sequential => "sequential_matcher",
        }]);
        matching.extend(use_gpu(gpu.matching));
        let mut map = words(&["mapper", "--image_path", "images", "--output_path", "sparse"]);
        for (command, section) in [(&mut extract, gpu.extraction), (&mut matching, gpu.matching), (&mut map, "Mapper")]
        {
            command.extend(words(&["--database_path", "database.db"]));
            command.extend(threads(section));
        }
        [(ImportStage::Features, extract), (ImportStage::Matches, matching), (ImportStage::Poses, map)]
    }
}

/// Returns the text that COLMAP prints once per photograph, or once per block of photographs while matching.
fn sign(stage: ImportStage) -> &'static str {
    match stage {
        ImportStage::Matches => "Matching block [",
        ImportStage::Poses => "Registering image #",
        _ => "Processed file [",
    }
}

/// COLMAP in a working folder.
pub(super) struct Colmap<'a> {
    pub work: &'a Path,
    pub interrupted: &'a AtomicBool,
    pub n_images: usize,
    pub gpu: bool,
}

impl Colmap<'_> {
    /// Runs a command to completion. Returns false if it was interrupted.
    pub fn run(
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
        if !self.gpu {
            // COLMAP is built with Qt, which must not look for a display where there is none.
            command.env("QT_QPA_PLATFORM", "offscreen");
        }
        let mut child = command.spawn().map_err(|e| Error::config(format!("COLMAP cannot be run: {e}")))?;
        progress(stage, 0, self.n_images);
        let look = &mut || progress(stage, self.done(stage, &log), self.n_images);
        let ended = child::wait(&mut child, self.interrupted, look);
        let ended = ended.map_err(|e| Error::config(format!("COLMAP cannot be waited for: {e}")))?;
        let Some(status) = ended else { return Ok(false) };
        match status.success() {
            true => Ok(true),
            false => Err(Error::config(format!(
                "COLMAP failed while {} ({status}); its last words: {}",
                stage.name(),
                child::last_words(&child::printed(&log))
            ))),
        }
    }

    /// Estimates the number of images done from what COLMAP has printed so far. While matching, COLMAP reports only
    /// blocks of images.
    fn done(&self, stage: ImportStage, log: &Path) -> usize {
        let text = child::printed(log);
        let count = text.matches(sign(stage)).count();
        match stage {
            ImportStage::Matches => {
                let of = text.rsplit(sign(stage)).next().and_then(|rest| {
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

/// Keeps the reconstruction with the most images as the only one, in `sparse/0`, and removes files that are no longer
/// needed. Returns its number of images, or `None` if there is no reconstruction.
pub(super) fn keep_largest(work: &Path) -> std::io::Result<Option<usize>> {
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

    fn options() -> ImportOptions {
        ImportOptions {
            camera_model: "OPENCV".to_owned(),
            matching: None,
            frames: None,
            masks: None,
            gpu: false,
            threads: Some(3),
        }
    }

    #[test]
    fn commands_keep_colmap_off_the_gpu_and_within_its_threads() {
        let gpu = GpuOptions { extraction: "SiftExtraction", matching: "SiftMatching" };
        let options = options();
        let plan = Plan { options: &options, matching: Matching::Sequential, has_masks: false, one_camera: true };
        assert_eq!(
            plan.commands(&gpu).map(|(_, words)| words.join(" ")),
            [
                "feature_extractor --image_path images --ImageReader.camera_model OPENCV --SiftExtraction.use_gpu 0 \
                 --ImageReader.single_camera 1 --database_path database.db --SiftExtraction.num_threads 3",
                "sequential_matcher --SiftMatching.use_gpu 0 --database_path database.db --SiftMatching.num_threads 3",
                "mapper --image_path images --output_path sparse --database_path database.db --Mapper.num_threads 3",
            ]
        );
    }

    #[test]
    fn commands_take_the_gpu_and_the_masks_that_were_asked_for() {
        let gpu = GpuOptions { extraction: "FeatureExtraction", matching: "FeatureMatching" };
        let options = ImportOptions { gpu: true, threads: None, ..options() };
        let plan = Plan { options: &options, matching: Matching::Exhaustive, has_masks: true, one_camera: false };
        let [extract, matching, _] = plan.commands(&gpu).map(|(_, words)| words.join(" "));
        assert_eq!(
            [extract, matching],
            [
                "feature_extractor --image_path images --ImageReader.camera_model OPENCV --FeatureExtraction.use_gpu 1 \
                 --ImageReader.single_camera 0 --ImageReader.mask_path masks --database_path database.db",
                "exhaustive_matcher --FeatureMatching.use_gpu 1 --database_path database.db",
            ]
        );
    }
}
