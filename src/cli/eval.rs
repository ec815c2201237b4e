//! The flags of `gridfield eval`, which evaluates a trained field on held-out images.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::flags::refuse;
use super::machine::MachineArgs;
use super::run_args::RunArgs;
use crate::Result;
use crate::config::TaskName;
use crate::radiance::Protocol;
use crate::scene::Split;

/// Background that an image is composited onto before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SolidBackground {
    White,
    Black,
}

impl SolidBackground {
    /// Returns the colour in sRGB.
    pub(super) fn color(self) -> [f32; 3] {
        match self {
            SolidBackground::White => [1.0; 3],
            SolidBackground::Black => [0.0; 3],
        }
    }
}

#[derive(Debug, Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// How both images are processed before they are compared; figures of different protocols are not comparable
    /// [default: unrounded]
    #[arg(long, value_enum, value_name = "PROTOCOL", help_heading = "What to measure")]
    pub protocol: Option<Protocol>,

    /// Split whose images to compare with [default: test]
    #[arg(long, value_enum, value_name = "SPLIT", help_heading = "What to measure")]
    pub split: Option<Split>,

    /// Background behind transparent pixels of both images [default: the protocol's, or as in training; white if that
    /// was random]
    #[arg(long, value_enum, value_name = "COLOR", help_heading = "What to measure")]
    pub background: Option<SolidBackground>,

    /// Evaluate only the first N images of the split [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What to measure")]
    pub max_images: Option<u32>,

    /// The scene's current folder, if it has moved since training
    #[arg(long, value_name = "DIR", help_heading = "What to measure")]
    pub scene: Option<PathBuf>,

    /// Also measure LPIPS, with AlexNet or VGG16 weights as described in docs/formats.md
    #[arg(long, value_name = "FILE.safetensors", help_heading = "What to measure")]
    pub lpips: Option<PathBuf>,

    /// For a distance field: cells per axis for extracting its surface [default: 512]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(8..=2048), help_heading = "What to measure")]
    pub resolution: Option<u32>,

    /// Also write the rendered images as PNG to renders/eval-SPLIT in the run's folder
    #[arg(long, help_heading = "Results")]
    pub save_images: bool,

    /// Also write per-pixel error maps as PNG to the same folder
    #[arg(long, help_heading = "Results")]
    pub save_error_maps: bool,

    /// File for the figures [default: eval.json in the run's folder]
    #[arg(long, value_name = "FILE.json", help_heading = "Results")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub machine: MachineArgs,
}

impl EvalArgs {
    /// Refuses the flags that only apply to other tasks than `task`.
    pub(super) fn refuse_flags_of_other_tasks(&self, task: TaskName) -> Result<()> {
        let of_surfaces = [("--resolution", self.resolution.is_some())];
        let of_views = [
            ("--protocol", self.protocol.is_some()),
            ("--split", self.split.is_some()),
            ("--background", self.background.is_some()),
            ("--max-images", self.max_images.is_some()),
            ("--scene", self.scene.is_some()),
            ("--lpips", self.lpips.is_some()),
        ];
        let of_images = [("--save-images", self.save_images), ("--save-error-maps", self.save_error_maps)];
        if task != TaskName::Sdf {
            refuse(&of_surfaces, "is for distance fields, and this run is of another task")?;
        }
        if task != TaskName::Radiance {
            refuse(&of_views, "is for radiance fields, and this run is of another task")?;
        }
        if task == TaskName::Sdf {
            refuse(&of_images, "is for fields of images, and this run is of a mesh")?;
        }
        Ok(())
    }
}
