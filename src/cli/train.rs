//! `gridfield train`: learn a radiance field from a scene.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::counter::Counter;
use super::flags::refuse;
use super::machine::MachineArgs;
use super::outcome::Outcome;
use super::print;
use super::reading::ReadingArgs;
use super::training_args::{SettingsArgs, TrainingArgs, absolute_text, for_task, or_default};
use super::viewer::{LookedAt, Port, ViewerArgs, Watched};
use crate::config::{Background, Config, Preset, TaskName};
use crate::device::Device;
use crate::geometry::Space;
use crate::radiance::{Renderer, Trainer, TrainingImages, open_for_training, plain_background, reopen_scene};
use crate::ranks::Ranks;
use crate::scene::Scene;
use crate::train::{Run, Task as _};
use crate::{Result, names};

#[derive(Debug, Args)]
#[command(mut_args(|arg| for_task(arg, TaskName::Radiance)))]
pub struct TrainArgs {
    /// The scene's folder, or its transforms.json: Blender, LLFF, COLMAP, nerfstudio or instant-ngp; see
    /// docs/formats.md. With --resume: its current path, if it has moved
    #[arg(value_name = "SCENE", required_unless_present = "resume")]
    pub scene: Option<PathBuf>,

    #[command(flatten)]
    pub what: WhatArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub viewer: ViewerArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What to train")]
pub struct WhatArgs {
    #[arg(
        long, value_enum, value_name = "NAME", hide_possible_values = true, conflicts_with = "resume",
        help = or_default("The kind of scene that the defaults are for: blender, llff, photos, unbounded, or auto", "scene.preset")
    )]
    pub preset: Option<Preset>,

    #[arg(long, value_name = "K", conflicts_with = "resume", help = or_default("Divide the images' width and height by K", "scene.downscale"))]
    pub downscale: Option<u32>,

    #[command(flatten)]
    pub reading: ReadingArgs,

    /// Scale of the map to the unit cube, x_unit = S (x_scene - centre) + 0.5 [default: the scene reader's choice]
    #[arg(long, value_name = "S", conflicts_with = "resume")]
    pub scene_scale: Option<f64>,

    #[arg(
        long, value_enum, value_name = "COLOR", hide_possible_values = true, conflicts_with = "resume",
        help = or_default("Behind transparent pixels: white, black or random", "train.background")
    )]
    pub background: Option<Background>,

    #[command(flatten)]
    pub settings: SettingsArgs,
}

impl TrainArgs {
    /// Returns the validated configuration that results from applying these arguments to `base`.
    ///
    /// # Errors
    /// Returns an error if a setting is unknown, of the wrong type or out of range, or if flags contradict each other.
    pub fn config(&self, base: Config) -> Result<Config> {
        let kind = |path: &Path| if names::extension(path) == "json" { "file" } else { "folder" };
        let scene = self.scene.as_deref().map(|path| absolute_text(path, kind(path))).transpose()?;
        let what = &self.what;
        let flags = [
            ("scene.path", scene.map(Value::from)),
            ("scene.format", what.reading.format.map(|format| format.as_str().into())),
            ("scene.sparse", what.reading.sparse.clone().map(Value::from)),
            ("scene.allow_missing", what.reading.allow_missing.then_some(true.into())),
            ("scene.pose_convention", what.reading.pose_convention.map(|convention| convention.as_str().into())),
            ("scene.preset", what.preset.map(|preset| preset.as_str().into())),
            ("scene.downscale", what.downscale.map(Value::from)),
            ("scene.scale", what.scene_scale.map(Value::from)),
            ("train.background", what.background.map(|background| background.as_str().into())),
        ];
        self.training.config(base, &what.settings, TaskName::Radiance, flags)
    }

    pub(super) fn run(mut self, ranks: &Ranks) -> anyhow::Result<Outcome> {
        self.training.shown.only_on_rank_0(ranks);
        match &self.training.results.resume {
            None => self.begin(ranks),
            Some(run) => self.resume(run, ranks),
        }
    }

