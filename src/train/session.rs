//! One training run from start to end: training in stretches, with checkpoints, evaluations and the record of events
//! between them. It knows no task; a radiance field, an image or a distance field is a [`Task`].

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::progress::{Evaluated, Finished, Started, StepReport};
use super::{Checkpoint, MetricsLog, Run, RunControl, StopReason, TrainEvent};
use crate::config::TrainConfig;
use crate::decoder::LayerNeurons;
use crate::{Error, Result};

/// Between reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Something that can be trained step by step.
pub trait Task {
    /// What is about to be trained, for the first event of the run.
    fn started(&self) -> Started;

    /// Steps behind.
    fn step(&self) -> u64;

    /// Seconds of training behind, loading, saving and evaluating not counted.
    fn seconds(&self) -> f64;

    /// One training step.
    ///
    /// # Errors
    /// [`Error::Diverged`] where the loss is seen not to be finite. Where reading it means to wait for the device, that is
    /// left to [`Task::report`].
    fn advance(&mut self) -> Result<()>;

    /// How training went since the last report, the moment `since`; None where it did not.
    ///
    /// # Errors
    /// Of the device; [`Error::Diverged`] where the loss is not finite.
    fn report(&mut self, since: Instant) -> Result<Option<StepReport>>;

    /// Everything needed to render, and to go on from here bit for bit.
    ///
    /// # Errors
    /// Where the device cannot be read; [`Error::Diverged`] where what was learned gives no finite numbers.
    fn checkpoint(&mut self) -> Result<Checkpoint<'_>>;

    /// Measures the field on the validation images; None where the scene has none.
    ///
    /// # Errors
    /// Where an image cannot be read; [`Error::Diverged`] as for a checkpoint.
    fn evaluate(&mut self) -> Result<Option<Evaluated>>;
}

/// Trains `task` until `step` steps or `max_seconds` seconds of training are behind, or `interrupted` is set, and reports now
/// and then, and at the end.
///
/// # Errors
/// Of the task; whatever `report` returns.
pub fn train_until(
    task: &mut dyn Task,
    step: u64,
    max_seconds: Option<f64>,
    interrupted: &AtomicBool,
    report: &mut dyn FnMut(StepReport) -> Result<()>,
) -> Result<()> {
    let mut reported = Instant::now();
    while task.step() < step && !is_over(task, max_seconds) && !interrupted.load(Ordering::Relaxed) {
        task.advance()?;
        if reported.elapsed() >= REPORT_EVERY {
            task.report(reported)?.map_or(Ok(()), &mut *report)?;
            reported = Instant::now();
        }
    }
    task.report(reported)?.map_or(Ok(()), report)
}

fn is_over(task: &dyn Task, max_seconds: Option<f64>) -> bool {
    max_seconds.is_some_and(|limit| task.seconds() >= limit)
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub reason: StopReason,
    /// The checkpoint of the last step.
    pub checkpoint: PathBuf,
}

/// Trains `task` to the end of its run, or to where `control` says, with everything it leaves behind in `run`. Each
/// event goes to the run's `metrics.jsonl` and then to `on_event`.
///
/// # Errors
/// Where the loss diverges, the run's folder cannot be written, or `on_event` fails. The checkpoints saved before stand.
pub fn train(
    task: &mut dyn Task,
    run: &Run,
    config: &TrainConfig,
    control: &RunControl<'_>,
    on_event: &mut dyn FnMut(&TrainEvent) -> Result<()>,
) -> Result<Ended> {
    run.prepare_to_resume(task.step())?;
    let log = MetricsLog::open(&run.metrics_path(), task.step())?;
    let mut session = Session { run, config, control, log, on_event, saved: None, neurons: Vec::new() };
    session.emit(TrainEvent::Started(task.started()))?;
    let trained = session.train(task).and_then(|reason| Ok((reason, session.save(task)?)));
    let (reason, checkpoint) = trained.map_err(|error| session.say_what_is_kept(error))?;
    let (step, seconds) = (task.step(), task.seconds());
    let neurons = std::mem::take(&mut session.neurons);
    session.emit(TrainEvent::Finished(Finished { step, seconds, reason, neurons }))?;
    Ok(Ended { reason, checkpoint })
}

struct Session<'a> {
    run: &'a Run,
    config: &'a TrainConfig,
    control: &'a RunControl<'a>,
    log: MetricsLog,
    on_event: &'a mut dyn FnMut(&TrainEvent) -> Result<()>,
    /// The last checkpoint of this session.
    saved: Option<(u64, PathBuf)>,
    /// Neurons of the field in it.
    neurons: Vec<LayerNeurons>,
}

impl Session<'_> {
    fn emit(&mut self, event: TrainEvent) -> Result<()> {
        self.log.record(&event)?;
        (self.on_event)(&event)
    }

    fn train(&mut self, task: &mut dyn Task) -> Result<StopReason> {
        loop {
            if let Some(reason) = self.stop_reason(task) {
                return Ok(reason);
            }
            let until = self.next_pause(task.step());
            let interrupted = self.control.interrupted;
            let max_seconds = self.config.max_seconds;
            train_until(task, until, max_seconds, interrupted, &mut |report| self.emit(TrainEvent::Step(report)))?;
            if falls_on(task.step(), self.config.save_every) {
                self.save(task)?;
            }
            if falls_on(task.step(), self.config.eval_every) {
                self.evaluate(task)?;
            }
        }
    }

    /// A finished run is finished, whatever else might have stopped it.
    fn stop_reason(&self, task: &dyn Task) -> Option<StopReason> {
        if task.step() >= self.config.max_steps {
            Some(StopReason::MaxSteps)
        } else if is_over(task, self.config.max_seconds) {
            Some(StopReason::MaxSeconds)
        } else {
            self.control.stop_reason(task.step())
        }
    }

    /// The step of the next checkpoint, evaluation or end, whichever comes first.
    fn next_pause(&self, step: u64) -> u64 {
        let next_multiple = |every: u64| step.checked_div(every).map_or(u64::MAX, |passed| (passed + 1) * every);
        let pauses = [next_multiple(self.config.save_every), next_multiple(self.config.eval_every)];
        let end = self.control.stop_after.unwrap_or(u64::MAX).min(self.config.max_steps);
        pauses.into_iter().fold(end, u64::min)
    }

    /// Saves the task as it is now, once for a step.
    fn save(&mut self, task: &mut dyn Task) -> Result<PathBuf> {
        let step = task.step();
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

/// Whether step `step` is one of every `every` steps, 0 for never.
fn falls_on(step: u64, every: u64) -> bool {
    every != 0 && step.is_multiple_of(every)
}

#[cfg(test)]
mod tests;
