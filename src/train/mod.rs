//! The parts that all training tasks share: schedules, progress events, checkpoints and the run folder.

mod adam;
pub mod checkpoint;
pub mod log;
pub mod progress;
mod report;
pub mod run;
pub mod schedule;
pub mod session;

pub use adam::{Adam, AdamStep, Moments};
pub use checkpoint::{Checkpoint, Header, Tensor, TensorData};
pub use log::MetricsLog;
pub use progress::{RunControl, StopReason, TrainEvent};
pub use report::{Experiment, Origin};
pub use run::Run;

/// The version of this crate, as `0.1.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git commit that this binary was built from, or `unknown` if the build could not query git.
pub const COMMIT: &str = match option_env!("GRIDFIELD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
