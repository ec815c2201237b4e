//! `gridfield import`: create a scene from photographs or a video with COLMAP.

use super::flags::above_zero;
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::counter::Counter;
use super::outcome::Outcome;
use super::{interrupt, print};
use crate::scene::import::{FrameChoice, ImportOptions, ImportStage, Imported, Matching, camera_models, import};

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Folder with the photographs, PNG or JPEG, or a video, whose frames ffmpeg reads
    #[arg(value_name = "PHOTOS_DIR|VIDEO")]
    pub source: PathBuf,

    /// Folder of the new scene, which must not exist yet
    #[arg(value_name = "OUT")]
    pub out: PathBuf,

    /// Of a video: use N frames, the sharpest one of each of N spans of equal time [default: 150]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(3..))]
    pub frames: Option<u32>,

    /// Of a video: use F frames a second, the sharpest one of each span of 1/F s
    #[arg(long, value_name = "F", conflicts_with = "frames", value_parser = above_zero)]
    pub fps: Option<f64>,

    /// Folder with masks of photographs: PNG files, black where a photograph is to be ignored, named a.png or a.jpg.png
    /// for a.jpg
    #[arg(long, value_name = "DIR")]
    pub masks: Option<PathBuf>,

    /// COLMAP model of the camera and its lens
    #[arg(long, value_name = "MODEL", default_value = "OPENCV", value_parser = PossibleValuesParser::new(camera_models()))]
    pub camera_model: String,

    /// Match each photograph only with those shortly after it, as suits frames of a video; the default for a video
    #[arg(long)]
    pub sequential: bool,

    /// Match each photograph with all others, which finds where a video comes back to; the default for photographs
    #[arg(long, conflicts_with = "sequential")]
    pub exhaustive: bool,

    /// Let COLMAP find and match features on a GPU, for which it must have been built
    #[arg(long)]
    pub colmap_gpu: bool,

    /// CPU threads of COLMAP [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

impl ImportArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let interrupted = interrupt::watch("stopping; nothing is kept", false)?;
        let mut shown: Option<(ImportStage, Counter)> = None;
        let mut progress = |stage: ImportStage, done: usize, total: usize| {
            if shown.as_ref().is_none_or(|(of, _)| *of != stage) {
                // The old bar must be gone before a line is printed.
                shown = None;
                print::to_stderr(&format!("{}: {}", stage.program(), stage.name()));
                let what = if stage.program() == "COLMAP" { "photographs" } else { "frames" };
                shown = Some((stage, Counter::new(what, total, false)));
            }
            if let Some((_, counter)) = &shown {
                counter.set(done);
            }
        };
        let imported = import(&self.source, &self.out, &self.options(), interrupted, &mut progress);
        drop(shown);
        let Some(imported) = imported? else { return Ok(Outcome::Interrupted) };
        self.say(&imported)?;
        Ok(Outcome::Done)
    }

    fn options(&self) -> ImportOptions {
        let matching = match (self.sequential, self.exhaustive) {
            (true, _) => Some(Matching::Sequential),
            (_, true) => Some(Matching::Exhaustive),
            (false, false) => None,
        };
        ImportOptions {
            camera_model: self.camera_model.clone(),
            matching,
            frames: self.frames.map(FrameChoice::Count).or(self.fps.map(FrameChoice::Rate)),
            masks: self.masks.clone(),
            gpu: self.colmap_gpu,
            threads: self.threads,
        }
    }

    fn say(&self, imported: &Imported) -> std::io::Result<()> {
        let Imported { n_images, n_placed, n_masks } = imported;
        let what = if self.source.is_file() { "frames" } else { "photographs" };
        let masks = match n_masks {
            0 => String::new(),
            n => format!(", {n} have masks"),
        };
        let (program, out) = (print::program(), print::shell_word(&self.out.to_string_lossy()));
        print::to_stdout(&format!(
            "{n_placed} of {n_images} {what} were placed{masks}; the scene is in {out}\n  to look:  {program} info {out}\n  \
             to train: {program} train {out}"
        ))
    }
}
