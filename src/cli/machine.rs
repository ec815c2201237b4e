//! The flags that choose the device and the threads, shared by every command that computes.

use clap::{Args, ValueEnum};

use super::print;
use crate::device::{Device, DeviceChoice};
use crate::ranks::Ranks;

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

    /// CPU threads [default: one per core, of which ranks on the same cores each take a share]
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

impl MachineArgs {
    /// As [`MachineArgs::open_device`], for a command that `ranks` share.
    pub fn open_device_among(&self, ranks: &Ranks) -> anyhow::Result<Device> {
        if ranks.is_alone() {
            return self.open_device();
        }
        if self.device == DeviceArg::Cuda {
            let what = "several ranks compute on CPUs only; give --device cpu, or start one process";
            return Err(crate::Error::config(what).into());
        }
        let threads = self.threads.map_or_else(|| share_of_cores(ranks), usize::from);
        let device = Device::open(DeviceChoice::Cpu, threads)?;
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
        Ok(device)
    }
}

/// Returns the number of cores that this rank may use, divided by the number of ranks that may use the same; at least
/// one. A launcher that binds each rank to cores of its own has divided them already.
fn share_of_cores(ranks: &Ranks) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / ranks.on_the_same_cores()).max(1)
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
