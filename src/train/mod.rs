//! The parts that all training tasks share: optimizer, schedules, the training loop, progress events and the run folder.

mod adam;
pub mod log;
pub mod progress;
mod report;
pub mod run;
pub mod schedule;
pub mod session;

pub use adam::{Adam, AdamStep, Moments};
pub use log::MetricsLog;
pub use progress::{RunControl, StopReason, TrainEvent};
pub use report::{Experiment, Origin};
pub use run::Run;
