//! Events in a device's work, for measuring the time that a stage takes.

use std::time::Instant;

use cudarc::driver::CudaEvent;

use super::{Cuda, Device};
use crate::Result;

/// A point in a device's work. On a GPU it is an event in the queue, and recording it does not wait.
pub enum Event {
    /// A moment on the host, whose launches return when their work is done.
    Host(Instant),
    /// An event in a GPU's queue.
    Cuda(Cuda, CudaEvent),
}

impl Device {
    /// Records an event at the end of the work launched so far.
    pub fn record_event(&self) -> Result<Event> {
        match self {
            Device::Cuda(cuda) => Ok(Event::Cuda(cuda.clone(), cuda.record_event()?)),
            _ => Ok(Event::Host(Instant::now())),
        }
    }
}

impl Event {
    /// Returns the seconds between an earlier event of the same device and this one. Waits for this one.
    pub fn seconds_since(&self, earlier: &Event) -> Result<f64> {
        match (earlier, self) {
            (Event::Host(begin), Event::Host(end)) => Ok(end.duration_since(*begin).as_secs_f64()),
            (Event::Cuda(cuda, begin), Event::Cuda(_, end)) => cuda.seconds_between(begin, end),
            _ => panic!("marks of two devices"),
        }
    }
}
