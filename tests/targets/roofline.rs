//! The loops that measure the machine's peak throughput.

use gridfield::device::args::{ROOFLINE_CHAINS, RooflineArgs};
use gridfield::device::{Device, Kernel, LaunchDims, kernels};

use crate::common::Random;
use crate::compare::{Outputs, get};

const ITEMS: usize = 200;
/// Number of groups of four numbers in the input; a power of two.
const GROUPS: usize = 256;

fn run(device: &Device, kernel: &Kernel<RooflineArgs<'static>>, input: &[f32], turns: u32) -> Vec<f32> {
    let input = device.upload(input).unwrap();
    let output = device.zeros::<f32>(4 * ITEMS).unwrap();
    let lanes = device.zeros::<u32>(1).unwrap();
    let args =
        RooflineArgs { input: input.ptr(), output: output.ptr(), lanes: lanes.ptr(), turns, n_groups: GROUPS as u32 };
    device.launch(kernel, &args, LaunchDims::items(ITEMS)).unwrap();
    get(&output)
}

pub fn roofline_copy(device: &Device) -> Outputs {
    let input = Random::new(51).f32s(4 * GROUPS, -1.0, 1.0);
    let mut outputs = Outputs::new();
    outputs.exact("copy", &run(device, &kernels::ROOFLINE_COPY, &input, 1));
    outputs
}

pub fn roofline_gather(device: &Device) -> Outputs {
    let input = Random::new(52).f32s(4 * GROUPS, -1.0, 1.0);
    let mut outputs = Outputs::new();
    // Thirty sums of similar numbers, which a compiler may add in a different order.
    outputs.rounded("sums", &run(device, &kernels::ROOFLINE_GATHER, &input, 30), 1e-5);
    outputs
}

/// With a factor of 1, numbers stay integers. The host returns the sum of two lanes.
pub fn roofline_fma(device: &Device) -> Outputs {
    let sums = run(device, &kernels::ROOFLINE_FMA, &[1.0, 2.0], 10);
    let lanes = if device.is_host() { 2.0 } else { 1.0 };
    let chains = ROOFLINE_CHAINS as f32;
    for (i, sum) in sums[..ITEMS].iter().enumerate() {
        assert_eq!(*sum, lanes * chains * (i as f32 + (chains - 1.0) / 2.0 + 20.0));
    }
    Outputs::new()
}
