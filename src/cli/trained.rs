//! The trained field that a command works on.

use super::machine::MachineArgs;
use super::run_args::RunArgs;
use crate::checkpoint::Checkpoint;
use crate::config::TaskName;
use crate::device::Device;
use crate::train::Resolved;

/// A trained field, the device that it is on, and where it was found.
pub struct Trained {
    pub device: Device,
    pub resolved: Resolved,
    pub checkpoint: Checkpoint<'static>,
}

impl Trained {
    /// Opens the device, and reads the checkpoint that a `RUN` argument refers to.
    ///
    /// # Errors
    /// Returns an error if there is no such run, the device cannot be opened or the checkpoint cannot be read.
    pub fn open(run: &RunArgs, machine: &MachineArgs) -> anyhow::Result<Self> {
        let resolved = run.resolve()?;
        let device = machine.open_device()?;
        let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
        Ok(Trained { device, resolved, checkpoint })
    }

    pub fn task(&self) -> TaskName {
        self.checkpoint.header.config.task
    }
}
