//! Points in a device's work, for the time that a stage takes.

use std::time::Instant;

use cudarc::driver::CudaEvent;

use super::{Cuda, Device};
use crate::Result;

/// A point in a device's work. On a GPU it is an event in the queue, and marking waits for nothing.
pub enum Mark {
    Host(Instant),
    Cuda(Cuda, CudaEvent),
}

impl Device {
    /// Marks the end of the work launched so far.
    pub fn mark(&self) -> Result<Mark> {
        match self {
            Device::Cuda(cuda) => Ok(Mark::Cuda(cuda.clone(), cuda.mark()?)),
            _ => Ok(Mark::Host(Instant::now())),
        }
    }
}

impl Mark {
    /// Seconds of work between an earlier mark of the same device and this one; waits for this one.
    pub fn seconds_since(&self, earlier: &Mark) -> Result<f64> {
        match (earlier, self) {
            (Mark::Host(begin), Mark::Host(end)) => Ok(end.duration_since(*begin).as_secs_f64()),
            (Mark::Cuda(cuda, begin), Mark::Cuda(_, end)) => cuda.seconds_between(begin, end),
            _ => panic!("marks of two devices"),
        }
    }
}
