//! One training run from start to end: stretches of training, with checkpoints, evaluations and recorded events between
//! them. This module is independent of the task; a radiance field, an image or a distance field is a [`Task`].

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::event::{Finished, StepReport};
use super::{Command, MetricsLog, Observer, Progress, Run, RunControl, StopReason, Task, TrainEvent};
use crate::config::TrainConfig;
use crate::decoder::LayerNeurons;
use crate::{Error, Result};

/// Time between reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Trains `task` until `step` steps or `max_seconds` seconds of training are completed, or `interrupted` is set.
/// Reports at intervals and at the end.
///
/// # Errors
/// Returns the errors of the task and those of `report`.
pub fn train_until(
    task: &mut dyn Task,
    step: u64,
    max_seconds: Option<f64>,
    interrupted: &AtomicBool,
    report: &mut dyn FnMut(StepReport) -> Result<()>,
) -> Result<()> {
    let is_at_end = is_at_end(step, max_seconds, interrupted);
    let mut nobody = |_: &TrainEvent| Ok(());
    stretch(task, &is_at_end, interrupted, &mut nobody, &mut |_, step_report| report(step_report)).map(drop)
}

/// Trains `task` until `is_at_end` is true or the observer asks for anything but a step, and returns its last command.
/// Reports at intervals and at the end.
fn stretch(
    task: &mut dyn Task,
    is_at_end: &dyn Fn(&dyn Task) -> bool,
    interrupted: &AtomicBool,
    observer: &mut dyn Observer,
    report: &mut dyn FnMut(&mut dyn Observer, StepReport) -> Result<()>,
) -> Result<Command> {
    let mut reported = Instant::now();
    let mut command = Command::Continue;
    while command == Command::Continue && !is_at_end(task) {
        let held = Instant::now();
        command = observer.between_steps(task, interrupted);
        // Time spent in the observer belongs to no step, so that the reported speed is that of training.
        reported += held.elapsed();
        // The observer may have held the run until it was interrupted.
        if command == Command::Continue && !is_at_end(task) {
            task.advance()?;
        }
        if reported.elapsed() >= REPORT_EVERY {
            task.report(reported)?.map_or(Ok(()), |step_report| report(observer, step_report))?;
            reported = Instant::now();
        }
    }
    task.report(reported)?.map_or(Ok(()), |step_report| report(observer, step_report))?;
    Ok(command)
}

/// Returns the condition that ends a stretch of training: `step` completed steps, `max_seconds` of training, or an
/// interruption.
fn is_at_end(step: u64, max_seconds: Option<f64>, interrupted: &AtomicBool) -> impl Fn(&dyn Task) -> bool {
    move |task| task.progress().step >= step || is_over(task, max_seconds) || interrupted.load(Ordering::Relaxed)
}

fn is_over(task: &dyn Task, max_seconds: Option<f64>) -> bool {
    max_seconds.is_some_and(|limit| task.progress().seconds >= limit)
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why the run ended.
    pub reason: StopReason,
    /// The checkpoint of the last step.
    pub checkpoint: PathBuf,
}

/// Trains `task` to the end of its run, or to where `control` ends it, and stores all results in `run`. Each event goes
/// to the run's `metrics.jsonl` and then to `observer`, which may also look at the task between steps.
///
/// # Errors
/// Returns an error if the loss diverges, the run's folder cannot be written, or `observer` fails. Checkpoints saved
/// before that are kept.
pub fn train(
    task: &mut dyn Task,
    run: &Run,
    config: &TrainConfig,
    control: &RunControl<'_>,
    observer: &mut dyn Observer,
) -> Result<Ended> {
    run.prepare_to_resume(task.progress().step)?;
    let log = MetricsLog::open(&run.metrics_path(), task.progress().step)?;
    let mut session = Session { run, config, control, log, observer, saved: None, neurons: Vec::new() };
    session.emit(TrainEvent::Started(task.started()))?;
    let trained = session.train(task).and_then(|reason| Ok((reason, session.save(task)?)));
    let (reason, checkpoint) = trained.map_err(|error| session.say_what_is_kept(error))?;
    let Progress { step, seconds } = task.progress();
    let neurons = std::mem::take(&mut session.neurons);
    session.emit(TrainEvent::Finished(Finished { step, seconds, reason, neurons }))?;
    Ok(Ended { reason, checkpoint })
}

