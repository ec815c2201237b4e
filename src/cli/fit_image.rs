//! `gridfield fit-image`: fit a field to an image.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use super::machine::MachineArgs;
use super::outcome::Outcome;
use super::task;
use super::trained::Trained;
use super::training_args::{SettingsArgs, TrainingArgs, absolute_text, file_name, for_task};
use super::viewer::{LookedAt, Port, ViewerArgs, Watched};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, TaskName};
use crate::device::Device;
use crate::fit::FitTrainer;
use crate::image_field::{Image, ImageData, ImagePlane};
use crate::ranks::Ranks;
use crate::train::{OUTPUT_DIR, Resolved, Run, Task as _};

#[derive(Debug, Args)]
#[command(mut_args(|arg| for_task(arg, TaskName::Image)))]
pub struct FitImageArgs {
    /// A PNG, JPEG, WebP, TIFF, OpenEXR, BMP, TGA or GIF file. With --resume: its current path, if it has moved
    #[arg(value_name = "IMAGE", required_unless_present = "resume")]
    pub image: Option<PathBuf>,

    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Evaluate at the end, and write a per-pixel error map as PNG to renders/ in the run's folder
    #[arg(long)]
    pub save_error_map: bool,

    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub viewer: ViewerArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

impl FitImageArgs {
    fn config(&self, base: Config) -> Result<Config> {
        let image = self.image.as_deref().map(|path| absolute_text(path, "image")).transpose()?;
        self.training.config(base, &self.settings, TaskName::Image, [("image.path", image.map(Value::from))])
    }

    pub(super) fn run(mut self, ranks: &Ranks) -> anyhow::Result<Outcome> {
        self.training.shown.only_on_rank_0(ranks);
        let port = self.viewer.listen(ranks)?;
        let device = self.machine.open_device_among(ranks)?;
        let (outcome, run) = match &self.training.results.resume {
            None => self.begin(&device, ranks, port)?,
            Some(run) => self.resume(&device, ranks, run, port)?,
        };
        if let Some(run) = run
            && self.save_error_map
            && outcome == Outcome::Done
        {
            let resolved = Resolved::find(run.folder(), Path::new(OUTPUT_DIR))?;
            let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
            let output = resolved.eval_path();
            let kept = task::image::Kept { images: false, error_maps: true };
            return task::image::eval(&Trained { device, resolved, checkpoint }, kept, &output);
        }
        Ok(outcome)
    }

    /// Fits a new field. Returns the run on rank 0, which has one.
    fn begin(&self, device: &Device, ranks: &Ranks, port: Option<Port>) -> anyhow::Result<(Outcome, Option<Run>)> {
        let config = self.config(self.training.defaults(Config::of_image(device.is_host())))?;
        let image = Arc::new(Image::read(&config.image.path)?);
        let name = file_name(&config.image.path, "image")?;
        let size = [image.width, image.height];
        let data = ImageData::new(device, &config, &name, image)?;
        let mut trainer = FitTrainer::new(device, &config, data)?.among(ranks)?;
        if !ranks.leads() {
            return Ok((self.training.follow(&mut trainer, ranks)?, None));
        }
        let run = self.training.create_run(&name, &config)?;
        let mut viewer = self.watch(port, &trainer, size, &config, &run).inspect_err(|_| {
            run.discard_without_checkpoint();
        })?;
        Ok((self.training.train_new(&mut trainer, ranks, &run, &config, viewer.as_mut())?, Some(run)))
    }

    /// Goes on with a run. Returns it on rank 0.
    fn resume(
        &self,
        device: &Device,
        ranks: &Ranks,
        run: &Path,
        port: Option<Port>,
    ) -> anyhow::Result<(Outcome, Option<Run>)> {
        let (run, mut checkpoint) = self.training.resumed(run, TaskName::Image)?;
        let config = self.config(checkpoint.header.config.clone())?;
        self.training.refuse_an_end_behind(&config, checkpoint.header.step, checkpoint.header.seconds)?;
        checkpoint.header.config = config.clone();
        let image = Arc::new(task::image::reopen_image(&checkpoint)?);
        let size = [image.width, image.height];
        let data = ImageData::new(device, &config, &checkpoint.header.scene, image)?;
        let mut trainer = FitTrainer::resume(device, &checkpoint, data)?.among(ranks)?;
        drop(checkpoint);
        if !ranks.leads() {
            return Ok((self.training.follow(&mut trainer, ranks)?, None));
        }
        run.save_config(&config)?;
        let mut viewer = self.watch(port, &trainer, size, &config, &run)?;
        Ok((self.training.train(&mut trainer, ranks, &run, &config, viewer.as_mut())?, Some(run)))
    }

    /// Starts the viewer of a fit to an image of `size` pixels, if one is requested.
    fn watch(
        &self,
        port: Option<Port>,
        trainer: &FitTrainer<ImageData>,
        size: [u32; 2],
        config: &Config,
        run: &Run,
    ) -> Result<Option<Watched>> {
        let started = trainer.started();
        let looked_at = LookedAt {
            scene: &task::image::viewed_scene(&started.scene),
            config,
            device: started.device,
            step: trainer.progress().step,
            background: task::image::AROUND,
            outputs: ImagePlane::CHANNELS,
            image: Some(size),
        };
        self.viewer.watch(port, &looked_at, run, self.training.shown.is_silent())
    }
}
