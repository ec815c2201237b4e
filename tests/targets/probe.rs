//! The kernel with which a GPU is probed when it is opened.

use gridfield::device::args::ProbeArgs;
use gridfield::device::{Device, LaunchDims, kernels};

use crate::compare::{Outputs, get};

pub fn probe(device: &Device) -> Outputs {
    let ran = device.zeros::<u32>(1).unwrap();
    device.launch(&kernels::PROBE, &ProbeArgs { ran: ran.ptr() }, LaunchDims::items(1)).unwrap();
    assert_eq!(get(&ran), [1]);
    Outputs::new()
}
