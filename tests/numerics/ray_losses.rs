//! The other losses on rays, besides colour, against a plain float64 version in which distortion is the double sum of
//! mip-NeRF 360, equation 15: losses, and gradients by central differences; exposures; and the scaling of gradients
//! near a camera.

use crate::common::{Random, assert_close, to_f64};
use crate::compositing::Sample;
use gridfield::device::args::{CentreArgs, CompositeArgs, RayLosses, Space};
use gridfield::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use gridfield::radiance::{Chunk, ChunkSize};

const N_RAYS: usize = 120;
const N_IMAGES: usize = 5;
const STOP: f32 = 1e-2;
const DELTA: f64 = 0.1;
/// Sums of about 20 terms in f32, in pairs that nearly cancel.
const TOLERANCE: f64 = 2e-5;

#[derive(Clone)]
struct Ray {
    samples: Vec<Sample>,
    target: [f64; 3],
    /// Target depth; None where it is not known.
    target_t: Option<f64>,
    t_end: f64,
    image: usize,
    dropped: bool,
}

struct Case {
    losses: RayLosses,
    contracted: bool,
    exposure: Option<[[f64; 6]; N_IMAGES]>,
}

fn exact(value: f64) -> f64 {
    f64::from(value as f32)
}

fn rays() -> Vec<Ray> {
    let mut random = Random::new(61);
    let mut ray = |number: usize| {
        let mut t = exact(random.between(0.05, 0.2));
        let n = if number.is_multiple_of(11) { 0 } else { 1 + random.below(14) };
        let mut sample = || {
            let dt = exact(random.between(0.02, 0.2));
            t = exact(t + dt);
            let raw_color = std::array::from_fn(|_| exact(random.between(-3.0, 3.0)));
            Sample { log_density: exact(random.between(-3.0, 3.0)), raw_color, dt, t: exact(t - 0.5 * dt) }
        };
        let samples = (0..n).map(|_| sample()).collect();
        Ray {
            samples,
            target: std::array::from_fn(|_| exact(random.unit())),
            target_t: (!number.is_multiple_of(3)).then(|| exact(random.between(0.2, 2.0))),
            t_end: exact(random.between(3.0, 4.0)),
            image: random.below(N_IMAGES),
            dropped: number % 13 == 5,
        }
    };
    (0..N_RAYS).map(&mut ray).collect()
}

fn exposures() -> [[f64; 6]; N_IMAGES] {
    let mut random = Random::new(62);
    std::array::from_fn(|_| std::array::from_fn(|_| exact(random.between(-0.3, 0.3))))
}

fn cases() -> [Case; 5] {
    let losses = |distortion, depth| RayLosses { distortion, depth, near: 0.0 };
    [
        Case { losses: losses(0.3, 0.0), contracted: false, exposure: None },
        Case { losses: losses(0.3, 0.0), contracted: true, exposure: None },
        Case { losses: losses(0.0, 0.5), contracted: true, exposure: None },
        Case { losses: losses(0.0, 0.0), contracted: false, exposure: Some(exposures()) },
        Case { losses: losses(0.2, 0.7), contracted: false, exposure: Some(exposures()) },
    ]
}

fn huber(difference: f64) -> f64 {
    let size = difference.abs();
    if size <= DELTA { size * size / (2.0 * DELTA) } else { size - 0.5 * DELTA }
}

/// Returns the loss of a ray over black.
fn loss(case: &Case, ray: &Ray) -> f64 {
    if ray.dropped {
        return 0.0;
    }
    let place = |t: f64| if case.contracted && t > 0.5 { 1.0 - 0.25 / t } else { t };
    let (mut transmittance, mut color, mut weights) = (1.0, [0.0; 3], Vec::new());
    for sample in &ray.samples {
        if transmittance < f64::from(STOP) {
            break;
        }
        let kept = (-sample.log_density.exp() * sample.dt).exp();
        let weight = transmittance * (1.0 - kept);
        for (color, raw) in color.iter_mut().zip(sample.raw_color) {
            *color += weight / (1.0 + (-raw).exp());
        }
        let length = place(sample.t + 0.5 * sample.dt) - place(sample.t - 0.5 * sample.dt);
        weights.push((weight, place(sample.t), length));
        transmittance *= kept;
    }
    let mut loss = 0.0;
    for channel in 0..3 {
        let seen = match &case.exposure {
            Some(exposure) => {
                let own = exposure[ray.image];
                own[channel].exp() * color[channel] + own[3 + channel]
            }
            None => color[channel],
        };
        loss += huber(seen - ray.target[channel]) / 3.0;
    }
    let mut distortion = 0.0;
    for &(w, s, d) in &weights {
        distortion += w * w * d / 3.0;
        distortion += weights.iter().map(|&(other, at, _)| w * other * (s - at).abs()).sum::<f64>();
    }
    loss += f64::from(case.losses.distortion) * distortion;
    if let Some(known) = ray.target_t {
        let depth = weights.iter().map(|(w, s, _)| w * s).sum::<f64>() + transmittance * place(ray.t_end);
        loss += f64::from(case.losses.depth) * huber(depth - place(known));
    }
    loss
}

