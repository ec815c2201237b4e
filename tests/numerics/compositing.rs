//! The compositing kernels, forward and backward over rounds of samples, against a plain float64 version: early
//! termination, backgrounds, both branches of the Huber loss, dropped rays, and rays without samples.
//!
//! The expected gradients are central differences of the float64 version.

use crate::common::{Random, assert_close, to_f64};
use gridfield::device::args::{CompositeArgs, RayLosses, STATISTICS_PART, Space, StatisticsArgs};
use gridfield::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use gridfield::radiance::{Chunk, ChunkSize};

const N_RAYS: usize = 200;
const ROUNDS: usize = 3;
const STOP: f32 = 1e-2;
const HUBER_DELTA: f32 = 0.1;
/// Products and sums of some 20 numbers in f32, relative to the largest.
const TOLERANCE: f64 = 2e-6;
/// The same for gradients, which contain differences of nearly equal colours.
const GRADIENT_TOLERANCE: f64 = 1e-5;

/// A sample on a ray.
#[derive(Clone)]
pub struct Sample {
    pub log_density: f64,
    /// Colour before the logistic function.
    pub raw_color: [f64; 3],
    pub dt: f64,
    pub t: f64,
}

#[derive(Clone)]
struct Ray {
    rounds: [Vec<Sample>; ROUNDS],
    target: [f64; 4],
    background: [f64; 3],
    dropped: bool,
}

/// Result of compositing a ray.
#[derive(Clone, Copy, Default)]
struct Rendered {
    color: [f64; 3],
    depth: f64,
    transmittance: f64,
    loss: f64,
    squared_error: f64,
}

/// Returns the nearest number that f32 represents exactly, so that both versions start from the same values.
fn exact(value: f64) -> f64 {
    f64::from(value as f32)
}

fn random_sample(random: &mut Random, t: f64) -> Sample {
    Sample {
        log_density: exact(random.between(-3.0, 3.0)),
        raw_color: std::array::from_fn(|_| exact(random.between(-3.0, 3.0))),
        dt: exact(random.between(0.02, 0.3)),
        t: exact(t),
    }
}

fn random_ray(random: &mut Random, number: usize) -> Ray {
    let empty = number.is_multiple_of(10);
    Ray {
        rounds: std::array::from_fn(|round| {
            let n = if empty { 0 } else { random.below(8) };
            (0..n).map(|i| random_sample(random, (8 * round + i) as f64 * 0.1)).collect()
        }),
        target: std::array::from_fn(|_| exact(random.unit())),
        background: std::array::from_fn(|_| exact(random.unit())),
        dropped: number % 7 == 3,
    }
}

fn rays() -> Vec<Ray> {
    let mut random = Random::new(4);
    (0..N_RAYS).map(|number| random_ray(&mut random, number)).collect()
}

/// Composites a ray (Max 1995), with early termination at transmittance `STOP`.
fn render(ray: &Ray) -> Rendered {
    let mut result = Rendered { transmittance: 1.0, ..Default::default() };
    for sample in ray.rounds.iter().flatten() {
        if result.transmittance < f64::from(STOP) {
            break;
        }
        let kept = (-sample.log_density.exp() * sample.dt).exp();
        let weight = result.transmittance * (1.0 - kept);
        for (color, raw) in result.color.iter_mut().zip(sample.raw_color) {
            *color += weight / (1.0 + (-raw).exp());
        }
        result.depth += weight * sample.t;
        result.transmittance *= kept;
    }
    for channel in 0..3 {
        let (background, alpha) = (ray.background[channel], ray.target[3]);
        let color = result.color[channel] + result.transmittance * background;
        let difference = (color - ray.target[channel] * alpha - background * (1.0 - alpha)).abs();
        let delta = f64::from(HUBER_DELTA);
        let quadratic = difference <= delta;
        result.loss += if quadratic { difference * difference / (2.0 * delta) } else { difference - 0.5 * delta } / 3.0;
        result.squared_error += difference * difference / 3.0;
    }
    result
}

