//! The eikonal term: stencil corners, their loss and its gradient.

use gridfield::device::args::EikonalArgs;
use gridfield::device::{Buffer, Device, LaunchDims, kernels};

use crate::common::Random;
use crate::compare::{Outputs, get};

const FP32: f64 = 1e-6;
/// A root, a quotient, and sums of numbers of different signs.
const LOSS: f64 = 5e-6;

const WITH_TARGET: usize = 250;
const STENCILS: usize = 20;
const SAMPLES: usize = WITH_TARGET + 4 * STENCILS;

struct Stencils {
    position: Buffer<f32>,
    output: Buffer<f32>,
    dl_doutput: Buffer<f32>,
    loss: Buffer<f32>,
    squared_error: Buffer<f32>,
}

impl Stencils {
    /// Creates stencils with slopes from 0 to 5; the first stencil is flat.
    fn new(device: &Device) -> Self {
        let mut random = Random::new(57);
        let mut output = random.f32s(SAMPLES, -0.1, 0.1);
        output[WITH_TARGET..WITH_TARGET + 4].fill(0.5);
        let mut values = |n| device.upload(&random.f32s(n, 0.0, 1.0)).unwrap();
        Stencils {
            position: values(3 * SAMPLES),
            dl_doutput: values(SAMPLES),
            loss: values(SAMPLES),
            squared_error: values(SAMPLES),
            output: device.upload(&output).unwrap(),
        }
    }

    fn args(&self) -> EikonalArgs<'_> {
        EikonalArgs {
            position: self.position.ptr(),
            output: self.output.ptr(),
            dl_doutput: self.dl_doutput.ptr(),
            loss: self.loss.ptr(),
            squared_error: self.squared_error.ptr(),
            n_with_target: WITH_TARGET as u32,
            n_stencils: STENCILS as u32,
            step: 0.02,
            weight: 3.0,
            scale: 0.5,
        }
    }
}

pub fn eikonal_points(device: &Device) -> Outputs {
    let stencils = Stencils::new(device);
    device.launch_chunk(&kernels::EIKONAL_POINTS, &stencils.args(), LaunchDims::items(STENCILS)).unwrap();
    let mut outputs = Outputs::new();
    outputs.rounded("positions", &get(&stencils.position), FP32);
    outputs
}

pub fn eikonal_loss(device: &Device) -> Outputs {
    let stencils = Stencils::new(device);
    device.launch_chunk(&kernels::EIKONAL_LOSS, &stencils.args(), LaunchDims::items(STENCILS)).unwrap();
    let mut outputs = Outputs::new();
    outputs.rounded("dL/dvalues", &get(&stencils.dl_doutput), LOSS);
    outputs.rounded("loss", &get(&stencils.loss), LOSS);
    outputs.exact("squared error", &get(&stencils.squared_error));
    outputs
}
