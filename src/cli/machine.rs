//! The flags that choose the device and the threads, shared by every command that computes.

use clap::{Args, ValueEnum};

use super::print;
use crate::device::{Device, DeviceChoice};

/// Device to compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    /// The GPU if there is one, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// An NVIDIA GPU; an error if there is none
    Cuda,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Device to compute on; see `gridfield devices`
    #[arg(long, value_enum, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceArg,

    /// CPU threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

impl MachineArgs {
    /// Opens the device, and gives the same number of threads to the parts of the library that use no device, such as
    /// image decoding. Where a GPU may be expected and the device is the CPU, prints why. Must be called at most once per
    /// process.
    pub fn open_device(&self) -> anyhow::Result<Device> {
        let threads = self.threads.map_or(0, usize::from);
        let device = match self.device.into() {
            DeviceChoice::Auto => {
                let (device, why_no_gpu) = Device::open_auto(threads)?;
                if let Some(why) = why_no_gpu {
                    print::to_stderr(&format!("gridfield: on the CPU, since {why}"));
                }
                device
            }
            choice => Device::open(choice, threads)?,
        };
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
        Ok(device)
    }
}

impl From<DeviceArg> for DeviceChoice {
    fn from(arg: DeviceArg) -> DeviceChoice {
        match arg {
            DeviceArg::Auto => DeviceChoice::Auto,
            DeviceArg::Cpu => DeviceChoice::Cpu,
            DeviceArg::Cuda => DeviceChoice::Cuda,
        }
    }
}