struct Session<'a> {
    run: &'a Run,
    config: &'a TrainConfig,
    control: &'a RunControl<'a>,
    log: MetricsLog,
    observer: &'a mut dyn Observer,
    /// The last checkpoint of this session, with its step.
    saved: Option<(u64, PathBuf)>,
    /// State of the field's neurons in that checkpoint.
    neurons: Vec<LayerNeurons>,
}

impl Session<'_> {
    fn emit(&mut self, event: TrainEvent) -> Result<()> {
        emit(&mut self.log, self.observer, event)
    }

    fn train(&mut self, task: &mut dyn Task) -> Result<StopReason> {
        loop {
            if let Some(reason) = self.stop_reason(task) {
                return Ok(reason);
            }
            let begin = task.progress().step;
            let command = self.train_to_next_pause(task)?;
            let step = task.progress().step;
            // A stretch without a step, as while the run is paused, must not repeat the checkpoint or evaluation before
            // it.
            let is_new = step > begin;
            if command == Command::Save || is_new && falls_on(step, self.config.save_every) {
                self.save(task)?;
            }
            if is_new && falls_on(step, self.config.eval_every) {
                self.evaluate(task)?;
            }
            if command == Command::Stop {
                return Ok(StopReason::Requested);
            }
        }
    }

    fn train_to_next_pause(&mut self, task: &mut dyn Task) -> Result<Command> {
        let until = self.next_pause(task.progress().step);
        let Session { config, control, log, observer, .. } = self;
        let is_at_end = is_at_end(until, config.max_seconds, control.interrupted);
        stretch(task, &is_at_end, control.interrupted, *observer, &mut |observer, report| {
            emit(log, observer, TrainEvent::Step(report))
        })
    }

    /// The configured limits come first, so that a finished run counts as finished whatever else might have stopped it.
    fn stop_reason(&self, task: &dyn Task) -> Option<StopReason> {
        if task.progress().step >= self.config.max_steps {
            Some(StopReason::MaxSteps)
        } else if is_over(task, self.config.max_seconds) {
            Some(StopReason::MaxSeconds)
        } else {
            self.control.stop_reason(task.progress().step)
        }
    }

    /// Returns the step of the next checkpoint, evaluation or end, whichever comes first.
    fn next_pause(&self, step: u64) -> u64 {
        let next_multiple = |every: u64| step.checked_div(every).map_or(u64::MAX, |passed| (passed + 1) * every);
        let pauses = [next_multiple(self.config.save_every), next_multiple(self.config.eval_every)];
        let end = self.control.stop_after.unwrap_or(u64::MAX).min(self.config.max_steps);
        pauses.into_iter().fold(end, u64::min)
    }

    /// Saves the task in its current state, at most once per step.
    fn save(&mut self, task: &mut dyn Task) -> Result<PathBuf> {
        let step = task.progress().step;
        if let Some((_, path)) = self.saved.as_ref().filter(|(saved, _)| *saved == step) {
            return Ok(path.clone());
        }
        let checkpoint = task.checkpoint()?;
        let path = self.run.save(&checkpoint)?;
        self.neurons = checkpoint.header.neurons;
        self.saved = Some((step, path.clone()));
        self.emit(TrainEvent::Saved { step, path: path.clone() })?;
        Ok(path)
    }

    fn evaluate(&mut self, task: &mut dyn Task) -> Result<()> {
        let event = match task.evaluate()? {
            Some(evaluated) => TrainEvent::Evaluated(evaluated),
            None => TrainEvent::Warning {
                message: "train.eval_every is set, but the scene has neither validation nor test images".to_owned(),
            },
        };
        self.emit(event)
    }

    fn say_what_is_kept(&self, error: Error) -> Error {
        let Error::Diverged { step, what, .. } = error else { return error };
        let kept = match self.run.newest_checkpoint() {
            Ok(path) => format!("the last good checkpoint is {}; try a lower optimizer.learning_rate", path.display()),
            Err(_) => "no checkpoint had been saved yet, and a lower optimizer.learning_rate may help".to_owned(),
        };
        Error::Diverged { step, what, kept }
    }
}

fn emit(log: &mut MetricsLog, observer: &mut dyn Observer, event: TrainEvent) -> Result<()> {
    log.record(&event)?;
    observer.on_event(&event)
}

/// Returns whether step `step` is a multiple of `every`; never if `every` is 0.
fn falls_on(step: u64, every: u64) -> bool {
    every != 0 && step.is_multiple_of(every)
}

#[cfg(test)]
mod tests;
