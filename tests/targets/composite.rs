//! Compositing, its gradient, and the statistics of a step.

use gridfield::device::args::{
    CentreArgs, CompositeArgs, CompositeRayArgs, MAX_ROUNDS, RayLosses, STATISTICS_PART, Space, StatisticsArgs,
};
use gridfield::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::Random;
use crate::compare::{Outputs, get, set};

const RAYS: usize = 150;
const ROUNDS: usize = 2;
const N_IMAGES: usize = 7;

/// Exponentials differ by one or two fp32 steps between maths libraries, and a ray multiplies about ten of them.
const FP32: f64 = 2e-5;

/// Returns rays with zero to nine samples in each of two rounds, some of them opaque, some finished, one dropped.
fn chunk(device: &Device) -> Chunk {
    let mut random = Random::new(21);
    let mut begin = vec![0u32; MAX_ROUNDS * RAYS];
    let mut count = vec![0u32; MAX_ROUNDS * RAYS];
    let mut counts = vec![0u32; MAX_ROUNDS + 2];
    let mut n = 0;
    for round in 0..ROUNDS {
        for ray in 0..RAYS {
            begin[round * RAYS + ray] = n;
            count[round * RAYS + ray] = (random.bits() % 10) as u32;
            n += count[round * RAYS + ray];
        }
        counts[round + 1] = n;
    }
    let samples = n as usize;
    let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: RAYS, samples }).unwrap();
    chunk.n_rays = RAYS;
    set(&mut chunk.rays.segment_begin, &begin);
    set(&mut chunk.rays.segment_count, &count);
    set(&mut chunk.samples.count, &counts);
    let density: Vec<f32> = (0..samples)
        .map(|_| if random.bits().is_multiple_of(8) { 400.0 } else { random.between(0.0, 10.0) } as f32)
        .collect();
    set(&mut chunk.samples.density, &density);
    set(&mut chunk.samples.color, &random.f32s(3 * samples, 0.0, 1.0));
    set(&mut chunk.samples.dt, &random.f32s(samples, 0.01, 0.03));
    set(&mut chunk.samples.t, &random.f32s(samples, 0.0, 2.0));
    let mut t = vec![0.5; RAYS];
    t[3] = -1.0;
    t[100] = -2.0;
    set(&mut chunk.rays.t, &t);
    set(&mut chunk.rays.transmittance, &[1.0; RAYS]);
    set(&mut chunk.rays.target, &random.f32s(4 * RAYS, 0.0, 1.0));
    set(&mut chunk.rays.t_end, &random.f32s(RAYS, 2.0, 3.0));
    set(&mut chunk.rays.target_t, &random.f32s(RAYS, -1.0, 2.0));
    let images: Vec<u32> = random.u32s(RAYS).iter().map(|bits| bits % N_IMAGES as u32).collect();
    set(&mut chunk.rays.camera, &images);
    set(&mut chunk.rays.background, &random.f32s(3 * RAYS, 0.0, 1.0));
    chunk
}

type Exposure<'a> = Option<(&'a Buffer<f32>, &'a Buffer<f32>)>;

fn composite_args<'a>(chunk: &'a Chunk, round: usize, space: Space, exposure: Exposure<'a>) -> CompositeArgs<'a> {
    CompositeArgs {
        rays: chunk.ray_args(),
        samples: chunk.samples.args(),
        round: round as u32,
        stop_transmittance: 1e-4,
        huber_delta: 0.1,
        losses: RayLosses { distortion: 0.1, depth: 0.2, near: 0.5 },
        space,
        exposure: exposure.map_or(Ptr::NULL, |(exposure, _)| exposure.ptr()),
        dl_dexposure: exposure.map_or(Ptr::NULL, |(_, gradient)| gradient.ptr()),
    }
}

fn forward(device: &Device, chunk: &Chunk) {
    for round in 0..ROUNDS {
        let args = composite_args(chunk, round, Space::default(), None);
        device.launch(&kernels::COMPOSITE_RAYS, &args, LaunchDims::items(RAYS)).unwrap();
    }
}

fn backward(device: &Device, chunk: &Chunk, space: Space, exposure: Exposure) {
    forward(device, chunk);
    let args = composite_args(chunk, ROUNDS, space, exposure);
    device.launch(&kernels::COMPOSITE_BACKWARD, &args, LaunchDims::items(RAYS)).unwrap();
}

pub fn composite_rays(device: &Device) -> Outputs {
    let chunk = chunk(device);
    forward(device, &chunk);
    let mut outputs = Outputs::new();
    outputs.rounded("colour", &get(&chunk.rays.color), FP32);
    outputs.rounded("depth", &get(&chunk.rays.depth), FP32);
    outputs.rounded("transmittance", &get(&chunk.rays.transmittance), FP32);
    outputs.exact("t", &get(&chunk.rays.t));
    outputs.exact("counts", &get(&chunk.samples.count));
    outputs
}

