//! The field on tiles of samples: grid, networks, and the backward pass.

use gridfield::config::{GridConfig, GridIndex, GridKernel, ModelConfig, NetworkConfig};
use gridfield::decoder::{Decoder, Head, LayerShape};
use gridfield::device::args::{ActiveArgs, FieldArgs, PrepareWeightsArgs};
use gridfield::device::{Buffer, ComputeBuffer, Device, Kernel, LaunchDims, Ptr, kernels};
use gridfield::encoding::Grid;
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::Random;
use crate::compare::{Outputs, get, set};

/// fp16 has 11 significant bits: each stored activation has a relative error of up to 2^-12, and about six layers in a
/// row add up to about 2^-10. Features and weights are representable in fp16.
const FORWARD: f64 = 3e-3;
/// The same for the backward pass, with given activations.
const BACKWARD: f64 = 3e-3;
/// One rounding to fp16: half a step of 2^-11, for values up to nearly 1.
const HALF: f64 = 3e-4;

const RAYS: usize = 20;
/// The samples of round 1: from the middle of one tile to the middle of another.
const ROUND: (usize, usize) = (50, 370);
const CAPACITY: usize = 500;

struct Case {
    index: GridIndex,
    n_levels: u32,
    n_features: u32,
    density: (u32, u32),
    color: (u32, u32),
    sh_degree: u32,
}

/// The default shape; features that do not fill a multiple of 16; one hidden layer more and one fewer; averaged bands;
/// more spherical harmonics than 16.
const NARROW: &[Case] = &[
    Case { index: GridIndex::Hash, n_levels: 8, n_features: 4, density: (64, 1), color: (64, 2), sh_degree: 4 },
    Case { index: GridIndex::Hash, n_levels: 5, n_features: 2, density: (16, 1), color: (32, 1), sh_degree: 3 },
    Case { index: GridIndex::Hash, n_levels: 6, n_features: 8, density: (32, 2), color: (64, 3), sh_degree: 2 },
    Case { index: GridIndex::Fourier, n_levels: 5, n_features: 8, density: (32, 1), color: (32, 1), sh_degree: 2 },
    Case { index: GridIndex::Hash, n_levels: 4, n_features: 4, density: (32, 1), color: (32, 1), sh_degree: 5 },
    Case { index: GridIndex::Hash, n_levels: 8, n_features: 4, density: (64, 1), color: (64, 2), sh_degree: 6 },
];
const WIDE: &[Case] = &[
    Case { index: GridIndex::Hash, n_levels: 16, n_features: 2, density: (128, 1), color: (128, 2), sh_degree: 4 },
    Case { index: GridIndex::Hash, n_levels: 16, n_features: 8, density: (64, 1), color: (64, 1), sh_degree: 4 },
];

/// A field with samples on rays.
struct Setup {
    grid: Grid,
    decoder: Decoder,
    chunk: Chunk,
    table: ComputeBuffer,
    weights: ComputeBuffer,
    activations: ComputeBuffer,
}

impl Setup {
    fn new(device: &Device, case: &Case) -> Self {
        let network = |(n_neurons, n_hidden_layers)| NetworkConfig { n_neurons, n_hidden_layers };
        let config = ModelConfig {
            grid: GridConfig {
                index: case.index,
                n_levels: case.n_levels,
                n_features_per_level: case.n_features,
                log2_hashmap_size: 9,
                base_resolution: 4,
                per_level_scale: 1.5,
                kernel: GridKernel::Linear,
                ..GridConfig::default()
            },
            density_network: network(case.density),
            color_network: network(case.color),
            sh_degree: case.sh_degree,
            ..ModelConfig::default()
        };
        let grid = Grid::new(&config.grid, 3);
        let decoder = Decoder::new(&config, Head::Radiance, grid.n_features());
        let mut random = Random::new(41);
        let mut table = ComputeBuffer::zeros(device, grid.n_parameters()).unwrap();
        table.set(&device.upload(&random.halves(grid.n_parameters(), -1.0, 1.0)).unwrap()).unwrap();
        let weights = prepared(device, &decoder, &device.upload(&random_weights(&decoder, &mut random)).unwrap());

        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: RAYS, samples: CAPACITY }).unwrap();
        let directions: Vec<[f64; 3]> = (0..RAYS).map(|_| random.direction()).collect();
        let columns: Vec<f32> =
            (0..3).flat_map(|k| directions.iter().map(move |direction| direction[k] as f32)).collect();
        set(&mut chunk.rays.view, &columns);
        set(&mut chunk.samples.position, &random.f32s(3 * CAPACITY, 0.0, 1.0));
        let ray: Vec<u32> = (0..CAPACITY).map(|_| random.bits() as u32 % RAYS as u32).collect();
        set(&mut chunk.samples.ray, &ray);
        set(&mut chunk.samples.count, &[0, ROUND.0 as u32, ROUND.1 as u32]);
        let activations = ComputeBuffer::zeros(device, CAPACITY * decoder.n_activations()).unwrap();
        Setup { grid, decoder, chunk, table, weights, activations }
    }

    fn args(&self, round: u32) -> FieldArgs<'_> {
        FieldArgs {
            grid: self.grid.layout(),
            network: self.decoder.layout(),
            table: self.table.ptr(),
            weights: self.weights.ptr(),
            features: Ptr::NULL,
            samples: self.chunk.samples.args(),
            rays: self.chunk.ray_args(),
            activations: Ptr::NULL,
            dl_dfeatures: Ptr::NULL,
            dl_dweights: Ptr::NULL,
            round,
            density_only: 0,
            dl_dview: Ptr::NULL,
        }
    }
}

