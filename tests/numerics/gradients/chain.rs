//! Gradients of the full chain: from the Huber loss of rendered pixels back to weights and features.

use super::{Block, Probe, STOPPED_TOLERANCE, TOLERANCE, blocks, check, grid, model};
use crate::common::{Random, host, to_f64};
use gridfield::config::{GridKernel, MarchConfig, ModelConfig};
use gridfield::device::args::{self, DrawRaysArgs, RayLosses};
use gridfield::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use gridfield::encoding::Backward;
use gridfield::radiance::{ChunkSize, Gradients, Loss, March, Occupancy, VolumeRenderer};

/// Training images of random noise, and the settings for ray marching.
struct Studio {
    pixels: Buffer<u8>,
    cameras: Buffer<args::Camera>,
    occupancy: Occupancy,
    march: March,
    n_rays: usize,
    background: u32,
    huber_delta: f32,
}

impl Studio {
    fn new(device: &Device, march: &MarchConfig, background: u32, n_rays: usize, random: &mut Random) -> Self {
        let (width, height) = (16u32, 12u32);
        let n_pixels = (width * height) as usize;
        // In front of the cube and looking along -z, so that some rays of the image miss it.
        let camera = args::Camera {
            camera_to_world: [1.0, 0.0, 0.0, 0.5, 0.0, 1.0, 0.0, 0.4, 0.0, 0.0, 1.0, 2.0],
            fl_x: 12.0,
            fl_y: 12.0,
            cx: 8.0,
            cy: 6.0,
            width,
            height,
            first_pixel: 0,
            ..args::Camera::default()
        };
        let pixels: Vec<u8> = (0..4 * n_pixels).map(|_| random.below(256) as u8).collect();
        Studio {
            pixels: device.upload(&pixels).unwrap(),
            cameras: device.upload(&[camera]).unwrap(),
            occupancy: Occupancy::full(device, march).unwrap(),
            march: March::new(march),
            n_rays,
            background,
            huber_delta: 0.1,
        }
    }

    fn volume<'a>(&'a self, probe: &'a Probe) -> VolumeRenderer<'a> {
        VolumeRenderer::new(&probe.device, &probe.field, &self.occupancy, &self.march)
    }

    /// Draws the same rays each time and marches them to their ends; returns the number of rounds.
    fn forward(&self, probe: &Probe) -> usize {
        let args = DrawRaysArgs {
            rays: probe.chunk.ray_args(),
            samples_count: probe.chunk.samples.count.ptr(),
            cameras: self.cameras.ptr(),
            pixels: self.pixels.ptr(),
            n_cameras: 1,
            seed: 3,
            step: 5,
            first_ray: 0,
            background: self.background,
            box_min: self.march.box_min,
            box_max: self.march.box_max,
            step_size: self.march.steps.size,
            space: self.march.space,
            near: self.march.near,
            depths: Ptr::NULL,
            drawn_pixels: Ptr::NULL,
            drawn_begin: Ptr::NULL,
        };
        probe.field.prepare(&probe.device).unwrap();
        probe.device.launch_chunk(&kernels::DRAW_RAYS, &args, LaunchDims::items(self.n_rays)).unwrap();
        self.volume(probe).forward(&probe.chunk, &probe.scratch).unwrap()
    }

    /// Computes loss and gradients; returns the loss of each ray and the number of rounds.
    fn trace(&self, probe: &Probe) -> (Vec<f32>, usize) {
        let rounds = self.forward(probe);
        let loss = Loss { huber_delta: self.huber_delta, beside: RayLosses::default(), exposure: Ptr::NULL };
        let gradients = Gradients {
            dl_dweights: probe.dl_dweights.ptr(),
            dl_dexposure: Ptr::NULL,
            dl_dview: Ptr::NULL,
            of_grid: Backward {
                dl_dfeatures: probe.dl_dfeatures.ptr(),
                dl_dvalues: Ptr::NULL,
                dl_dparameters: Ptr::NULL,
                scatter_weights: Ptr::NULL,
            },
        };
        self.volume(probe).backward(&probe.chunk, &probe.scratch, rounds, &loss, &gradients).unwrap();
        (probe.chunk.rays.loss.download().unwrap(), rounds)
    }
}

/// Large steps through a small occupancy grid.
fn march() -> MarchConfig {
    MarchConfig { occupancy_resolution: 16, step_scale: 16.0, stop_transmittance: 0.0, ..MarchConfig::default() }
}

/// Returns a probe with capacity for `samples`, and a studio whose rays it traces.
fn chain(model: &ModelConfig, march: &MarchConfig, background: u32, samples: usize) -> (Probe, Studio, Random) {
    chain_on(&host(), model, march, background, samples)
}

fn chain_on(
    device: &Device,
    model: &ModelConfig,
    march: &MarchConfig,
    background: u32,
    samples: usize,
) -> (Probe, Studio, Random) {
    let mut random = Random::new(2);
    let n_rays = 96;
    let mut probe = Probe::new(device, model, ChunkSize { n_chunks: 1, rays: n_rays, samples }, &mut random);
    probe.chunk.n_rays = n_rays;
    let studio = Studio::new(&probe.device, march, background, n_rays, &mut random);
    (probe, studio, random)
}

fn check_chain(name: &str, probe: &mut Probe, studio: &Studio, random: &mut Random, tolerance: f64) {
    let (_, rounds) = studio.trace(probe);
    probe.scatter(rounds);
    check(name, probe, random, tolerance, |probe| to_f64(&studio.trace(probe).0).iter().sum());
}

