//! Every gradient of the radiance field: on the host against central differences along random directions, and on GPUs
//! against the host. On GPUs, fp16 rounds activations by a relative 2⁻¹¹, an error that the differences would divide by
//! a step of a twentieth; GPUs are therefore compared with the host, whose gradients are verified.
//!
//! A direction moves the parameters of one block (a layer's weights or a level's features) by ±h each, with random
//! signs. The derivative along it is a sum of ±gradients, of about the size of the gradient's norm, and its two values
//! may differ by `TOLERANCE` times that norm: one wrong entry of average size in a block of 10,000 would show.
//!
//! Differences are affected by the kinks of ReLUs, and would need steps so small that rounding dominates. The networks
//! are therefore drawn so that no kink is within reach: features are positive, and the signs of a neuron's weights keep
//! it active for every sample or inactive for every sample. What remains is the rounding error of fp32 divided by h,
//! and the curvature, which grows with h².

use crate::common::{Random, host, to_f64};
use gridfield::config::{GridConfig, GridIndex, GridKernel, MarchConfig, ModelConfig, NetworkConfig};
use gridfield::decoder::Head;
use gridfield::decoder::{Decoder, LayerShape};
use gridfield::device::args::{self, DrawRaysArgs, FieldArgs, RayLosses, ScatterArgs};
use gridfield::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use gridfield::encoding::Backward;
use gridfield::field::{Field, WorkerScratch};
use gridfield::radiance::{Chunk, ChunkSize, Gradients, Loss, March, Occupancy, VolumeRenderer};

/// Twice the largest error seen, which is due to rounding: losses are accurate to about 1e-7 of their terms, of which a
/// few hundred add up at random, and are divided by the step.
const TOLERANCE: f64 = 4e-3;
/// Where rays terminate early, a sample that enters or leaves the sum while parameters move changes a loss by up to
/// 1e-4.
const STOPPED_TOLERANCE: f64 = 3e-2;
/// Fraction of a parameter's typical size: as large as possible while the errors of curvature, which grow with its
/// square, stay below those of rounding.
const STEP: f64 = 5e-2;
const DIRECTIONS: usize = 3;

/// A field with the buffers that its gradients need.
struct Probe {
    device: Device,
    field: Field,
    chunk: Chunk,
    scratch: WorkerScratch,
    dl_dfeatures: Buffer<f32>,
    dl_dweights: Buffer<f32>,
    dl_dtable: Buffer<f32>,
}

/// Parameters that move together: a layer's weights or a level's features.
#[derive(Clone, Copy, Debug)]
struct Block {
    of_table: bool,
    first: usize,
    len: usize,
    /// Typical size of its parameters.
    size: f64,
}

impl Probe {
    fn new(device: &Device, model: &ModelConfig, size: ChunkSize, random: &mut Random) -> Self {
        let device = device.clone();
        let mut field = Field::zeros(&device, model, Head::Radiance).unwrap();
        let weights: Vec<f32> = draw_weights(&field.decoder, random).into_iter().map(as_half).collect();
        field.weights.upload(0, &weights).unwrap();
        let features = random.halves(field.table.len(), 0.2, 1.0);
        field.table.upload(0, &features).unwrap();
        field.refresh_copies(&device).unwrap();
        Probe {
            chunk: Chunk::new(&device, size).unwrap(),
            scratch: WorkerScratch::all(&device, size.samples, &field, true).unwrap().swap_remove(0),
            dl_dfeatures: device.zeros(size.samples * field.grid.n_features() as usize).unwrap(),
            dl_dweights: device.zeros(field.weights.len()).unwrap(),
            dl_dtable: device.zeros(field.table.len()).unwrap(),
            field,
            device,
        }
    }