fn chunk(device: &Device, rays: &[Ray]) -> Chunk {
    let n_samples = rays.iter().map(|ray| ray.samples.len()).sum();
    let size = ChunkSize { n_chunks: 1, rays: N_RAYS, samples: n_samples };
    let mut chunk = Chunk::new(device, size).unwrap();
    chunk.n_rays = N_RAYS;
    let mut first = 0;
    for (number, ray) in rays.iter().enumerate() {
        let own = &mut chunk.rays;
        own.segment_begin.upload(number, &[first as u32]).unwrap();
        own.segment_count.upload(number, &[ray.samples.len() as u32]).unwrap();
        own.t.upload(number, &[if ray.dropped { -2.0 } else { 9.0 }]).unwrap();
        own.t_end.upload(number, &[ray.t_end as f32]).unwrap();
        own.transmittance.upload(number, &[1.0]).unwrap();
        own.target_t.upload(number, &[ray.target_t.map_or(-1.0, |t| t as f32)]).unwrap();
        own.camera.upload(number, &[ray.image as u32]).unwrap();
        own.target.upload(3 * N_RAYS + number, &[1.0]).unwrap();
        for channel in 0..3 {
            own.target.upload(channel * N_RAYS + number, &[ray.target[channel] as f32]).unwrap();
        }
        for (place, sample) in (first..).zip(&ray.samples) {
            let color = sample.raw_color.map(|raw| (1.0 / (1.0 + (-raw).exp())) as f32);
            chunk.samples.density.upload(place, &[sample.log_density.exp() as f32]).unwrap();
            chunk.samples.color.upload(3 * place, &color).unwrap();
            chunk.samples.dt.upload(place, &[sample.dt as f32]).unwrap();
            chunk.samples.t.upload(place, &[sample.t as f32]).unwrap();
        }
        first += ray.samples.len();
    }
    chunk
}

