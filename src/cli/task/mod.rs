//! What `eval`, `render` and `export` do with a trained field, one file per task. The files of those commands parse the
//! arguments, refuse what another task needs, and dispatch to here.

pub mod image;
pub mod radiance;
pub mod sdf;

use super::machine::MachineArgs;
use super::run_args::RunArgs;
use crate::checkpoint::Checkpoint;
use crate::config::TaskName;
use crate::device::Device;
use crate::train::run::Resolved;

/// A trained field that a command works on.
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
