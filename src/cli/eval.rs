//! `gridfield eval`: measure a trained field on images held back.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Outcome;
use super::machine::MachineArgs;

/// Which of the scene's images are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitArg {
    Train,
    Val,
    Test,
}

/// What an image is composited on before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SolidBackground {
    White,
    Black,
}

#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A run's folder, a checkpoint, or `latest`
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Which images to compare with
    #[arg(long, value_enum, value_name = "SPLIT", default_value = "test", help_heading = "What to measure")]
    pub split: SplitArg,

    /// Behind transparent pixels of both images [default: as trained; white where that was random]
    #[arg(long, value_enum, value_name = "COLOR", help_heading = "What to measure")]
    pub background: Option<SolidBackground>,

    /// Take N images, spread evenly over the split [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What to measure")]
    pub max_images: Option<u32>,

    /// Also write the rendered images, as PNG
    #[arg(long, help_heading = "Results")]
    pub save_images: bool,

    /// Also write maps of the error per pixel, as PNG
    #[arg(long, help_heading = "Results")]
    pub save_error_maps: bool,

    /// Where the figures go [default: eval.json in the run's folder]
    #[arg(long, value_name = "FILE.json", help_heading = "Results")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub machine: MachineArgs,
}

impl EvalArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        anyhow::bail!("evaluation is not part of this build")
    }
}