    fn begin(&self, ranks: &Ranks) -> anyhow::Result<Outcome> {
        let port = self.viewer.listen(ranks)?;
        let device = self.machine.open_device_among(ranks)?;
        let base = self.training.defaults(if device.is_host() { Config::on_cpu() } else { Config::default() });
        let (scene, config) = open_for_training(base, |defaults| self.config(defaults))?;
        let training_images = self.load_training_images(&device, &scene, &config)?;
        let mut trainer = Trainer::new(&device, &config, &scene, training_images)?.among(ranks)?;
        if !ranks.leads() {
            return self.training.follow(&mut trainer, ranks);
        }
        let run = self.training.create_run(&scene.name, &config)?;
        self.tell_of(&scene, &config, trainer.space())?;
        let mut viewer = self.watch(port, &trainer, &scene, &config, &run).inspect_err(|_| {
            run.discard_without_checkpoint();
        })?;
        self.training.train_new(&mut trainer, ranks, &run, &config, viewer.as_mut())
    }

    /// Prints how the scene was read: the notes of the reader, and the region that the model covers.
    fn tell_of(&self, scene: &Scene, config: &Config, space: &Space) -> io::Result<()> {
        if self.training.shown.is_silent() {
            return Ok(());
        }
        scene.notes.iter().for_each(|note| print::to_stderr(&format!("gridfield: note: {note}")));
        let (preset, unit_cube) = (config.scene.preset.as_str(), &scene.unit_cube);
        let space = space.describe(&unit_cube.origin);
        print::to_stdout(&format!("preset {preset}; unit cube: {unit_cube}; {space}"))
    }

    fn resume(&self, run: &Path, ranks: &Ranks) -> anyhow::Result<Outcome> {
        let reading = &self.what.reading;
        let of_reading = [
            ("--format", reading.format.is_some()),
            ("--sparse", reading.sparse.is_some()),
            ("--allow-missing", reading.allow_missing),
            ("--pose-convention", reading.pose_convention.is_some()),
        ];
        refuse(&of_reading, "cannot be used with --resume, which reads the scene as the run did")?;
        let (run, mut checkpoint) = self.training.resumed(run, TaskName::Radiance)?;
        let config = self.config(checkpoint.header.config)?;
        self.training.refuse_an_end_behind(&config, checkpoint.header.step, checkpoint.header.seconds)?;
        checkpoint.header.config = config.clone();
        let port = self.viewer.listen(ranks)?;
        let device = self.machine.open_device_among(ranks)?;
        let scene = reopen_scene(&checkpoint, self.scene.as_deref())?;
        let training_images = self.load_training_images(&device, &scene, &config)?;
        let mut trainer = Trainer::resume(&device, &checkpoint, &scene, training_images)?.among(ranks)?;
        drop(checkpoint);
        if !ranks.leads() {
            return self.training.follow(&mut trainer, ranks);
        }
        run.save_config(&config)?;
        let mut viewer = self.watch(port, &trainer, &scene, &config, &run)?;
        self.training.train(&mut trainer, ranks, &run, &config, viewer.as_mut())
    }

    /// Starts the viewer of a run, if one is requested.
    fn watch(
        &self,
        port: Option<Port>,
        trainer: &Trainer,
        scene: &Scene,
        config: &Config,
        run: &Run,
    ) -> Result<Option<Watched>> {
        let looked_at = LookedAt {
            scene,
            config,
            device: trainer.started().device,
            step: trainer.progress().step,
            background: plain_background(&config.train, scene),
            outputs: Renderer::CHANNELS,
            image: None,
        };
        self.viewer.watch(port, &looked_at, run, self.training.shown.is_silent())
    }

    fn load_training_images(&self, device: &Device, scene: &Scene, config: &Config) -> Result<TrainingImages> {
        let counter = Counter::new("images", scene.splits.train.len(), self.training.shown.is_silent());
        TrainingImages::of_scene(device, scene, config, &|done, _| counter.set(done))
    }
}