    /// Adds the gradients with respect to the features to those with respect to the table.
    fn scatter(&self, round: usize) {
        let samples = &self.chunk.samples;
        let args = ScatterArgs {
            grid: self.field.grid.layout(),
            position: samples.position.ptr(),
            dl_dfeatures: self.dl_dfeatures.ptr(),
            phi: Ptr::NULL,
            count: samples.count.ptr_at(round),
            gradient: self.dl_dtable.ptr(),
            capacity: samples.capacity as u32,
        };
        let levels = self.field.grid.levels.len();
        self.device
            .launch_rows(&kernels::GRID_SCATTER, &[(args, LaunchDims::tiles(samples.capacity))], levels)
            .unwrap();
    }

    /// Returns the last backward pass's gradients with respect to the parameters of a block.
    fn gradient(&self, block: Block) -> Vec<f64> {
        let mut values = vec![0.0; block.len];
        let buffer = if block.of_table { &self.dl_dtable } else { &self.dl_dweights };
        buffer.download_into(block.first, &mut values).unwrap();
        to_f64(&values)
    }

    /// Sets a block to `values`, moved by `step` along `signs`.
    fn shift(&mut self, block: Block, values: &[f32], signs: &[f64], step: f64) {
        let moved: Vec<f32> = values.iter().zip(signs).map(|(&v, &sign)| (f64::from(v) + step * sign) as f32).collect();
        let buffer = if block.of_table { &mut self.field.table } else { &mut self.field.weights };
        buffer.upload(block.first, &moved).unwrap();
    }

    fn values(&self, block: Block) -> Vec<f32> {
        let mut values = vec![0.0; block.len];
        let buffer = if block.of_table { &self.field.table } else { &self.field.weights };
        buffer.download_into(block.first, &mut values).unwrap();
        values
    }
}

/// Returns the nearest number that fp16 represents exactly, so that all targets compute with the same parameters.
fn as_half(value: f32) -> f32 {
    half::f16::from_f32(value).to_f32()
}

fn blocks(field: &Field) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut first = 0;
    for layer in &field.decoder.layers {
        blocks.push(Block { of_table: false, first, len: layer.n_weights(), size: weight_size(*layer) });
        first += layer.n_weights();
    }
    let n_features = field.grid.n_features_per_level as usize;
    for level in &field.grid.levels {
        let (first, len) = (level.offset as usize * n_features, level.entries as usize * n_features);
        blocks.push(Block { of_table: true, first, len, size: 1.0 });
    }
    blocks
}

/// Returns the size of a layer's weights. About half of its inputs come from inactive neurons; the others should add up
/// to about 1.
fn weight_size(layer: LayerShape) -> f64 {
    2.0 / f64::from(layer.n_in)
}

/// Draws weights for which every neuron is active for every sample or inactive for every sample.
fn draw_weights(decoder: &Decoder, random: &mut Random) -> Vec<f32> {
    let mut weights = Vec::new();
    // Signs of the inputs; features are positive. 0 means either sign.
    let mut signs = vec![1.0; decoder.layers[0].n_in as usize];
    for (number, layer) in decoder.layers.iter().enumerate() {
        let ends_density = number + 1 == decoder.n_density_layers;
        let ends_color = number + 1 == decoder.layers.len();
        let mut outputs = Vec::new();
        for row in 0..layer.n_out {
            // The log density and the colours are not followed by a ReLU.
            let sign = if ends_color || (ends_density && row == 0) { 0.0 } else { random.sign() };
            weights.extend(signs.iter().map(|&of_input| draw_weight(*layer, sign, of_input, random)));
            outputs.push(sign);
        }
        if ends_density {
            // Plus the spherical harmonics of the direction.
            outputs.resize(decoder.layers.get(number + 1).map_or(0, |next| next.n_in as usize), 0.0);
        } else {
            outputs.fill(1.0); // an inactive neuron outputs 0, which counts as positive
        }
        signs = outputs;
    }
    weights
}

