//! `gridfield devices`: list the devices that can train and render on this machine.

use clap::Args;

use super::outcome::Outcome;
use super::print;
use crate::device::{Device, DeviceChoice};

#[derive(Debug, Args)]
pub struct DevicesArgs {}

impl DevicesArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let line = |choice| match Device::open(choice, 0) {
            Ok(device) => device.describe(),
            Err(why) => format!("none: {why}"),
        };
        print::to_stdout(&format!("cpu   {}", line(DeviceChoice::Cpu)))?;
        print::to_stdout(&format!("cuda  {}", line(DeviceChoice::Cuda)))?;
        Ok(Outcome::Done)
    }
}
