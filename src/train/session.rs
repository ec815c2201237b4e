//! One training run from start to end: stretches of training, with checkpoints, evaluations and recorded events between
//! them. This module is independent of the task; a radiance field, an image or a distance field is a [`Task`].

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::event::{Evaluated, Finished, Started, StepReport};
use super::{MetricsLog, Observer, Progress, Run, RunControl, StopReason, TrainEvent, Wish};
use crate::checkpoint::Checkpoint;
use crate::config::TrainConfig;
use crate::decoder::LayerNeurons;
use crate::render::Render;
use crate::{Error, Result};

/// Time between reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Something that can be trained step by step.
pub trait Task {
    /// Returns what is about to be trained, for the first event of the run.
    fn started(&self) -> Started;

    /// Returns the progress of the run.
    fn progress(&self) -> Progress;

    /// Performs one training step, without looking at its loss.
    ///
    /// # Errors
    /// Returns an error if the device fails, and [`Error::Diverged`] if the step itself finds numbers that are not
    /// finite.
    fn train_step(&mut self) -> Result<()>;

    /// Returns whether statistics can be read after each step without waiting for the device.
    fn reads_each_step(&self) -> bool;

    /// Adds the statistics that the device has collected since they were last read to the sums of the next report.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    fn read_statistics(&mut self) -> Result<()>;

    /// Returns the sum of the losses since the last report, as far as they have been read.
    fn summed_loss(&self) -> f64;

    /// Returns the averages since the last report, made at the moment `since`, and resets the sums; None if there was
    /// no progress.
    fn averages(&mut self, since: Instant) -> Option<StepReport>;

    /// Performs one training step and checks its loss.
    ///
    /// # Errors
    /// Returns the errors of [`Task::train_step`], and [`Error::Diverged`] if the loss is found not to be finite. If
    /// reading the loss would mean waiting for the device, this check is left to [`Task::report`].
    fn advance(&mut self) -> Result<()> {
        self.train_step()?;
        if self.reads_each_step() {
            self.read_statistics()?;
        }
        check_loss(self)
    }

    /// Returns the progress since the last report, made at the moment `since`; None if there was no progress.
    ///
    /// # Errors
    /// Returns an error if the device fails, and [`Error::Diverged`] if the loss is not finite.
    fn report(&mut self, since: Instant) -> Result<Option<StepReport>> {
        self.read_statistics()?;
        check_loss(self)?;
        Ok(self.averages(since))
    }

    /// Returns a checkpoint with everything needed to render the field, and to resume training with the same bits.
    ///
    /// # Errors
    /// Returns an error if the device cannot be read, and [`Error::Diverged`] if the learned parameters give numbers
    /// that are not finite.
    fn checkpoint(&mut self) -> Result<Checkpoint<'_>>;

    /// Evaluates the field on the validation images; returns None if the scene has none.
    ///
    /// # Errors
    /// Returns an error if an image cannot be read, and [`Error::Diverged`] as for a checkpoint.
    fn evaluate(&mut self) -> Result<Option<Evaluated>>;

    /// Returns a renderer of the field in its current state, which does not change with later steps; None if the task's
    /// field cannot be rendered from a camera. Training continues with the same bits as without the call.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    fn snapshot(&self) -> Result<Option<Box<dyn Render>>> {
        Ok(None)
    }
}

fn check_loss<T: Task + ?Sized>(task: &T) -> Result<()> {
    let loss = task.summed_loss();
    if loss.is_finite() {
        return Ok(());
    }
    Err(Error::diverged(task.progress().step, format!("the loss became {loss}")))
}

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

/// Trains `task` until `is_at_end` is true or the observer asks for anything but a step, and returns its last wish.
/// Reports at intervals and at the end.
fn stretch(
    task: &mut dyn Task,
    is_at_end: &dyn Fn(&dyn Task) -> bool,
    interrupted: &AtomicBool,
    observer: &mut dyn Observer,
    report: &mut dyn FnMut(&mut dyn Observer, StepReport) -> Result<()>,
) -> Result<Wish> {
    let mut reported = Instant::now();
    let mut wish = Wish::Step;
    while wish == Wish::Step && !is_at_end(task) {
        let held = Instant::now();
        wish = observer.between_steps(task, interrupted);
        // Time spent in the observer belongs to no step, so that the reported speed is that of training.
        reported += held.elapsed();
        // The observer may have held the run until it was interrupted.
        if wish == Wish::Step && !is_at_end(task) {
            task.advance()?;
        }
        if reported.elapsed() >= REPORT_EVERY {
            task.report(reported)?.map_or(Ok(()), |step_report| report(observer, step_report))?;
            reported = Instant::now();
        }
    }
    task.report(reported)?.map_or(Ok(()), |step_report| report(observer, step_report))?;
    Ok(wish)
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
            let wish = self.train_to_next_pause(task)?;
            let step = task.progress().step;
            // A stretch without a step, as while the run is paused, must not repeat the checkpoint or evaluation before
            // it.
            let is_new = step > begin;
            if wish == Wish::Save || is_new && falls_on(step, self.config.save_every) {
                self.save(task)?;
            }
            if is_new && falls_on(step, self.config.eval_every) {
                self.evaluate(task)?;
            }
            if wish == Wish::Stop {
                return Ok(StopReason::Requested);
            }
        }
    }

    fn train_to_next_pause(&mut self, task: &mut dyn Task) -> Result<Wish> {
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