/// Runs the forward and backward passes; returns the gradient with respect to the exposures.
fn composite(device: &Device, case: &Case, chunk: &Chunk) -> Vec<f64> {
    let exposure: Option<Buffer<f32>> = case
        .exposure
        .map(|exposure| device.upload(&exposure.as_flattened().iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap());
    let dl_dexposure = device.zeros::<f32>(6 * N_IMAGES).unwrap();
    let args = |round| CompositeArgs {
        rays: chunk.ray_args(),
        samples: chunk.samples.args(),
        round,
        stop_transmittance: STOP,
        huber_delta: DELTA as f32,
        losses: case.losses,
        space: Space { map: if case.contracted { 2 } else { 0 }, ..Space::default() },
        exposure: exposure.as_ref().map_or(Ptr::NULL, Buffer::ptr),
        dl_dexposure: if exposure.is_some() { dl_dexposure.ptr() } else { Ptr::NULL },
    };
    device.launch_chunk(&kernels::COMPOSITE_RAYS, &args(0), LaunchDims::items(N_RAYS)).unwrap();
    device.launch_chunk(&kernels::COMPOSITE_BACKWARD, &args(1), LaunchDims::items(N_RAYS)).unwrap();
    to_f64(&dl_dexposure.download().unwrap())
}

/// Returns a central difference of `loss` at 0.
fn slope(loss: impl Fn(f64) -> f64) -> f64 {
    let step = 1e-5;
    (loss(step) - loss(-step)) / (2.0 * step)
}

fn losses_and_gradients_match_double_precision(device: &Device) {
    let rays = rays();
    for case in cases() {
        let chunk = chunk(device, &rays);
        let by_exposure = composite(device, &case, &chunk);
        let losses: Vec<f64> = rays.iter().map(|ray| loss(&case, ray)).collect();
        assert_close("loss", &to_f64(&chunk.rays.loss.download().unwrap()), &losses, TOLERANCE);
        let (mut by_density, mut by_color) = (Vec::new(), Vec::new());
        for ray in &rays {
            let moved = |sample: usize, change: &dyn Fn(&mut Sample)| {
                let mut ray = ray.clone();
                change(&mut ray.samples[sample]);
                loss(&case, &ray)
            };
            for sample in 0..ray.samples.len() {
                by_density.push(slope(|by| moved(sample, &|sample| sample.log_density += by)));
                for channel in 0..3 {
                    by_color.push(slope(|by| moved(sample, &|sample| sample.raw_color[channel] += by)));
                }
            }
        }
        let samples = &chunk.samples;
        let found = |buffer: &Buffer<f32>| to_f64(&buffer.download().unwrap());
        assert_close("by log density", &found(&samples.dl_ddensity), &by_density, TOLERANCE);
        assert_close("by raw colour", &found(&samples.dl_dcolor), &by_color, TOLERANCE);
        if let Some(exposure) = case.exposure {
            let along = |image: usize, number: usize| {
                slope(|by| {
                    let mut exposure = exposure;
                    exposure[image][number] += by;
                    let case = Case { exposure: Some(exposure), ..case };
                    rays.iter().map(|ray| loss(&case, ray)).sum()
                })
            };
            let expected: Vec<f64> = (0..6 * N_IMAGES).map(|place| along(place / 6, place % 6)).collect();
            assert_close("by exposure", &by_exposure, &expected, TOLERANCE);
        }
    }
}

fn gradients_near_the_camera_are_kept_by_the_square_of_the_distance(device: &Device) {
    let rays = rays();
    let whole =
        Case { losses: RayLosses { distortion: 0.1, ..RayLosses::default() }, contracted: false, exposure: None };
    let near = 0.6f32;
    let scaled = Case { losses: RayLosses { near, ..whole.losses }, ..whole };
    let gradients = |case: &Case| {
        let chunk = chunk(device, &rays);
        composite(device, case, &chunk);
        (chunk.samples.dl_ddensity.download().unwrap(), chunk.samples.dl_dcolor.download().unwrap())
    };
    let (whole, scaled) = (gradients(&whole), gradients(&scaled));
    let samples: Vec<&Sample> = rays.iter().flat_map(|ray| &ray.samples).collect();
    assert!(samples.iter().any(|sample| sample.t < 0.3) && samples.iter().any(|sample| sample.t > 0.6));
    for (i, sample) in samples.iter().enumerate() {
        let kept = (sample.t as f32 / near).min(1.0).powi(2);
        let near = |a: f32, b: f32| (a - b * kept).abs() <= 1e-6 * b.abs();
        assert!(near(scaled.0[i], whole.0[i]), "sample {i} at {}", sample.t);
        assert!((0..3).all(|c| near(scaled.1[3 * i + c], whole.1[3 * i + c])), "sample {i} at {}", sample.t);
    }
}

fn exposures_are_shown_without_their_mean(device: &Device) {
    let own = exposures();
    let value = device.upload(&own.as_flattened().iter().map(|&x| x as f32).collect::<Vec<_>>()).unwrap();
    let shown = device.zeros::<f32>(6 * N_IMAGES).unwrap();
    let args = CentreArgs { value: value.ptr(), centred: shown.ptr(), n_images: N_IMAGES as u32 };
    device.launch(&kernels::CENTRE_PER_IMAGE, &args, LaunchDims::items(6)).unwrap();
    let mean = |number: usize| own.iter().map(|own| own[number]).sum::<f64>() / N_IMAGES as f64;
    let expected: Vec<f64> = own.iter().flat_map(|own| (0..6).map(|k| own[k] - mean(k))).collect();
    assert_close("exposure", &to_f64(&shown.download().unwrap()), &expected, 1e-6);
}

on_every_target! {
    losses_and_gradients_match_double_precision,
    gradients_near_the_camera_are_kept_by_the_square_of_the_distance,
    exposures_are_shown_without_their_mean,
}