/// Draws a weight that gives the output its sign, if it has one; inputs of either sign get small weights.
fn draw_weight(layer: LayerShape, output: f64, input: f64, random: &mut Random) -> f32 {
    let size = random.between(0.5, 1.5) * weight_size(layer);
    let weight = match (output == 0.0, input == 0.0) {
        (true, _) => 2.0 * size * random.sign(),
        (false, true) => 0.1 * size * random.sign(),
        (false, false) => size * output * input,
    };
    weight as f32
}

/// Compares the gradients that the backward pass computed with differences of `loss`.
fn check(name: &str, probe: &mut Probe, random: &mut Random, tolerance: f64, loss: impl Fn(&Probe) -> f64) {
    let blocks = blocks(&probe.field);
    let gradients: Vec<Vec<f64>> = blocks.iter().map(|&block| probe.gradient(block)).collect();
    for (block, gradient) in blocks.into_iter().zip(gradients) {
        let values = probe.values(block);
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!(norm > 0.0, "{name}: {block:?} has no gradient");
        let step = STEP * block.size;
        for _ in 0..DIRECTIONS {
            let signs: Vec<f64> = (0..block.len).map(|_| random.sign()).collect();
            probe.shift(block, &values, &signs, step);
            let above = loss(probe);
            probe.shift(block, &values, &signs, -step);
            let below = loss(probe);
            let difference = (above - below) / (2.0 * step);
            let derivative: f64 = gradient.iter().zip(&signs).map(|(g, sign)| g * sign).sum();
            let error = (difference - derivative).abs() / norm;
            assert!(
                error <= tolerance,
                "{name}: {block:?}: differences give {difference}, the backward pass {derivative}, the norm is {norm}"
            );
        }
        probe.shift(block, &values, &vec![0.0; block.len], 0.0);
    }
}

/// Three levels: two dense and one hashed.
fn grid(n_features_per_level: u32, kernel: GridKernel) -> GridConfig {
    GridConfig {
        n_levels: 3,
        n_features_per_level,
        log2_hashmap_size: 9,
        base_resolution: 4,
        per_level_scale: 2.0,
        kernel,
        ..GridConfig::default()
    }
}

fn model(grid: GridConfig, density: (u32, u32), color: (u32, u32)) -> ModelConfig {
    let network = |(n_neurons, n_hidden_layers)| NetworkConfig { n_neurons, n_hidden_layers };
    ModelConfig { grid, density_network: network(density), color_network: network(color), ..ModelConfig::default() }
}

// ---------------------------------------------------------------------------------------------------------------------
// The field alone: a weighted sum of the samples' densities and colours.

/// Two whole tiles and part of a third.
const N_SAMPLES: usize = 300;
const N_RAYS: usize = 20;

/// Places samples at random positions, including faces of the cube, on rays of random directions.
fn scatter_samples(probe: &mut Probe, random: &mut Random) {
    let mut positions: Vec<f32> = (0..3 * N_SAMPLES).map(|_| random.unit() as f32).collect();
    positions[..6].copy_from_slice(&[0.0, 1.0, 0.5, 1.0, 1.0, 1.0]);
    let rays: Vec<u32> = (0..N_SAMPLES).map(|_| random.below(N_RAYS) as u32).collect();
    let samples = &mut probe.chunk.samples;
    samples.position.upload(0, &positions).unwrap();
    samples.ray.upload(0, &rays).unwrap();
    samples.count.upload(0, &[0, N_SAMPLES as u32]).unwrap();
    let capacity = probe.chunk.rays.capacity;
    for ray in 0..N_RAYS {
        for (axis, value) in random.direction().into_iter().enumerate() {
            probe.chunk.rays.view.upload(axis * capacity + ray, &[value as f32]).unwrap();
        }
    }
}

