//! The trained field that a command works on.

use super::machine::MachineArgs;
use super::run_args::RunArgs;
use crate::checkpoint::Checkpoint;
use crate::config::TaskName;
use crate::device::Device;
use crate::ranks::Ranks;
use crate::train::{Resolved, same_program};

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
        Trained::open_among(&Ranks::alone(), run, machine)
    }

    /// As [`Trained::open`], for a command that `ranks` share: each of them reads the checkpoint.
    ///
    /// # Errors
    /// Returns the same errors, and one on all ranks if they run different programs or read different checkpoints.
    pub fn open_among(ranks: &Ranks, run: &RunArgs, machine: &MachineArgs) -> anyhow::Result<Self> {
        let resolved = run.resolve()?;
        let device = machine.open_device_among(ranks)?;
        let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
        if !ranks.is_alone() {
            let header = &checkpoint.header;
            same_program(ranks, &header.config, &device)?;
            ranks.agree("checkpoint", &format_args!("step {}, {:016x}", header.step, checkpoint.digest()))?;
        }
        Ok(Trained { device, resolved, checkpoint })
    }

    pub fn task(&self) -> TaskName {
        self.checkpoint.header.config.task
    }
}