/// Compares gradients with respect to the weights layer by layer, because their magnitudes differ.
pub fn summed_by_layer(outputs: &mut Outputs, decoder: &Decoder, dl_dweights: &[f32], tolerance: f64) {
    let mut rest = dl_dweights;
    for layer in &decoder.layers {
        let own;
        (own, rest) = rest.split_at(layer.n_weights());
        outputs.summed("dL/dweights of a layer", own, tolerance);
    }
}

/// Returns weights that fp16 represents exactly, uniform in a range that depends on the layer widths.
pub fn random_weights(decoder: &Decoder, random: &mut Random) -> Vec<f32> {
    let of_layer = |layer: &LayerShape| {
        let range = (6.0 / f64::from(layer.n_in + layer.n_out)).sqrt();
        random.halves(layer.n_weights(), -range, range)
    };
    decoder.layers.iter().flat_map(of_layer).collect()
}

pub fn prepared(device: &Device, decoder: &Decoder, weights: &Buffer<f32>) -> ComputeBuffer {
    let compute = ComputeBuffer::zeros(device, 2 * weights.len()).unwrap();
    let args = PrepareWeightsArgs { network: decoder.layout(), weights: weights.ptr(), compute: compute.ptr() };
    device.launch(&kernels::PREPARE_WEIGHTS, &args, LaunchDims::items(weights.len())).unwrap();
    compute
}

pub fn prepare_weights(device: &Device) -> Outputs {
    let decoder = Decoder::new(&ModelConfig::default(), Head::Radiance, 32);
    let weights = device.upload(&Random::new(42).f32s(decoder.n_weights(), -1.0, 1.0)).unwrap();
    let compute = prepared(device, &decoder, &weights);
    let mut outputs = Outputs::new();
    outputs.rounded("weights", &compute.download().unwrap()[..weights.len()], HALF);
    outputs
}

pub fn encode_samples(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for case in NARROW.iter().chain(WIDE) {
        let setup = Setup::new(device, case);
        let args = FieldArgs { activations: setup.activations.ptr(), ..setup.args(1) };
        device.launch(&kernels::ENCODE_SAMPLES, &args, LaunchDims::tiles(CAPACITY)).unwrap();
        let n_in = setup.decoder.layers[0].n_in as usize;
        outputs.rounded("features", &setup.activations.download().unwrap()[..CAPACITY * n_in], HALF);
    }
    outputs
}

/// Activations and weights are given, and counted here as well.
pub fn count_active(device: &Device) -> Outputs {
    const LEAST: f32 = 0.25;
    let n = ROUND.1;
    let mut outputs = Outputs::new();
    for case in NARROW {
        let mut setup = Setup::new(device, case);
        let mut random = Random::new(44);
        let activations = random.halves(CAPACITY * setup.decoder.n_activations(), -1.0, 0.1);
        let weight = random.f32s(CAPACITY, 0.0, 1.0);
        setup.activations.set(&device.upload(&activations).unwrap()).unwrap();
        let mut expected = Vec::new();
        let mut first = 0;
        for (l, layer) in setup.decoder.layers.iter().enumerate() {
            let n_in = layer.n_in as usize;
            let is_active = |s: usize, c: usize| weight[s] > LEAST && activations[first + s * n_in + c] > 0.0;
            if l != 0 && l != setup.decoder.n_density_layers {
                expected.extend((0..n_in).map(|c| (0..n).filter(|&s| is_active(s, c)).count() as u32));
            }
            first += CAPACITY * n_in;
        }
        let weight = device.upload(&weight).unwrap();
        let active = device.zeros::<u32>(expected.len()).unwrap();
        let args = ActiveArgs {
            network: setup.decoder.layout(),
            activations: setup.activations.ptr(),
            weight: weight.ptr(),
            count: setup.chunk.samples.count.ptr_at(2),
            active: active.ptr(),
            capacity: CAPACITY as u32,
            least_weight: LEAST,
        };
        device.launch_chunk(&kernels::COUNT_ACTIVE, &args, LaunchDims::items(expected.len())).unwrap();
        let found = get(&active);
        assert_eq!(found, expected);
        outputs.exact("active", &found);
    }
    outputs
}

