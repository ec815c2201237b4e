//! `gridfield train`: learn a radiance field from a scene.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use serde_json::Value;

use super::machine::MachineArgs;
use super::progress::{Drawer, counter};
use super::reading::ReadingArgs;
use super::{Outcome, interrupt, print};
use crate::config::{Background, Config, ModelName, TrainConfig};
use crate::device::Device;
use crate::radiance::{Photographs, Trainer, open_scene, reopen_scene};
use crate::scene::Scene;
use crate::train::{Checkpoint, Run, RunControl, StopReason, session};
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The scene's folder: Blender, LLFF, nerfstudio or instant-ngp; see docs/formats.md. With --resume: where it lies now, if it moved
    #[arg(value_name = "SCENE", required_unless_present = "resume")]
    pub scene: Option<PathBuf>,

    #[command(flatten)]
    pub what: WhatArgs,
    #[command(flatten)]
    pub length: LengthArgs,
    #[command(flatten)]
    pub results: ResultsArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
    #[command(flatten)]
    pub shown: ShownArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What to train")]
pub struct WhatArgs {
    #[arg(long, value_enum, value_name = "NAME", help = or_default("The kind of grid", "model.name"))]
    pub model: Option<ModelName>,

    #[arg(long, value_name = "K", help = or_default("Divide the images' width and height by K", "scene.downscale"))]
    pub downscale: Option<u32>,

    #[command(flatten)]
    pub reading: ReadingArgs,

    /// Scale of the map to the unit cube, x_unit = S (x_scene - centre) + 0.5 [default: the scene reader's choice]
    #[arg(long, value_name = "S")]
    pub scene_scale: Option<f64>,

    #[arg(
        long, value_enum, value_name = "COLOR", hide_possible_values = true,
        help = or_default("Behind transparent pixels: white, black or random", "train.background")
    )]
    pub background: Option<Background>,

    #[arg(long, value_name = "N", help = or_default("Seed of every random number", "train.seed"))]
    pub seed: Option<u64>,

    /// A JSON file of settings, such as another run's config.json; flags go before it
    #[arg(long, value_name = "FILE.json")]
    pub config: Option<PathBuf>,

    /// Any setting, as in optimizer.learning_rate=0.005; goes before all else. docs/formats.md lists them
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How long")]
pub struct LengthArgs {
    #[arg(long, value_name = "N", help = or_default("Training steps", "train.max_steps") + "; on a CPU 6000; with --max-seconds alone: no limit")]
    pub max_steps: Option<u64>,

    /// Seconds of training, loading and saving not counted [default: no limit]
    #[arg(long, value_name = "S", value_parser = super::seconds)]
    pub max_seconds: Option<f64>,

    /// Save and end at step N, to be resumed: the learning-rate schedule stays that of the whole run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub stop_after: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub struct ResultsArgs {
    /// Results go to `DIR/<scene>/<model>/<run>`
    #[arg(long, value_name = "DIR", default_value = "outputs")]
    pub output_dir: PathBuf,

    /// Name of the run [default: the time in UTC]
    #[arg(long, value_name = "NAME")]
    pub run_name: Option<String>,

    /// Go on with a run that was stopped: its folder, a checkpoint, or `latest`
    #[arg(
        long, value_name = "RUN",
        conflicts_with_all = ["model", "downscale", "format", "sparse", "allow_missing", "scene_scale", "background", "seed", "config", "set", "run_name"]
    )]
    pub resume: Option<PathBuf>,

    #[arg(
        long, value_name = "N",
        help = or_default("Steps between evaluations on up to 10 validation (else test) images, 0: none", "train.eval_every")
    )]
    pub eval_every: Option<u64>,

    #[arg(long, value_name = "N", help = or_default("Steps between checkpoints, 0: at the end only", "train.save_every"))]
    pub save_every: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is shown")]
pub struct ShownArgs {
    /// Print nothing but errors
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,

    /// Print one JSON object a line, for programs
    #[arg(long)]
    pub json: bool,
}

