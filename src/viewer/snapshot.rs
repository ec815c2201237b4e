//! Copies of a field in training, from which pictures are rendered.

use std::time::{Duration, Instant};

use crate::render::Render;

/// A field as it was after some step.
pub(super) struct Snapshot {
    /// Renders the copy.
    pub renderer: Box<dyn Render>,
    /// Number of completed steps.
    pub step: u64,
    /// When the copy was made.
    pub made: Instant,
    /// Time that it took to make.
    pub cost: Duration,
}