fn forward(device: &Device, kernel: &Kernel<FieldArgs<'static>>, cases: &[Case]) -> Outputs {
    let mut outputs = Outputs::new();
    for case in cases {
        for density_only in [0, 1] {
            let setup = Setup::new(device, case);
            let activations = if density_only == 0 { setup.activations.ptr() } else { Ptr::NULL };
            let args = FieldArgs { density_only, activations, ..setup.args(1) };
            device.launch_chunk(kernel, &args, LaunchDims::tiles(CAPACITY)).unwrap();
            let samples = &setup.chunk.samples;
            // Compares logarithms, which the network outputs; zero outside the round.
            let raw: Vec<f32> =
                get(&samples.density).iter().map(|&density| if density > 0.0 { density.ln() } else { 0.0 }).collect();
            outputs.rounded("log density", &raw, FORWARD);
            outputs.rounded("colour", &get(&samples.color), FORWARD);
            outputs.rounded("inputs of the layers", &setup.activations.download().unwrap(), FORWARD);
            assert!(raw[ROUND.0..ROUND.1].iter().all(|&raw| raw != 0.0), "samples of the round are evaluated");
            assert!(raw[..ROUND.0].iter().chain(&raw[ROUND.1..]).all(|&raw| raw == 0.0), "other samples are unchanged");
        }
    }
    outputs
}

/// Sets `n` activations behind a ReLU: about half of them are 0.
pub fn set_activations(device: &Device, activations: &mut ComputeBuffer, n: usize, random: &mut Random) {
    let values = random.halves(n, -1.0, 1.0).into_iter().map(|value| value.max(0.0));
    activations.set(&device.upload(&values.collect::<Vec<f32>>()).unwrap()).unwrap();
}

/// Activations are given, so that the comparison does not depend on which side of a ReLU a value near zero falls.
fn backward(device: &Device, kernel: &Kernel<FieldArgs<'static>>, cases: &[Case]) -> Outputs {
    let mut outputs = Outputs::new();
    // The largest gradients that samples get, and those of samples that hardly contribute.
    for (case, size) in cases.iter().flat_map(|case| [(case, 0.3), (case, 2e-6)]) {
        let mut setup = Setup::new(device, case);
        let mut random = Random::new(43);
        set(&mut setup.chunk.samples.dl_dcolor, &random.f32s(3 * CAPACITY, -size, size));
        set(&mut setup.chunk.samples.dl_ddensity, &random.f32s(CAPACITY, -size, size));
        let n = CAPACITY * setup.decoder.n_activations();
        set_activations(device, &mut setup.activations, n, &mut random);
        let dl_dfeatures = device.zeros::<f32>(CAPACITY * setup.grid.n_features() as usize).unwrap();
        let dl_dweights = device.zeros::<f32>(setup.decoder.n_weights()).unwrap();
        let dl_dview = device.zeros::<f32>(3 * CAPACITY).unwrap();
        let args = FieldArgs {
            activations: setup.activations.ptr(),
            dl_dview: dl_dview.ptr(),
            dl_dfeatures: dl_dfeatures.ptr(),
            dl_dweights: dl_dweights.ptr(),
            ..setup.args(1)
        };
        device.launch_chunk(kernel, &args, LaunchDims::tiles(CAPACITY)).unwrap();
        outputs.rounded("dL/dfeatures", &get(&dl_dfeatures), BACKWARD);
        outputs.rounded("dL/dview", &get(&dl_dview), BACKWARD);
        summed_by_layer(&mut outputs, &setup.decoder, &get(&dl_dweights), BACKWARD);
    }
    outputs
}

pub fn field_forward_64(device: &Device) -> Outputs {
    forward(device, &kernels::FIELD_FORWARD_64, NARROW)
}

pub fn field_forward_128(device: &Device) -> Outputs {
    forward(device, &kernels::FIELD_FORWARD_128, WIDE)
}

pub fn field_backward_64(device: &Device) -> Outputs {
    backward(device, &kernels::FIELD_BACKWARD_64, NARROW)
}

pub fn field_backward_128(device: &Device) -> Outputs {
    backward(device, &kernels::FIELD_BACKWARD_128, WIDE)
}
