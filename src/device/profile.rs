//! Where the time goes: calls and seconds of each kernel, for measurements.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Time that threads spent in a kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KernelTime {
    pub calls: u64,
    /// Summed over threads.
    pub time: Duration,
}

/// Kernel times by name, gathered from all threads.
#[derive(Debug, Default)]
pub struct Profile {
    kernels: Mutex<BTreeMap<&'static str, KernelTime>>,
}

impl Profile {
    pub(super) fn add(&self, kernel: &'static str, time: Duration) {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kernels.entry(kernel).or_default();
        entry.calls += 1;
        entry.time += time;
    }

    /// The times since this was last called.
    pub fn take(&self) -> BTreeMap<&'static str, KernelTime> {
        std::mem::take(&mut *self.kernels.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
