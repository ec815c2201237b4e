//! Observers of a training run: displays, logs and viewers.

use std::sync::atomic::AtomicBool;

use super::Task;
use super::TrainEvent;
use crate::Result;

/// What an observer asks of a run between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take the next step.
    Continue,
    /// Save a checkpoint of the current step, then continue.
    Save,
    /// Save a checkpoint and end the run.
    Stop,
}

/// Receives the events of a run, and may inspect the task between its steps. Every closure that takes an event is an
/// observer.
pub trait Observer {
    /// Is called with each event after it has been recorded.
    ///
    /// # Errors
    /// An error ends the run.
    fn on_event(&mut self, event: &TrainEvent) -> Result<()>;

    /// Is called before each step. The observer may inspect the task and may pause the run, but should return soon
    /// after `interrupted` is set. Time spent here does not count as training time.
    fn between_steps(&mut self, _task: &dyn Task, _interrupted: &AtomicBool) -> Command {
        Command::Continue
    }
}

impl<F: FnMut(&TrainEvent) -> Result<()>> Observer for F {
    fn on_event(&mut self, event: &TrainEvent) -> Result<()> {
        self(event)
    }
}
