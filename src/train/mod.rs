//! The parts that all training tasks share: optimizer, schedules, the training loop, progress events and the run
//! folder.

mod adam;
pub mod event;
pub mod latest;
mod lead;
mod log;
mod observer;
mod progress;
mod report;
mod resolve;
pub mod run;
pub mod schedule;
pub mod session;
mod task;

pub use event::{RunControl, StopReason, TrainEvent};
pub(crate) use lead::same_program;
pub use lead::{follow, lead};
use log::MetricsLog;
pub use observer::{Command, Observer};
pub(crate) use progress::IN_TRAINING;
pub use progress::Progress;
pub use report::{Experiment, Origin};
pub use resolve::Resolved;
pub use run::{OUTPUT_DIR, Run};
pub use task::Task;

internal_use!(adam::{Adam, AdamStep, Moments});
