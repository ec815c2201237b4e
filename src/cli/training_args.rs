//! What all training commands have in common: the flags for the length and the results of a run, the layers of its
//! configuration, and the training itself.

use super::flags::above_zero;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::anyhow;
use clap::builder::{PossibleValuesParser, TypedValueParser as _, ValueParser};
use clap::{Arg, Args, ValueEnum as _};
use serde_json::Value;

use super::outcome::Outcome;
use super::progress::Drawer;
use super::viewer::Watched;
use super::{interrupt, print};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, ModelName, TaskName, TrainConfig};
use crate::ranks::Ranks;
use crate::train::{
    Command, OUTPUT_DIR, Observer, Resolved, Run, RunControl, StopReason, Task, TrainEvent, follow, latest, lead,
    session,
};
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct SettingsArgs {
    #[arg(long, value_enum, value_name = "NAME", help = or_default("The kind of grid", "model.name"))]
    pub model: Option<ModelName>,

    #[arg(long, value_name = "N", help = or_default("Seed of every random number", "train.seed"))]
    pub seed: Option<u64>,

    /// Batches whose gradients a step adds up, for steps larger than memory or, with several processes, fewer exchanges
    /// [default: 1]
    #[arg(long, value_name = "K")]
    pub accumulate: Option<u32>,

    /// A JSON file with settings, such as another run's config.json; flags take precedence over it
    #[arg(long, value_name = "FILE.json")]
    pub config: Option<PathBuf>,

    /// Any setting, as in optimizer.learning_rate=0.005; takes precedence over everything else. docs/formats.md lists
    /// them
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub struct TrainingArgs {
    #[command(flatten)]
    pub length: LengthArgs,
    #[command(flatten)]
    pub results: ResultsArgs,
    #[command(flatten)]
    pub shown: ShownArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How long")]
pub struct LengthArgs {
    /// Training steps
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,

    /// Seconds of training, not counting loading and saving [default: no limit]
    #[arg(long, value_name = "S", value_parser = above_zero)]
    pub max_seconds: Option<f64>,

    /// Save and stop at step N, to be resumed later: the learning-rate schedule stays that of the whole run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub stop_after: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub struct ResultsArgs {
    /// Results go to `DIR/<scene>/<model>/<run>`
    #[arg(long, value_name = "DIR", default_value = OUTPUT_DIR)]
    pub output_dir: PathBuf,

    /// Name of the run [default: the time in UTC]
    #[arg(long, value_name = "NAME")]
    pub run_name: Option<String>,

    /// Resume a run that was stopped: its folder, a checkpoint, or `latest`
    #[arg(
        long, value_name = "RUN",
        conflicts_with_all = ["model", "seed", "accumulate", "config", "set", "run_name"]
    )]
    pub resume: Option<PathBuf>,

    /// Steps between evaluations
    #[arg(long, value_name = "N")]
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

    /// Print one JSON object per line, for programs
    #[arg(long)]
    pub json: bool,
}

impl TrainingArgs {
    /// Returns the validated configuration that results from applying the flags to `base`, which is the checkpoint's
    /// configuration when a run is resumed, and the defaults otherwise. `flags` are the flags of the task:
    /// configuration keys with the values that were given.
    ///
    /// # Errors
    /// Returns an error if a setting is unknown, of the wrong type or out of range, or if flags contradict each other.
    pub fn config<const N: usize>(
        &self,
        base: Config,
        settings: &SettingsArgs,
        task: TaskName,
        flags: [(&str, Option<Value>); N],
    ) -> Result<Config> {
        let mut config = match &settings.config {
            Some(file) => base.with_file(file)?,
            None => base,
        };
        let (length, results) = (&self.length, &self.results);
        let common = [
            ("model.name", settings.model.map(|name| name.as_str().into())),
            ("train.seed", settings.seed.map(Value::from)),
            ("train.accumulate", settings.accumulate.map(Value::from)),
            ("train.max_steps", length.max_steps.map(Value::from)),
            ("train.max_seconds", length.max_seconds.map(Value::from)),
            ("train.eval_every", results.eval_every.map(Value::from)),
            ("train.save_every", results.save_every.map(Value::from)),
        ];
        for (key, value) in flags.into_iter().chain(common) {
            if let Some(value) = value {
                config.set_value(key, value)?;
            }
        }
        settings.set.iter().try_for_each(|assignment| config.set(assignment))?;
        refuse_another_task(config.task, task)?;
        config.validate()?;
        self.refuse_a_stop_beyond_the_end(&config)?;
        Ok(config)
    }

