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

mod chain;
mod field;

use crate::common::{Random, to_f64};
use gridfield::config::{GridConfig, GridKernel, ModelConfig, NetworkConfig};
use gridfield::decoder::{Decoder, Head, LayerShape};
use gridfield::device::args::ScatterArgs;
use gridfield::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use gridfield::field::{Field, WorkerScratch};
use gridfield::radiance::{Chunk, ChunkSize};

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
