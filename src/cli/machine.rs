//! The flags that say what to compute on, shared by every command that computes.

use clap::{Args, ValueEnum};

/// Where the work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    /// The GPU where there is one, else the CPU
    Auto,
    /// The processor
    Cpu,
    /// An NVIDIA GPU; an error where there is none
    Cuda,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// What to compute on; see `gridfield devices`
    #[arg(long, value_enum, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceArg,

    /// CPU threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

impl MachineArgs {
    /// Makes the threads that every parallel part of the library shares. Once per process, before any of them runs.
    pub fn start_threads(&self) -> anyhow::Result<()> {
        let threads = self.threads.map_or(0, usize::from);
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
        Ok(())
    }
}
