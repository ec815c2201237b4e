//! Points on, near and around a mesh.

use gridfield::device::{Device, LaunchDims, kernels};
use gridfield::mesh::{Sampler, Scatter};

use crate::compare::{Outputs, get};
use crate::shapes;

/// Sums of products around 1, a root and a logarithm.
const FP32: f64 = 2e-6;
const POINTS: usize = 300;

pub fn surface_points(device: &Device) -> Outputs {
    let mesh = shapes::torus(10);
    let sampler = Sampler::new(device, &mesh, (0..mesh.triangles.len() as u32).rev()).unwrap();
    let (position, bound) = (device.zeros::<f32>(3 * POINTS).unwrap(), device.zeros::<f32>(POINTS).unwrap());
    let triangle = device.zeros::<u32>(POINTS).unwrap();
    let mut outputs = Outputs::new();
    for (deviation, stream) in [(0.0, 0), (0.01, 1)] {
        let scatter = Scatter { seed: 7, step: 3, stream, deviation, n: 1000, first: 200 };
        let args = sampler.args(&scatter, position.ptr(), bound.ptr(), triangle.ptr());
        device.launch(&kernels::SURFACE_POINTS, &args, LaunchDims::items(POINTS)).unwrap();
        outputs.rounded("position", &get(&position), FP32);
        outputs.rounded("bound", &get(&bound), 1e-5);
        outputs.exact("triangle", &get(&triangle));
    }
    outputs
}

pub fn cube_points(device: &Device) -> Outputs {
    let sampler = Sampler::new(device, &shapes::cube(1), 0..12).unwrap();
    let (position, bound) = (device.zeros::<f32>(3 * POINTS).unwrap(), device.zeros::<f32>(POINTS).unwrap());
    let scatter = Scatter { seed: 7, step: 3, stream: 0, deviation: 0.0, n: 1000, first: 200 };
    let args = sampler.args(&scatter, position.ptr(), bound.ptr(), gridfield::device::Ptr::NULL);
    device.launch(&kernels::CUBE_POINTS, &args, LaunchDims::items(POINTS)).unwrap();
    let mut outputs = Outputs::new();
    outputs.exact("position", &get(&position));
    outputs.exact("bound", &get(&bound));
    outputs
}
