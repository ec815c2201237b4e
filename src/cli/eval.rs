//! `gridfield eval`: evaluate a trained field on held-out images.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::fit_image::{self, Kept};
use super::fit_sdf;
use super::machine::MachineArgs;
use super::progress::counter;
use super::{OUTPUT_DIR, Outcome, print, refuse};
use crate::checkpoint::Checkpoint;
use crate::config::TaskName;
use crate::device::Device;
use crate::metrics::Lpips;
use crate::radiance::evaluate::{Pictures, compare};
use crate::radiance::{Protocol, Renderer, Report, Terms, plain_background, reopen_scene};
use crate::scene::{Scene, Split, View};
use crate::train::Run;
use crate::train::run::Resolved;
use crate::{Error, Result, atomic};

/// Background that an image is composited onto before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SolidBackground {
    White,
    Black,
}

impl SolidBackground {
    /// Returns the colour in sRGB.
    fn color(self) -> [f32; 3] {
        match self {
            SolidBackground::White => [1.0; 3],
            SolidBackground::Black => [0.0; 3],
        }
    }
}

#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A run's folder, a checkpoint, or `latest`
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

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
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let resolved = Run::resolve(&self.run, Path::new(OUTPUT_DIR))?;
        let device = self.machine.open_device()?;
        let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
        let output = self.output.clone().unwrap_or_else(|| resolved.eval_path());
        let task = checkpoint.header.config.task;
        let of_surfaces = [("--resolution", self.resolution.is_some() && task != TaskName::Sdf)];
        refuse(&of_surfaces, "is for distance fields, and this run is of another task")?;
        match task {
            TaskName::Radiance => self.eval_views(&device, &resolved, &checkpoint, &output),
            TaskName::Image => {
                self.refuse_flags_of_views()?;
                let kept = Kept { images: self.save_images, error_maps: self.save_error_maps };
                fit_image::eval(&device, &resolved, &checkpoint, kept, &output)
            }
            TaskName::Sdf => {
                self.refuse_flags_of_views()?;
                let pictures = [("--save-images", self.save_images), ("--save-error-maps", self.save_error_maps)];
                refuse(&pictures, "is for fields of images, and this run is of a mesh")?;
                fit_sdf::eval(&device, &resolved, &checkpoint, self.resolution, &output)
            }
        }
    }

    /// Returns the terms on which views are compared.
    ///
    /// # Errors
    /// Returns an error if the requested background differs from the one that the protocol prescribes.
    fn terms(&self, checkpoint: &Checkpoint, scene: &Scene) -> Result<Terms> {
        let protocol = self.protocol.unwrap_or_default();
        let asked = self.background.map(SolidBackground::color);
        if let (Some(asked), Some(set)) = (asked, protocol.background())
            && asked != set
        {
            let what = format!("--protocol {} is over white, leave --background away", protocol.as_str());
            return Err(Error::config(what));
        }
        let background = asked.or(protocol.background());
        let trained = || plain_background(&checkpoint.header.config.train, scene);
        Ok(Terms { protocol, split: self.split.unwrap_or(Split::Test), background: background.unwrap_or_else(trained) })
    }

    /// Refuses the flags that only apply to a radiance field, which alone has views.
    fn refuse_flags_of_views(&self) -> Result<()> {
        let flags = [
            ("--protocol", self.protocol.is_some()),
            ("--split", self.split.is_some()),
            ("--background", self.background.is_some()),
            ("--max-images", self.max_images.is_some()),
            ("--scene", self.scene.is_some()),
            ("--lpips", self.lpips.is_some()),
        ];
        refuse(&flags, "is for radiance fields, and this run is of another task")
    }

    fn eval_views(
        &self,
        device: &Device,
        resolved: &Resolved,
        checkpoint: &Checkpoint,
        output: &Path,
    ) -> anyhow::Result<Outcome> {
        let scene = reopen_scene(checkpoint, self.scene.as_deref())?;
        let terms = self.terms(checkpoint, &scene)?;
        let lpips = self.lpips.as_deref().map(|path| read_lpips(path, terms.protocol)).transpose()?;
        atomic::make_folder_of(output)?;
        let report = self.measure(device, resolved, checkpoint, &scene, terms, lpips.as_ref())?;
        atomic::write_json(output, &report)?;
        print::to_stdout(&table(&report))?;
        if lpips.is_none() {
            print::to_stdout("LPIPS was not measured: it needs weights, --lpips FILE.safetensors (docs/formats.md)")?;
        }
        print::to_stdout(&format!("figures of each image are in {}", output.display()))?;
        Ok(Outcome::Done)
    }

    fn measure(
        &self,
        device: &Device,
        resolved: &Resolved,
        checkpoint: &Checkpoint,
        scene: &Scene,
        terms: Terms,
        lpips: Option<&Lpips>,
    ) -> Result<Report> {
        let header = &checkpoint.header;
        let Terms { protocol, split, background } = terms;
        let views = self.views(scene, split)?;
        let pictures = Pictures {
            folder: resolved.renders_folder().join(format!("eval-{}", split.as_str())),
            images: self.save_images,
            error_maps: self.save_error_maps,
        };
        let renderer = Renderer::from_checkpoint(device, checkpoint)?;
        let bar = counter("images", views.len(), false);
        let mut scores = Vec::new();
        for view in views {
            let mut compared = compare(&renderer, view, header.config.scene.downscale, background, protocol)?;
            if let Some(lpips) = lpips {
                compared.measure_lpips(lpips);
            }
            pictures.save(&compared)?;
            scores.push(compared.score);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(Report::new(header, &resolved.checkpoint, device, terms, lpips, scores))
    }

    fn views<'s>(&self, scene: &'s Scene, split: Split) -> Result<&'s [View]> {
        let views = scene.splits.views(split);
        if views.is_empty() {
            let split = split.as_str();
            return Err(Error::file(&scene.path, format!("the scene has no {split} images; choose another --split")));
        }
        Ok(&views[..self.max_images.map_or(views.len(), |n| views.len().min(n as usize))])
    }
}

/// Reads the LPIPS weights at `path`, which must be those of the protocol's network.
fn read_lpips(path: &Path, protocol: Protocol) -> Result<Lpips> {
    let lpips = Lpips::read(path)?;
    protocol.check_lpips(&lpips, path)?;
    Ok(lpips)
}

/// Returns the mean figures as one line below its column headings.
fn table(report: &Report) -> String {
    let results = &report.results;
    let spread = if results.psnr.is_finite() { format!(" ± {:.2}", results.psnr_std) } else { String::new() };
    let psnr = print::decibels(results.psnr) + &spread;
    let columns = [
        ("scene", report.experiment.experiment_name.clone()),
        ("step", print::grouped(report.origin.step)),
        ("images", format!("{} {}", report.n_images, report.split)),
        ("protocol", report.protocol.to_owned()),
        ("background", report.background.clone()),
        ("PSNR", psnr),
        ("SSIM", results.ssim.map_or_else(|| "–".to_owned(), |ssim| format!("{ssim:.4}"))),
        ("LPIPS", results.lpips.map_or_else(|| "–".to_owned(), |lpips| format!("{lpips:.4}"))),
        ("rays/s", print::metric(results.num_rays_per_sec)),
        ("fps", format!("{:.1}", results.fps)),
    ];
    print::table_line(&columns)
}