/// Returns a chunk that holds the rays' samples, as ray marching would have left it: round by round, rays in order.
fn chunk(device: &Device, rays: &[Ray]) -> Chunk {
    let n_samples = rays.iter().flat_map(|ray| &ray.rounds).map(Vec::len).sum();
    let size = ChunkSize { n_chunks: 1, rays: N_RAYS + 3, samples: n_samples };
    let mut chunk = Chunk::new(device, size).unwrap();
    chunk.n_rays = N_RAYS;
    let mut first = 0;
    for round in 0..ROUNDS {
        for (number, ray) in rays.iter().enumerate() {
            let n = ray.rounds[round].len() as u32;
            let place = round * chunk.rays.capacity + number;
            chunk.rays.segment_begin.upload(place, &[first]).unwrap();
            chunk.rays.segment_count.upload(place, &[n]).unwrap();
            first += n;
        }
    }
    for (number, ray) in rays.iter().enumerate() {
        begin_ray(&mut chunk, number, ray);
    }
    put_samples(&mut chunk, rays);
    chunk
}

fn begin_ray(chunk: &mut Chunk, number: usize, ray: &Ray) {
    let rays = &mut chunk.rays;
    let capacity = rays.capacity;
    rays.t.upload(number, &[if ray.dropped { -2.0 } else { 9.0 }]).unwrap();
    rays.transmittance.upload(number, &[1.0]).unwrap();
    for channel in 0..4 {
        rays.target.upload(channel * capacity + number, &[ray.target[channel] as f32]).unwrap();
    }
    for channel in 0..3 {
        rays.background.upload(channel * capacity + number, &[ray.background[channel] as f32]).unwrap();
    }
}

fn put_samples(chunk: &mut Chunk, rays: &[Ray]) {
    let in_order = (0..ROUNDS).flat_map(|round| rays.iter().map(move |ray| &ray.rounds[round])).flatten();
    let samples = &mut chunk.samples;
    for (place, sample) in in_order.enumerate() {
        samples.density.upload(place, &[sample.log_density.exp() as f32]).unwrap();
        let color = sample.raw_color.map(|raw| (1.0 / (1.0 + (-raw).exp())) as f32);
        samples.color.upload(3 * place, &color).unwrap();
        samples.dt.upload(place, &[sample.dt as f32]).unwrap();
        samples.t.upload(place, &[sample.t as f32]).unwrap();
    }
}

fn args(chunk: &Chunk, round: usize) -> CompositeArgs<'_> {
    CompositeArgs {
        rays: chunk.ray_args(),
        samples: chunk.samples.args(),
        round: round as u32,
        stop_transmittance: STOP,
        huber_delta: HUBER_DELTA,
        losses: RayLosses::default(),
        space: Space::default(),
        exposure: Ptr::NULL,
        dl_dexposure: Ptr::NULL,
    }
}

fn composite(device: &Device, rays: &[Ray]) -> Chunk {
    let chunk = chunk(device, rays);
    for round in 0..ROUNDS {
        device.launch_chunk(&kernels::COMPOSITE_RAYS, &args(&chunk, round), LaunchDims::items(N_RAYS)).unwrap();
    }
    device.launch_chunk(&kernels::COMPOSITE_BACKWARD, &args(&chunk, ROUNDS), LaunchDims::items(N_RAYS)).unwrap();
    chunk
}

/// Returns the first `N_RAYS` numbers of a column.
fn column(values: &[f32], number: usize) -> Vec<f64> {
    to_f64(&values[number * (N_RAYS + 3)..][..N_RAYS])
}

fn colours_depths_and_losses_match_double_precision(device: &Device) {
    let rays = rays();
    let chunk = composite(device, &rays);
    let rendered: Vec<Rendered> = rays.iter().map(render).collect();
    let stopped = rendered.iter().filter(|ray| ray.transmittance < f64::from(STOP)).count();
    assert!((20..180).contains(&stopped), "{stopped} rays stop early");
    let same = |what: &str, found: &[f64], expected: &dyn Fn(&Rendered) -> f64| {
        assert_close(what, found, &rendered.iter().map(expected).collect::<Vec<_>>(), TOLERANCE);
    };
    let colors = chunk.rays.color.download().unwrap();
    for channel in 0..3 {
        same("colour", &column(&colors, channel), &|ray| ray.color[channel]);
    }
    same("depth", &column(&chunk.rays.depth.download().unwrap(), 0), &|ray| ray.depth);
    same("transmittance", &column(&chunk.rays.transmittance.download().unwrap(), 0), &|ray| ray.transmittance);
    let kept = |value: fn(&Rendered) -> f64| -> Vec<f64> {
        rays.iter().zip(&rendered).map(|(ray, rendered)| if ray.dropped { 0.0 } else { value(rendered) }).collect()
    };
    let losses = column(&chunk.rays.loss.download().unwrap(), 0);
    assert_close("loss", &losses, &kept(|ray| ray.loss), TOLERANCE);
    let errors = column(&chunk.rays.squared_error.download().unwrap(), 0);
    assert_close("squared error", &errors, &kept(|ray| ray.squared_error), TOLERANCE);
}