fn default_model(kernel: GridKernel) -> ModelConfig {
    model(grid(4, kernel), (64, 1), (64, 2))
}

/// Returns the number of rays whose final `(t, transmittance)` satisfy `end`.
fn count_rays(probe: &Probe, end: impl Fn(f32, f32) -> bool) -> usize {
    let rays = &probe.chunk.rays;
    let (t, transmittance) = (rays.t.download().unwrap(), rays.transmittance.download().unwrap());
    t.iter().zip(&transmittance).filter(|&(&t, &transmittance)| end(t, transmittance)).count()
}

#[test]
fn pixel_losses_descend_along_the_gradient_for_every_kernel_and_background() {
    for kernel in [GridKernel::Linear, GridKernel::Smoothstep] {
        for background in 0..3 {
            let (mut probe, studio, mut random) = chain(&default_model(kernel), &march(), background, 4096);
            check_chain(&format!("{kernel:?}, background {background}"), &mut probe, &studio, &mut random, TOLERANCE);
            let seen = count_rays(&probe, |_, transmittance| transmittance < 1.0);
            assert!((20..96).contains(&seen), "{seen} of 96 rays hit the cube");
        }
    }
}

#[test]
fn pixel_losses_descend_along_the_gradient_where_rays_stop_early() {
    let march = MarchConfig { stop_transmittance: 1e-4, ..march() };
    let (mut probe, studio, mut random) = chain(&default_model(GridKernel::Linear), &march, 2, 4096);
    make_opaque(&mut probe);
    check_chain("early stop", &mut probe, &studio, &mut random, STOPPED_TOLERANCE);
    let stopped = count_rays(&probe, |_, transmittance| transmittance < 1e-4);
    assert!(stopped > 20, "{stopped} rays stop early");
}

/// Makes all weights of the log density positive, so that it is near 3 everywhere.
fn make_opaque(probe: &mut Probe) {
    let n_density = probe.field.decoder.n_density_layers;
    let shapes = &probe.field.decoder.layers;
    let first = shapes[..n_density - 1].iter().map(|layer| layer.n_weights()).sum();
    let mut row = vec![0.0; shapes[n_density - 1].n_in as usize];
    probe.field.weights.download_into(first, &mut row).unwrap();
    row.iter_mut().for_each(|weight| *weight = 2.0 * weight.abs());
    probe.field.weights.upload(first, &row).unwrap();
}

#[test]
fn rays_without_room_have_no_loss_and_no_gradient() {
    let (mut probe, studio, mut random) = chain(&default_model(GridKernel::Linear), &march(), 2, 1000);
    check_chain("no room", &mut probe, &studio, &mut random, TOLERANCE);
    let (losses, rounds) = studio.trace(&probe);
    assert!(rounds > 1, "the capacity is exceeded in a later round");
    let t = probe.chunk.rays.t.download().unwrap();
    let dropped: Vec<usize> = (0..t.len()).filter(|&ray| t[ray] == -2.0).collect();
    assert!((5..80).contains(&dropped.len()), "{} rays are dropped", dropped.len());
    let samples = &probe.chunk.samples;
    let (rays, by_density) = (samples.ray.download().unwrap(), samples.dl_ddensity.download().unwrap());
    let by_color = samples.dl_dcolor.download().unwrap();
    assert!(dropped.iter().all(|&ray| losses[ray] == 0.0));
    let mut theirs = 0;
    for (sample, &ray) in rays.iter().enumerate().filter(|(_, ray)| dropped.contains(&(**ray as usize))) {
        assert_eq!(by_density[sample], 0.0, "sample {sample} of ray {ray}");
        assert_eq!(by_color[3 * sample..3 * sample + 3], [0.0; 3], "sample {sample} of ray {ray}");
        theirs += 1;
    }
    assert!(theirs > 0, "dropped rays have samples from earlier rounds");
}

/// Largest difference between gradients on a GPU and on the host, relative to a block's norm: ten times the difference
/// on the emulated GPU. Each gradient is a sum over hundreds of samples, whose fp16 rounding errors, up to 2^-11 each,
/// mostly cancel.
const GPU_TOLERANCE: f64 = 2e-3;

/// Returns the gradients of each block for the full chain.
fn chain_gradients(device: &Device, kernel: GridKernel) -> Vec<(Block, Vec<f64>)> {
    let (probe, studio, _) = chain_on(device, &default_model(kernel), &march(), 2, 4096);
    let (_, rounds) = studio.trace(&probe);
    probe.scatter(rounds);
    blocks(&probe.field).into_iter().map(|block| (block, probe.gradient(block))).collect()
}

fn gradients_are_those_of_the_host(device: &Device) {
    for kernel in [GridKernel::Linear, GridKernel::Smoothstep] {
        for ((block, found), (_, expected)) in
            chain_gradients(device, kernel).iter().zip(chain_gradients(&host(), kernel))
        {
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
            let size = norm(&mut expected.iter().copied());
            let error = norm(&mut found.iter().zip(&expected).map(|(found, expected)| found - expected)) / size;
            assert!(
                size > 0.0 && error <= GPU_TOLERANCE,
                "{kernel:?}: {block:?}: the relative error is {error}, the norm {size}"
            );
        }
    }
}

on_every_target! {
    gradients_are_those_of_the_host,
}