    /// Returns the defaults for these flags. With only a limit in seconds, time alone ends the run.
    pub fn defaults(&self, mut base: Config) -> Config {
        if self.length.max_seconds.is_some() {
            base.train.max_steps = TrainConfig::NO_STEP_LIMIT;
        }
        base
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

    /// Refuses to resume a run that would end at once.
    ///
    /// # Errors
    /// Returns an error if the end of the run is already reached at `step` steps and `seconds` seconds.
    pub fn refuse_an_end_behind(&self, config: &Config, step: u64, seconds: f64) -> Result<()> {
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

    /// Returns the run to resume and its checkpoint.
    ///
    /// # Errors
    /// Returns an error if there is no such run, or if it belongs to another task.
    pub fn resumed(&self, run: &Path, task: TaskName) -> Result<(Run, Checkpoint<'static>)> {
        let resolved = Resolved::find(run, &self.results.output_dir)?;
        let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
        let Some(run) = resolved.run else {
            return Err(checkpoint.refuse("is not in the checkpoints/ folder of a run, so there is no run to resume"));
        };
        refuse_another_task(checkpoint.header.config.task, task)?;
        Ok((run, checkpoint))
    }

    /// Creates the folder of a new run.
    ///
    /// # Errors
    /// Returns the same errors as [`Run::create`].
    pub fn create_run(&self, scene: &str, config: &Config) -> Result<Run> {
        Run::create(&self.results.output_dir, scene, self.results.run_name.as_deref(), config)
    }

    /// Trains a new run, and removes its folder if training fails before the first checkpoint.
    pub fn train_new(
        &self,
        task: &mut dyn Task,
        ranks: &Ranks,
        run: &Run,
        config: &Config,
        viewer: Option<&mut Watched>,
    ) -> anyhow::Result<Outcome> {
        self.train(task, ranks, run, config, viewer).map_err(|error| match run.discard_without_checkpoint() {
            true => anyhow!("{error:#}; nothing was kept of the run"),
            false => error,
        })
    }

    /// Records the run, which now has a checkpoint, as the last one. If the folder cannot be written to, training
    /// continues all the same. Returns whether it can.
    fn record_as_latest(&self, run: &Run) -> bool {
        let recorded = latest::record(Path::new(OUTPUT_DIR), run);
        if let Err(error) = &recorded
            && !self.shown.is_silent()
        {
            print::to_stderr(&format!("gridfield: note: `latest` will not find this run: {error}"));
        }
        recorded.is_ok()
    }

    /// Trains with rank 0, which decides everything, until the end of the run.
    pub fn follow(&self, task: &mut dyn Task, ranks: &Ranks) -> anyhow::Result<Outcome> {
        interrupt::leave_to_others()?;
        follow(task, ranks)?;
        Ok(Outcome::Done)
    }

    /// Trains to the end of the run, or until `--stop-after`, Ctrl-C or a viewer ends it. Called on rank 0.
    pub fn train(
        &self,
        task: &mut dyn Task,
        ranks: &Ranks,
        run: &Run,
        config: &Config,
        viewer: Option<&mut Watched>,
    ) -> anyhow::Result<Outcome> {
        let interrupted = interrupt::watch("stopping after this step, then saving", self.shown.is_silent())?;
        let control = RunControl { stop_after: self.length.stop_after, interrupted };
        let drawer = Drawer::new(self.shown.quiet, self.shown.json);
        let mut shown = Shown { of: self, run, drawer, records: true, viewer };
        let ended = lead(task, ranks, |task| session::train(task, run, &config.train, &control, &mut shown))?;
        if !self.shown.is_silent() {
            print::to_stdout(&what_next(run, config.task, ended.reason))?;
        }
        if let Some(viewer) = shown.viewer
            && ended.reason != StopReason::Interrupted
        {
            viewer.stay(task, interrupted)?;
        }
        Ok(if ended.reason == StopReason::Interrupted { Outcome::Interrupted } else { Outcome::Done })
    }
}

/// The observers of a run: the terminal, the record of the last run, and a viewer if there is one.
struct Shown<'a, 'v> {
    of: &'a TrainingArgs,
    run: &'a Run,
    drawer: Drawer,
    /// Whether the run can be recorded as the last one.
    records: bool,
    viewer: Option<&'v mut Watched>,
}

impl Observer for Shown<'_, '_> {
    fn on_event(&mut self, event: &TrainEvent) -> Result<()> {
        if matches!(event, TrainEvent::Saved { .. }) && self.records {
            self.records = self.of.record_as_latest(self.run);
        }
        self.drawer.draw(event)?;
        self.viewer.as_mut().map_or(Ok(()), |viewer| viewer.on_event(event))
    }

    fn between_steps(&mut self, task: &dyn Task, interrupted: &AtomicBool) -> Command {
        self.viewer.as_mut().map_or(Command::Continue, |viewer| viewer.between_steps(task, interrupted))
    }
}

/// Refuses a run or a configuration of one task in the command of another.
fn refuse_another_task(found: TaskName, expected: TaskName) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::config(format!(
        "the configuration is that of another task, which `gridfield {}` trains; use that command",
        found.command()
    )))
}

