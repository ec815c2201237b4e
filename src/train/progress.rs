//! Progress of a training run.

use std::time::Instant;

use crate::checkpoint::Header;

/// Name, in messages, of a field that comes from no file.
pub(crate) const IN_TRAINING: &str = "the field in training";

/// Progress of a training run, over all of its sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Number of completed steps.
    pub step: u64,
    /// Seconds of training, excluding loading, saving and evaluating.
    pub seconds: f64,
}

impl Progress {
    /// Returns the progress at which a checkpoint was made.
    pub fn of(header: &Header) -> Progress {
        Progress { step: header.step, seconds: header.seconds }
    }

    /// Counts a step that began at the moment `begun` and is now complete.
    pub(crate) fn count_step(&mut self, begun: Instant) {
        self.step += 1;
        self.seconds += begun.elapsed().as_secs_f64();
    }
}