impl TrainArgs {
    /// The configuration these arguments ask for, over `base` and checked: that of the checkpoint where a run is
    /// resumed, and the defaults otherwise.
    ///
    /// # Errors
    /// A setting that is unknown, of the wrong type or out of range, or flags that contradict each other.
    pub fn config(&self, base: Config) -> Result<Config> {
        let mut config = match &self.what.config {
            Some(file) => base.with_file(file)?,
            None => base,
        };
        for (key, value) in self.dedicated_flags()? {
            config.set_value(key, value)?;
        }
        self.what.set.iter().try_for_each(|assignment| config.set(assignment))?;
        config.validate()?;
        self.refuse_a_stop_beyond_the_end(&config)?;
        Ok(config)
    }

    /// The configuration key and value of each dedicated flag that was given.
    fn dedicated_flags(&self) -> Result<Vec<(&'static str, Value)>> {
        let (what, length, results) = (&self.what, &self.length, &self.results);
        let scene = self.scene.as_deref().map(absolute_text).transpose()?;
        let flags = [
            ("scene.path", scene.map(Value::from)),
            ("scene.format", what.reading.format.map(|format| format.as_str().into())),
            ("scene.sparse", what.reading.sparse.clone().map(Value::from)),
            ("scene.allow_missing", what.reading.allow_missing.then_some(true.into())),
            ("scene.downscale", what.downscale.map(Value::from)),
            ("scene.scale", what.scene_scale.map(Value::from)),
            ("model.name", what.model.map(|name| name.as_str().into())),
            ("train.background", what.background.map(|background| background.as_str().into())),
            ("train.seed", what.seed.map(Value::from)),
            ("train.max_steps", length.max_steps.map(Value::from)),
            ("train.max_seconds", length.max_seconds.map(Value::from)),
            ("train.eval_every", results.eval_every.map(Value::from)),
            ("train.save_every", results.save_every.map(Value::from)),
        ];
        Ok(flags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    }

    fn refuse_a_stop_beyond_the_end(&self, config: &Config) -> Result<()> {
        let end = config.train.max_steps;
        match self.length.stop_after {
            Some(stop) if stop > end => Err(Error::config(format!(
                "--stop-after {stop} lies beyond the end of the run at step {end}; lower it or raise --max-steps"
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        match &self.results.resume {
            None => self.begin(),
            Some(run) => self.resume(run),
        }
    }

    /// What holds where nothing is said. With a limit in seconds alone, time alone ends the run.
    fn defaults(&self, device: &Device) -> Config {
        let mut config = if device.is_host() { Config::on_cpu() } else { Config::default() };
        if self.length.max_seconds.is_some() {
            config.train.max_steps = TrainConfig::NO_STEP_LIMIT;
        }
        config
    }

    fn begin(&self) -> anyhow::Result<Outcome> {
        let device = self.machine.open_device()?;
        let config = self.config(self.defaults(&device))?;
        let scene = open_scene(&config.scene)?;
        let photographs = self.load_photographs(&device, &scene, &config)?;
        let mut trainer = Trainer::new(&device, &config, &scene, photographs)?;
        let run = Run::create(&self.results.output_dir, &scene.name, self.results.run_name.as_deref(), &config)?;
        self.tell_of(&scene)?;
        self.train(&mut trainer, &run, &config).map_err(|error| match run.discard_without_checkpoint() {
            true => anyhow!("{error:#}; nothing was kept of the run"),
            false => error,
        })
    }

    /// How the scene was read: warnings, and where the model lies in it.
    fn tell_of(&self, scene: &Scene) -> io::Result<()> {
        if self.shown.is_silent() {
            return Ok(());
        }
        scene.notes.iter().for_each(|note| print::to_stderr(&format!("gridfield: note: {note}")));
        print::to_stdout(&format!("unit cube: {}", scene.unit_cube))
    }

    fn resume(&self, run: &Path) -> anyhow::Result<Outcome> {
        let resolved = Run::resolve(run, &self.results.output_dir)?;
        let mut checkpoint = Checkpoint::read(&resolved.checkpoint)?;
        let Some(run) = resolved.run else {
            return Err(checkpoint
                .refuse("lies in no run's checkpoints/, so that there is no run to go on with")
                .into());
        };
        let config = self.config(checkpoint.header.config)?;
        self.refuse_an_end_behind(&config, checkpoint.header.step, checkpoint.header.seconds)?;
        checkpoint.header.config = config.clone();
        let device = self.machine.open_device()?;
        let scene = reopen_scene(&checkpoint, self.scene.as_deref())?;
        let photographs = self.load_photographs(&device, &scene, &config)?;
        let mut trainer = Trainer::resume(&device, &checkpoint, &scene, photographs)?;
        drop(checkpoint);
        run.save_config(&config)?;
        self.train(&mut trainer, &run, &config)
    }

    /// Refuses to resume what would end at once.
    fn refuse_an_end_behind(&self, config: &Config, step: u64, seconds: f64) -> Result<()> {
        let (steps, limit) = (config.train.max_steps, config.train.max_seconds);
        let what = match self.length.stop_after {
            Some(stop) if stop <= step => {
                format!("--stop-after {stop} is not beyond step {step}, where the run stands")
            }
            _ if step >= steps => {
                format!("the run has all of its {steps} steps; to train it further, raise --max-steps")
            }
            _ if limit.is_some_and(|limit| seconds >= limit) => {
                format!(
                    "the run has trained for all of its {seconds:.0} seconds; to train it further, raise --max-seconds"
                )
            }
            _ => return Ok(()),
        };
        Err(Error::config(what))
    }

    fn load_photographs(&self, device: &Device, scene: &Scene, config: &Config) -> Result<Photographs> {
        let views = &scene.splits.train;
        let bar = counter("images", views.len(), self.shown.is_silent());
        let done = |done, _| bar.set_position(done as u64);
        let loaded = Photographs::load(device, views, config.scene.downscale, &scene.unit_cube, &done);
        bar.finish_and_clear();
        loaded
    }

    fn train(&self, trainer: &mut Trainer, run: &Run, config: &Config) -> anyhow::Result<Outcome> {
        let interrupted = interrupt::watch("stopping after this step, then saving", self.shown.is_silent())?;
        let control = RunControl { stop_after: self.length.stop_after, interrupted };
        let mut drawer = Drawer::new(self.shown.quiet, self.shown.json);
        let ended = session::train(trainer, run, &config.train, &control, &mut |event| drawer.draw(event))?;
        if !self.shown.is_silent() {
            print::to_stdout(&what_next(run, ended.reason))?;
        }
        Ok(if ended.reason == StopReason::Interrupted { Outcome::Interrupted } else { Outcome::Done })
    }
}

impl ShownArgs {
    /// Whether people are told nothing on the way.
    fn is_silent(&self) -> bool {
        self.quiet || self.json
    }
}

/// Where the results are, and the commands that one may want to run on them.
fn what_next(run: &Run, reason: StopReason) -> String {
    let folder = print::shell_word(&run.folder().to_string_lossy());
    let program = print::program();
    let mut lines = format!("results are in {folder}\n");
    if matches!(reason, StopReason::Interrupted | StopReason::StopAfter) {
        lines += &format!("  to go on:    {program} train --resume {folder}\n");
    }
    lines += &format!("  to evaluate: {program} eval {folder}\n");
    lines + &format!("  to render:   {program} render {folder}\n")
}

/// A flag's help with the default of the configuration key it sets.
fn or_default(help: &str, key: &str) -> String {
    let tree = Config::default().to_value();
    let default = tree.pointer(&format!("/{}", key.replace('.', "/"))).expect("flags set known keys");
    let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
    format!("{help} [default: {default}]")
}

/// `path` as text that still holds from another folder, since it is saved with the run.
fn absolute_text(path: &Path) -> Result<String> {
    let absolute = path.canonicalize().map_err(|e| Error::file(path, format!("the scene cannot be opened ({e})")))?;
    let text = absolute.to_str().ok_or_else(|| Error::file(path, "the path is not UTF-8 text; rename the folder"))?;
    Ok(text.to_owned())
}