/// Returns a central difference of the ray's loss with respect to one number of one of its samples; zero for dropped
/// rays.
fn difference(ray: &Ray, round: usize, sample: usize, number: impl Fn(&mut Sample) -> &mut f64) -> f64 {
    if ray.dropped {
        return 0.0;
    }
    let step = 1e-5;
    let moved = |by: f64| {
        let mut ray = ray.clone();
        *number(&mut ray.rounds[round][sample]) += by;
        render(&ray).loss
    };
    (moved(step) - moved(-step)) / (2.0 * step)
}

fn gradients_match_central_differences_of_double_precision(device: &Device) {
    let rays = rays();
    let chunk = composite(device, &rays);
    let (mut by_density, mut by_color) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for ray in &rays {
            for sample in 0..ray.rounds[round].len() {
                by_density.push(difference(ray, round, sample, |sample| &mut sample.log_density));
                for channel in 0..3 {
                    by_color.push(difference(ray, round, sample, |sample| &mut sample.raw_color[channel]));
                }
            }
        }
    }
    let found = |buffer: &Buffer<f32>| to_f64(&buffer.download().unwrap());
    assert_close("by log density", &found(&chunk.samples.dl_ddensity), &by_density, GRADIENT_TOLERANCE);
    assert_close("by raw colour", &found(&chunk.samples.dl_dcolor), &by_color, GRADIENT_TOLERANCE);
}

fn opaque_rays_march_no_further_and_dropped_ones_stay_dropped(device: &Device) {
    let rays = rays();
    let ends = composite(device, &rays).rays.t.download().unwrap();
    for (ray, end) in rays.iter().zip(ends) {
        let opaque = render(ray).transmittance < f64::from(STOP);
        assert_eq!(
            end,
            if ray.dropped {
                -2.0
            } else if opaque {
                -1.0
            } else {
                9.0
            }
        );
    }
}

fn counts_past_the_capacity_are_cut_and_handed_to_the_next_round(device: &Device) {
    let rays = rays();
    let mut chunk = chunk(device, &rays);
    let capacity = chunk.samples.capacity as u32;
    chunk.samples.count.upload(1, &[capacity + 50]).unwrap();
    device.launch_chunk(&kernels::COMPOSITE_RAYS, &args(&chunk, 0), LaunchDims::items(N_RAYS)).unwrap();
    assert_eq!(chunk.samples.count.download().unwrap()[..4], [0, capacity, capacity, 0]);
}

fn statistics_sum_losses_and_count_rays_samples_and_dropped_rays(device: &Device) {
    let rays = rays();
    let mut chunk = composite(device, &rays);
    chunk.samples.count.upload(ROUNDS, &[77]).unwrap();
    let (sums, counts) = (device.zeros::<f32>(2).unwrap(), device.zeros::<u32>(3).unwrap());
    let args = StatisticsArgs {
        rays: chunk.ray_args(),
        samples: chunk.samples.args(),
        round: ROUNDS as u32,
        sums: sums.ptr(),
        counts: counts.ptr(),
    };
    let parts = LaunchDims::items(N_RAYS.div_ceil(STATISTICS_PART));
    device.launch_chunk(&kernels::RAY_STATISTICS, &args, parts).unwrap();
    let kept: Vec<Rendered> = rays.iter().filter(|ray| !ray.dropped).map(render).collect();
    let expected = [kept.iter().map(|ray| ray.loss).sum(), kept.iter().map(|ray| ray.squared_error).sum()];
    assert_close("sums", &to_f64(&sums.download().unwrap()), &expected, TOLERANCE);
    assert_eq!(counts.download().unwrap(), [N_RAYS as u32, 77, (N_RAYS - kept.len()) as u32]);
}

on_every_target!(
    colours_depths_and_losses_match_double_precision,
    gradients_match_central_differences_of_double_precision,
    opaque_rays_march_no_further_and_dropped_ones_stay_dropped,
    counts_past_the_capacity_are_cut_and_handed_to_the_next_round,
    statistics_sum_losses_and_count_rays_samples_and_dropped_rays,
);
