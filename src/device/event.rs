//! Events in a device's work, for measuring the time that a stage takes.

use std::time::Instant;

use cudarc::driver::CudaEvent;

use super::Cuda;
use crate::Result;

/// A point in a device's work. On a GPU it is an event in the queue, and recording it does not wait.
pub enum Event {
    /// A moment on the host, whose launches return when their work is done.
    Host(Instant),
    /// An event in a GPU's queue.
    Cuda(Cuda, CudaEvent),
}

impl Event {
    /// Returns the seconds between an earlier event of the same device and this one. Waits for this one.
    pub fn seconds_since(&self, earlier: &Event) -> Result<f64> {
        match (earlier, self) {
            (Event::Host(begin), Event::Host(end)) => Ok(end.duration_since(*begin).as_secs_f64()),
            (Event::Cuda(cuda, begin), Event::Cuda(_, end)) => cuda.seconds_between(begin, end),
            _ => panic!("events of two devices"),
        }
    }
}