pub fn composite_backward(device: &Device) -> Outputs {
    let mut random = Random::new(23);
    let exposure = device.upload(&random.f32s(6 * N_IMAGES, -0.2, 0.2)).unwrap();
    let mut outputs = Outputs::new();
    for (map, exposed) in [(0, false), (2, true)] {
        let chunk = chunk(device);
        let gradient = device.zeros::<f32>(6 * N_IMAGES).unwrap();
        backward(device, &chunk, Space { map, ..Space::default() }, exposed.then_some((&exposure, &gradient)));
        outputs.rounded("loss", &get(&chunk.rays.loss), FP32);
        outputs.rounded("squared error", &get(&chunk.rays.squared_error), FP32);
        outputs.exact("composited", &get(&chunk.rays.composited));
        outputs.rounded("dL/ddensity", &get(&chunk.samples.dl_ddensity), FP32);
        outputs.rounded("dL/dcolour", &get(&chunk.samples.dl_dcolor), FP32);
        outputs.summed("dL/dexposure", &get(&gradient), FP32);
    }
    outputs
}

pub fn sample_weights(device: &Device) -> Outputs {
    let chunk = chunk(device);
    forward(device, &chunk);
    let args = composite_args(&chunk, ROUNDS, Space::default(), None);
    device.launch(&kernels::SAMPLE_WEIGHTS, &args, LaunchDims::items(RAYS)).unwrap();
    let mut outputs = Outputs::new();
    outputs.rounded("weights", &get(&chunk.samples.dl_ddensity), FP32);
    outputs
}

pub fn centre_per_image(device: &Device) -> Outputs {
    let value = device.upload(&Random::new(24).f32s(6 * N_IMAGES, -0.2, 0.2)).unwrap();
    let shown = device.zeros::<f32>(6 * N_IMAGES).unwrap();
    let args = CentreArgs { value: value.ptr(), centred: shown.ptr(), n_images: N_IMAGES as u32 };
    device.launch(&kernels::CENTRE_PER_IMAGE, &args, LaunchDims::items(6)).unwrap();
    let mut outputs = Outputs::new();
    // A sum in a fixed order, and a division.
    outputs.rounded("exposure", &get(&shown), 2e-7);
    outputs
}

pub fn ray_statistics(device: &Device) -> Outputs {
    let chunk = chunk(device);
    backward(device, &chunk, Space::default(), None);
    let sums = device.zeros::<f32>(2).unwrap();
    let counts = device.zeros::<u32>(4).unwrap();
    let args = StatisticsArgs {
        rays: chunk.ray_args(),
        samples: chunk.samples.args(),
        round: ROUNDS as u32,
        sums: sums.ptr(),
        counts: counts.ptr(),
    };
    let grid = LaunchDims::items(RAYS.div_ceil(STATISTICS_PART));
    device.launch_chunk(&kernels::RAY_STATISTICS, &args, grid).unwrap();
    let mut outputs = Outputs::new();
    outputs.summed("sums", &get(&sums), FP32);
    outputs.exact("counts", &get(&counts));
    outputs
}

pub fn composite_ray_f64(device: &Device) -> Outputs {
    let n = 40;
    let mut random = Random::new(22);
    let mut numbers = |n: usize, high: f64| device.upload(&random.f64s(n, 0.0, high)).unwrap();
    let (density, color, dt, t) = (numbers(n, 20.0), numbers(3 * n, 1.0), numbers(n, 0.02), numbers(n, 2.0));
    let zeros = |n| device.zeros::<f64>(n).unwrap();
    let (weights, pixel, dl_ddensity, dl_dsample) = (zeros(n), zeros(6), zeros(n), zeros(3 * n));
    let args = CompositeRayArgs {
        density: density.ptr(),
        color: color.ptr(),
        dt: dt.ptr(),
        t: t.ptr(),
        background: [0.2, 0.4, 0.6],
        dl_dcolor: [0.5, -1.0, 0.25],
        weights: weights.ptr(),
        pixel: pixel.ptr(),
        dl_ddensity: dl_ddensity.ptr(),
        dl_dsample: dl_dsample.ptr(),
        n: n as u32,
    };
    device.launch(&kernels::COMPOSITE_RAY_F64, &args, LaunchDims::items(1)).unwrap();
    let mut outputs = Outputs::new();
    for (name, buffer) in
        [("weights", weights), ("pixel", pixel), ("dL/ddensity", dl_ddensity), ("dL/dsample", dl_dsample)]
    {
        // Forty exponentials, each within one or two fp64 steps.
        outputs.rounded(name, &get(&buffer), 1e-13);
    }
    outputs
}