fn field_args(probe: &Probe) -> FieldArgs<'_> {
    FieldArgs {
        grid: probe.field.grid.layout(),
        network: probe.field.decoder.layout(),
        table: probe.field.table_ptr(),
        weights: probe.field.weights_ptr(),
        features: Ptr::NULL,
        samples: probe.chunk.samples.args(),
        rays: probe.chunk.ray_args(),
        activations: probe.scratch.activations(),
        dl_dfeatures: probe.dl_dfeatures.ptr(),
        dl_dweights: probe.dl_dweights.ptr(),
        round: 0,
        density_only: 0,
        dl_dview: Ptr::NULL,
    }
}

/// Returns the densities and colours for the current parameters.
fn outputs(probe: &Probe) -> (Vec<f64>, Vec<f64>) {
    let wide = probe.field.decoder.width() > 64;
    let kernel = if wide { &kernels::FIELD_FORWARD_128 } else { &kernels::FIELD_FORWARD_64 };
    probe.field.prepare(&probe.device).unwrap();
    probe.device.launch_chunk(kernel, &field_args(probe), LaunchDims::tiles(N_SAMPLES)).unwrap();
    let samples = &probe.chunk.samples;
    let densities = to_f64(&samples.density.download().unwrap()[..N_SAMPLES]);
    (densities, to_f64(&samples.color.download().unwrap()[..3 * N_SAMPLES]))
}

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
}

fn check_field(model: &ModelConfig) {
    let mut random = Random::new(1);
    let size = ChunkSize { n_chunks: 1, rays: N_RAYS, samples: N_SAMPLES };
    let mut probe = Probe::new(&host(), model, size, &mut random);
    scatter_samples(&mut probe, &mut random);
    let (by_density, by_color) = (random.vector(N_SAMPLES, 1.0), random.vector(3 * N_SAMPLES, 4.0));
    // Through the output activations: d exp(x) = exp(x) dx, d logistic(x) = c (1 - c) dx.
    let (densities, colors) = outputs(&probe);
    let raw = |weights: &[f32], slopes: Vec<f64>| -> Vec<f32> {
        weights.iter().zip(slopes).map(|(&weight, slope)| (f64::from(weight) * slope) as f32).collect()
    };
    let samples = &mut probe.chunk.samples;
    samples.dl_ddensity.upload(0, &raw(&by_density, densities)).unwrap();
    samples.dl_dcolor.upload(0, &raw(&by_color, colors.iter().map(|c| c * (1.0 - c)).collect())).unwrap();
    let loss = |probe: &Probe| {
        let (densities, colors) = outputs(probe);
        dot(&densities, &by_density) + dot(&colors, &by_color)
    };
    let wide = probe.field.decoder.width() > 64;
    let kernel = if wide { &kernels::FIELD_BACKWARD_128 } else { &kernels::FIELD_BACKWARD_64 };
    probe.device.launch_chunk(kernel, &field_args(&probe), LaunchDims::tiles(N_SAMPLES)).unwrap();
    probe.scatter(1);
    let name = format!("{:?}, {:?}, {:?}", model.grid, model.density_network, model.color_network);
    check(&name, &mut probe, &mut random, TOLERANCE, loss);
}

#[test]
fn field_gradients_are_right_for_every_number_of_features_and_kernel() {
    for kernel in [GridKernel::Linear, GridKernel::Smoothstep] {
        for n_features in [1, 2, 4, 8] {
            check_field(&model(grid(n_features, kernel), (64, 1), (64, 2)));
        }
    }
}

#[test]
fn field_gradients_are_right_for_dense_levels_and_for_averaged_bands() {
    for n_features in [2, 8] {
        let hash = grid(n_features, GridKernel::Linear);
        check_field(&model(GridConfig { index: GridIndex::Dense, ..hash.clone() }, (64, 1), (64, 2)));
        let fourier = GridConfig { index: GridIndex::Fourier, base_resolution: 8, per_level_scale: 1.0, ..hash };
        check_field(&model(fourier, (64, 1), (64, 2)));
    }
}

