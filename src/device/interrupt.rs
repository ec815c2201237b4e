//! Ending a computation early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// A request to end what a renderer or a predictor computes, which another thread may make at any time. Clones share the
/// request.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Makes the request, or takes it back.
    pub fn set(&self, requested: bool) {
        self.0.store(requested, Ordering::Relaxed);
    }

    /// Checks that the end has not been requested.
    ///
    /// # Errors
    /// Returns [`Error::Interrupted`] if it has.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
