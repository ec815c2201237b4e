//! Profiling: the number of calls and the time of each kernel.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Result;

/// Returns the CPU time of the calling thread since some fixed moment. Unlike wall-clock time, it does not advance
/// while another program has the core.
#[cfg(unix)]
pub(super) fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Unix, and `time` is a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Returns wall-clock time, on systems without a per-thread clock.
#[cfg(not(unix))]
pub(super) fn thread_time() -> Duration {
    static BEGIN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    BEGIN.elapsed()
}

/// CPU time that threads spent in a kernel, or the time that a GPU spent in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KernelTime {
    /// Number of launches.
    pub calls: u64,
    /// Total time over all threads.
    pub time: Duration,
}

/// Kernel times by name, collected from all threads.
#[derive(Default)]
pub struct Profile {
    kernels: Mutex<BTreeMap<&'static str, KernelTime>>,
    /// Launches on a GPU that it may not have reached yet.
    queued: Mutex<Vec<(&'static str, Wait)>>,
}

/// Waits for a queued launch and returns the time that it took.
type Wait = Box<dyn FnOnce() -> Result<Duration> + Send>;

impl Profile {
    pub(super) fn add(&self, kernel: &'static str, time: Duration) {
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kernels.entry(kernel).or_default();
        entry.calls += 1;
        entry.time += time;
    }

    pub(super) fn add_queued(&self, kernel: &'static str, wait: Wait) {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner).push((kernel, wait));
    }

    /// Returns the times since the last call. Waits for queued launches.
    pub fn take(&self) -> Result<BTreeMap<&'static str, KernelTime>> {
        for (kernel, wait) in std::mem::take(&mut *self.queued.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.add(kernel, wait()?);
        }
        Ok(std::mem::take(&mut *self.kernels.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