/// The directions have little effect compared with the density network's outputs, and the rounding error of the loss is
/// divided by the step. The step is therefore large, and the quadratic error term of the difference is extrapolated
/// away, and that of degree 4 as well. The polynomials are of degree 5 and have no higher terms.
const VIEW_STEP: f64 = 0.1;

/// Gradients of the colours with respect to the view directions.
#[test]
fn view_gradients_are_right_for_every_degree() {
    for sh_degree in 1..=6 {
        let mut random = Random::new(9);
        let model = ModelConfig { sh_degree, ..model(grid(4, GridKernel::Linear), (64, 1), (64, 2)) };
        let size = ChunkSize { n_chunks: 1, rays: N_RAYS, samples: N_SAMPLES };
        let mut probe = Probe::new(&host(), &model, size, &mut random);
        scatter_samples(&mut probe, &mut random);
        let by_color = random.vector(3 * N_SAMPLES, 4.0);
        let (_, colors) = outputs(&probe);
        let raw: Vec<f32> = by_color.iter().zip(&colors).map(|(&w, &c)| w * (c * (1.0 - c)) as f32).collect();
        probe.chunk.samples.dl_dcolor.upload(0, &raw).unwrap();
        let dl_dview = probe.device.zeros::<f32>(3 * N_SAMPLES).unwrap();
        let args = FieldArgs { dl_dview: dl_dview.ptr(), ..field_args(&probe) };
        probe.device.launch_chunk(&kernels::FIELD_BACKWARD_64, &args, LaunchDims::tiles(N_SAMPLES)).unwrap();
        let (rays, found) = (probe.chunk.samples.ray.download().unwrap(), to_f64(&dl_dview.download().unwrap()));
        let norm = found.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert_eq!(norm > 0.0, sh_degree > 1, "degree 1 is the same in all directions");
        let views = probe.chunk.rays.view.download().unwrap();
        for _ in 0..DIRECTIONS {
            // Displaces each ray's direction; the polynomials do not need unit length.
            let push: Vec<f64> = (0..3 * N_RAYS).map(|_| random.sign()).collect();
            let mut moved = |step: f64| {
                let moved: Vec<f32> =
                    views.iter().zip(&push).map(|(&v, &sign)| (f64::from(v) + step * sign) as f32).collect();
                probe.chunk.rays.view.upload(0, &moved).unwrap();
                dot(&outputs(&probe).1, &by_color)
            };
            let mut central = |step: f64| (moved(step) - moved(-step)) / (2.0 * step);
            let difference = 1.5 * central(VIEW_STEP) - 0.6 * central(2.0 * VIEW_STEP) + 0.1 * central(3.0 * VIEW_STEP);
            let along = |s: usize| (0..3).map(|k| found[3 * s + k] * push[k * N_RAYS + rays[s] as usize]).sum::<f64>();
            let derivative: f64 = (0..N_SAMPLES).map(along).sum();
            let error = (difference - derivative).abs();
            assert!(error <= TOLERANCE * norm, "degree {sh_degree}: {difference}, {derivative}, norm {norm}");
        }
    }
}

#[test]
fn field_gradients_are_right_for_every_width() {
    for width in [16, 32, 64, 128] {
        check_field(&model(grid(2, GridKernel::Linear), (width, 1), (width, 2)));
    }
    check_field(&model(grid(2, GridKernel::Linear), (16, 1), (128, 1)));
}

#[test]
fn field_gradients_are_right_for_every_depth() {
    for (density, color) in [(0, 0), (0, 3), (1, 1), (2, 0), (3, 3)] {
        check_field(&model(grid(4, GridKernel::Linear), (32, density), (64, color)));
    }
}

#[test]
fn features_past_a_multiple_of_16_are_padding() {
    let grid = GridConfig { n_levels: 5, ..grid(4, GridKernel::Linear) };
    check_field(&model(grid, (32, 1), (32, 1)));
}

// ---------------------------------------------------------------------------------------------------------------------
// The full chain: from the Huber loss of rendered pixels back to weights and features.

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