impl ShownArgs {
    /// Shows nothing on ranks other than 0: what there is to show is the same on all.
    pub fn only_on_rank_0(&mut self, ranks: &Ranks) {
        if !ranks.leads() {
            *self = ShownArgs { quiet: true, json: false };
        }
    }

    /// Returns whether no messages for people are printed during training.
    pub fn is_silent(&self) -> bool {
        self.quiet || self.json
    }
}

/// Returns a message that says where the results are and which commands to run on them next.
fn what_next(run: &Run, task: TaskName, reason: StopReason) -> String {
    let folder = print::shell_word(&run.folder().to_string_lossy());
    let program = print::program();
    let mut lines = format!("results are in {folder}\n");
    if matches!(reason, StopReason::Interrupted | StopReason::StopAfter | StopReason::Requested) {
        lines += &format!("  to go on:    {program} {} --resume {folder}\n", task.command());
    }
    lines += &format!("  to evaluate: {program} eval {folder}\n");
    lines += &format!("  to render:   {program} render {folder}\n");
    if task == TaskName::Sdf {
        lines += &format!("  as a mesh:   {program} export {folder} --mesh {}\n", print::shell_word("out.ply"));
    }
    lines
}

/// Adapts a flag of a training command to its task: `--help` then names the models and the defaults of the task.
pub fn for_task(arg: Arg, task: TaskName) -> Arg {
    match arg.get_id().as_str() {
        "model" => arg.value_parser(models_of(task)),
        "max_steps" => arg.help(steps_help(task)),
        "eval_every" => arg.help(default_of("train.eval_every", evaluations_help(task), &Config::of(task, false))),
        _ => arg,
    }
}

/// Returns a parser of model names that lists those of the task. The others are parsed too, since the check of the
/// configuration says what they are for.
fn models_of(task: TaskName) -> ValueParser {
    let value = |name: &ModelName| name.to_possible_value().map(|value| value.hide(!name.is_for(task)));
    let parse = |name: String| ModelName::from_str(&name, false).expect("one of the possible values");
    ValueParser::new(PossibleValuesParser::new(ModelName::ALL.iter().filter_map(value)).map(parse))
}

fn steps_help(task: TaskName) -> String {
    let on_cpu = Config::of(task, true).train.max_steps;
    let help = default_of("train.max_steps", "Training steps", &Config::of(task, false));
    format!("{help}; on a CPU {on_cpu}; with --max-seconds alone: no limit")
}

fn evaluations_help(task: TaskName) -> &'static str {
    match task {
        TaskName::Radiance => "Steps between evaluations on up to 10 validation (else test) images, 0: none",
        TaskName::Image => "Steps between evaluations of the whole image, 0: none",
        TaskName::Sdf => "Steps between evaluations of the inside (intersection over union), 0: none",
    }
}

/// Returns the help text of a flag with the default of the configuration key that it sets.
pub fn or_default(help: &str, key: &str) -> String {
    default_of(key, help, &Config::default())
}

/// Returns a help text with the value of `key` in `defaults`.
fn default_of(key: &str, help: &str, defaults: &Config) -> String {
    let tree = defaults.to_value();
    let default = tree.pointer(&format!("/{}", key.replace('.', "/"))).expect("flags set known keys");
    let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
    format!("{help} [default: {default}]")
}

/// Returns `path` as absolute text, so that it stays valid from another working folder: it is saved with the run.
/// `what` is the noun for what should be there.
pub fn absolute_text(path: &Path, what: &str) -> Result<String> {
    let absolute = path.canonicalize().map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::file(path, format!("there is no such {what}; check the path")),
        _ => Error::file(path, format!("the {what} cannot be opened ({e})")),
    })?;
    let text = absolute.to_str().ok_or_else(|| Error::file(path, "the path is not UTF-8 text; rename the folder"))?;
    Ok(text.to_owned())
}

/// Returns the name under which the results of fitting an image or a mesh are stored: its file's name without the
/// extension.
pub fn file_name(path: &Path, what: &str) -> Result<String> {
    let name = path.file_stem().and_then(|stem| stem.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| Error::file(path, format!("the name of the {what} is not valid text; rename the file")))
}
