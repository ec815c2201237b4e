//! `gridfield import`: create a scene from photographs with COLMAP.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::ProgressBar;

use super::progress::counter;
use super::{Outcome, interrupt, print};
use crate::scene::import::{ImportOptions, ImportStage, camera_models, import};

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Folder with the photographs, PNG or JPEG
    #[arg(value_name = "PHOTOS_DIR")]
    pub photos: PathBuf,

    /// Folder of the new scene, which must not exist yet
    #[arg(value_name = "OUT")]
    pub out: PathBuf,

    /// COLMAP model of the camera and its lens
    #[arg(long, value_name = "MODEL", default_value = "OPENCV", value_parser = PossibleValuesParser::new(camera_models()))]
    pub camera_model: String,

    /// The photographs are frames of a video: match each one only with those shortly after it
    #[arg(long)]
    pub sequential: bool,

    /// CPU threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

impl ImportArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let interrupted = interrupt::watch("stopping COLMAP; nothing is kept", false)?;
        let options =
            ImportOptions { camera_model: self.camera_model, sequential: self.sequential, threads: self.threads };
        let mut shown: Option<(ImportStage, ProgressBar)> = None;
        let mut progress = |stage: ImportStage, done: usize, total: usize| {
            if shown.as_ref().is_none_or(|(of, _)| *of != stage) {
                if let Some((_, bar)) = shown.take() {
                    bar.finish_and_clear();
                }
                print::to_stderr(&format!("COLMAP: {}", stage.name()));
                shown = Some((stage, counter("photographs", total, false)));
            }
            if let Some((_, bar)) = &shown {
                bar.set_position(done as u64);
            }
        };
        let imported = import(&self.photos, &self.out, &options, interrupted, &mut progress);
        if let Some((_, bar)) = shown {
            bar.finish_and_clear();
        }
        let Some(imported) = imported? else { return Ok(Outcome::Interrupted) };
        let (placed, all) = (imported.n_placed, imported.n_images);
        let (program, out) = (print::program(), print::shell_word(&self.out.to_string_lossy()));
        print::to_stdout(&format!(
            "{placed} of {all} photographs were placed; the scene is in {out}\n  to look:  {program} info {out}\n  to train: {program} train {out}"
        ))?;
        Ok(Outcome::Done)
    }
}
