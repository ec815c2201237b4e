//! What can be trained step by step: a radiance field, an image, a distance field.

use std::time::Instant;

use super::Progress;
use super::event::{Evaluated, Started, StepReport};
use crate::checkpoint::Checkpoint;
use crate::render::Render;
use crate::{Error, Result};

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

    /// Sets the seconds of training so far. Where several ranks train together, each has a clock of its own, and the
    /// schedule of a run follows that of rank 0.
    fn set_seconds(&mut self, seconds: f64);

    /// Adds the statistics that the device has collected since they were last read, on all ranks, to the sums of the
    /// next report.
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

    /// Takes part in a checkpoint that another rank makes: brings together what ranks keep apart between steps, and
    /// checks that they hold the same field.
    ///
    /// # Errors
    /// Returns an error if the device fails, or if the field is not that of the other ranks.
    fn join_checkpoint(&mut self) -> Result<()>;

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
