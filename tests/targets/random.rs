//! Random numbers, and the spherical harmonics.

use gridfield::device::args::{MAX_HARMONICS, RandomArgs, SphereArgs, UniformArgs};
use gridfield::device::{Device, LaunchDims, kernels};

use crate::common::Random;
use crate::compare::{Outputs, get};

pub fn philox(device: &Device) -> Outputs {
    let n = 301;
    let counter = device.upload(&Random::new(1).u32s(4 * n)).unwrap();
    let out = device.zeros::<u32>(4 * n).unwrap();
    let args = RandomArgs { key: [0x1234_5678, 0x9abc_def0], counter: counter.ptr(), out: out.ptr() };
    device.launch(&kernels::PHILOX, &args, LaunchDims::items(n)).unwrap();
    let mut outputs = Outputs::new();
    outputs.exact("random words", &get(&out));
    outputs
}

pub fn uniform_parameters(device: &Device) -> Outputs {
    let n = 1000;
    let value = device.zeros::<f32>(n).unwrap();
    let args = UniformArgs { value: value.ptr(), seed: 7, stream: 3, range: 0.375 };
    device.launch(&kernels::UNIFORM_PARAMETERS, &args, LaunchDims::items(n)).unwrap();
    let mut outputs = Outputs::new();
    // One rounding each, the same on every target.
    outputs.exact("parameters", &get(&value));
    outputs
}

pub fn spherical_harmonics_f64(device: &Device) -> Outputs {
    let n = 200;
    let mut random = Random::new(2);
    let directions: Vec<f64> = (0..n).flat_map(|_| random.direction()).collect();
    let direction = device.upload(&directions).unwrap();
    let mut outputs = Outputs::new();
    for degree in 1..=6 {
        let basis = device.zeros::<f64>(MAX_HARMONICS * n).unwrap();
        let args = SphereArgs { direction: direction.ptr(), basis: basis.ptr(), degree };
        device.launch(&kernels::SPHERICAL_HARMONICS_F64, &args, LaunchDims::items(n)).unwrap();
        // Products and sums may be fused or not: a few fp64 steps.
        outputs.rounded("basis", &get(&basis), 1e-14);
    }
    outputs
}
