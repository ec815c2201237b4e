//! The local kernel function and the cascade of levels, with parameters far from their initial values.
//! tests/numerics/learned_levels/ compares values with fp64; here targets are compared with each other, in both
//! orders of the threads.

use gridfield::config::{GridConfig, GridKernel, LocalConfig, ModelConfig};
use gridfield::decoder::Head;
use gridfield::device::args::ScatterArgs;
use gridfield::device::{Buffer, ComputeBuffer, Device, LaunchDims, Ptr};
use gridfield::encoding::{Backward, Encode, Encoding, LearnedLevels};
use gridfield::field::Field;
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::Random;
use crate::compare::{Outputs, get, set};

/// One rounding to fp16 of features up to the largest.
const HALF: f64 = 5e-4;
/// Features that are rounded to fp16, and again after the cascade has multiplied them.
const FP16: f64 = 3e-3;
const FP32: f64 = 2e-5;

/// Samples of two rounds. The second begins and ends within a tile.
const COUNT: [u32; 3] = [0, 30, 330];
const CAPACITY: usize = 400;

struct Setup {
    field: Field,
    chunk: Chunk,
    features: ComputeBuffer,
    saved_activations: ComputeBuffer,
    /// `[L, S, F]`
    dl_dfeatures: Buffer<f32>,
}

/// The coarse levels have an entry for every node; the fine ones are hashed.
fn grid(n_levels: u32, n_features_per_level: u32) -> GridConfig {
    GridConfig {
        n_levels,
        n_features_per_level,
        log2_hashmap_size: 8,
        base_resolution: 4,
        per_level_scale: if n_levels > 8 { 1.12 } else { 1.5 },
        ..GridConfig::default()
    }
}

fn local_setups(device: &Device, dimensions: u32) -> Vec<Setup> {
    let mut setups = Vec::new();
    for n_features in [1, 2, 4, 8] {
        for n_frequencies in 0..=2 {
            let local = LocalConfig { n_frequencies };
            let grid = GridConfig { kernel: GridKernel::Local, local, ..grid(5, n_features) };
            setups.push(Setup::new(device, grid, dimensions));
        }
    }
    setups
}

/// Numbers of levels and of features per level, up to 64 features in all.
const NARROW: [(u32, u32); 6] = [(2, 1), (32, 1), (7, 2), (16, 4), (2, 8), (8, 8)];
/// The same, up to 128.
const WIDE: [(u32, u32); 4] = [(17, 4), (32, 4), (9, 8), (16, 8)];

fn cascade_setups(device: &Device, shapes: &[(u32, u32)]) -> Vec<Setup> {
    let of_shape = |&(n_levels, n_features): &(u32, u32)| {
        let kernel = if n_levels % 2 == 0 { GridKernel::Linear } else { GridKernel::Smoothstep };
        let dimensions = if n_levels > 8 { 2 } else { 3 };
        Setup::new(device, GridConfig { cascade: true, kernel, ..grid(n_levels, n_features) }, dimensions)
    };
    shapes.iter().map(of_shape).collect()
}

impl Setup {
    fn new(device: &Device, grid: GridConfig, dimensions: u32) -> Self {
        let model = ModelConfig { grid, ..ModelConfig::default() };
        let mut random = Random::new(31);
        let mut field = Field::zeros(device, &model, Head::Values { dimensions, n_outputs: 1 }).unwrap();
        assert!(field.grid.levels.iter().any(|level| !level.hashed));
        let table = random.halves(field.table.len(), -1.0, 1.0);
        set(&mut field.table, &table);
        // Gates of a level sum over all columns of the coarser ones.
        let gates = 1.5 / f64::from(field.grid.n_features()).sqrt();
        let levels = field.encoding_as_mut::<LearnedLevels>().unwrap();
        for block in levels.blocks() {
            let range = if block.name.starts_with("cascade.") { gates } else { 1.0 };
            let values = random.halves(block.n_numbers(), -range, range);
            levels.parameters_mut().unwrap().upload(block.first, &values).unwrap();
        }
        field.refresh_copies(device).unwrap();
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: CAPACITY }).unwrap();
        set(&mut chunk.samples.position, &random.f32s(3 * CAPACITY, 0.0, 1.0));
        set(&mut chunk.samples.count, &COUNT);
        let dl_dfeatures = random.halves(field.grid.n_features() as usize * CAPACITY, -1.0, 1.0);
        let n_in = field.decoder.layers[0].n_in as usize;
        let n_saved_activations = field.encoding.as_ref().unwrap().n_saved_activations();
        Setup {
            features: ComputeBuffer::zeros(device, CAPACITY * n_in).unwrap(),
            saved_activations: ComputeBuffer::zeros(device, CAPACITY * n_saved_activations).unwrap(),
            dl_dfeatures: device.upload(&dl_dfeatures).unwrap(),
            field,
            chunk,
        }
    }

    fn encoding(&self) -> &dyn Encoding {
        self.field.encoding.as_deref().unwrap()
    }

    fn work(&self, round: u32) -> Encode<'_> {
        let is_saved = self.encoding().n_saved_activations() > 0;
        Encode {
            grid: self.field.grid.layout(),
            samples: self.chunk.samples.args(),
            table: self.field.table_ptr(),
            features: self.features.ptr(),
            saved_activations: if is_saved { self.saved_activations.ptr() } else { Ptr::NULL },
            values: Ptr::NULL,
            n_in: self.n_in() as u32,
            round,
        }
    }

    fn n_in(&self) -> usize {
        self.field.decoder.layers[0].n_in as usize
    }

    fn encode(&self, device: &Device, round: u32) {
        self.encoding().encode(device, &self.work(round), CAPACITY).unwrap();
    }

    /// Encodes both rounds, runs the backward pass, and returns the gradients with respect to the parameters. Those
    /// with respect to the features are replaced by those with respect to the interpolated features.
    fn backward(&self, device: &Device) -> Buffer<f32> {
        (0..2).for_each(|round| self.encode(device, round));
        let dl_dparameters = device.zeros::<f32>(self.encoding().n_gradients()).unwrap();
        let gradients = Backward {
            dl_dfeatures: self.dl_dfeatures.ptr(),
            dl_dvalues: Ptr::NULL,
            dl_dparameters: dl_dparameters.ptr(),
            scatter_weights: Ptr::NULL,
        };
        self.encoding().backward(device, &self.work(1), &gradients, CAPACITY).unwrap();
        dl_dparameters
    }
}

fn encode(device: &Device, setups: Vec<Setup>, tolerance: f64) -> Outputs {
    let mut outputs = Outputs::new();
    let [_, first, end] = COUNT.map(|count| count as usize);
    for setup in setups {
        setup.encode(device, 1);
        let features = setup.features.download().unwrap();
        let of_sample = |s: usize| &features[s * setup.n_in()..(s + 1) * setup.n_in()];
        assert!(
            (0..first).chain(end..CAPACITY).all(|s| of_sample(s).iter().all(|&x| x == 0.0)),
            "samples of other rounds are unchanged"
        );
        assert!((first..end).all(|s| of_sample(s).iter().any(|&x| x != 0.0)), "samples of the round are encoded");
        outputs.rounded("features", &features, tolerance);
        // Before the cascade, then after it.
        let saved = setup.saved_activations.download().unwrap();
        let (before, after) = saved.split_at(saved.len() / 2);
        outputs.rounded("features before the cascade", before, HALF);
        outputs.rounded("features after the cascade", after, tolerance);
    }
    outputs
}

fn backward(device: &Device, setups: Vec<Setup>, tolerance: f64) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in setups {
        let dl_dparameters = get(&setup.backward(device));
        outputs.rounded("dL/dfeatures", &get(&setup.dl_dfeatures), tolerance);
        outputs.summed("dL/dparameters", &dl_dparameters, tolerance);
    }
    outputs
}

fn scatter(device: &Device, dimensions: u32) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in local_setups(device, dimensions) {
        let gradient = device.zeros::<f32>(setup.field.table.len()).unwrap();
        let args = ScatterArgs {
            grid: setup.field.grid.layout(),
            position: setup.chunk.samples.position.ptr(),
            dl_dfeatures: setup.dl_dfeatures.ptr(),
            phi: Ptr::NULL,
            count: setup.chunk.samples.count.ptr_at(2),
            gradient: gradient.ptr(),
            capacity: CAPACITY as u32,
        };
        let n_levels = setup.field.grid.levels.len();
        setup.encoding().scatter(device, &[(args, LaunchDims::tiles(CAPACITY))], n_levels).unwrap();
        outputs.summed("gradient", &get(&gradient), FP32);
    }
    outputs
}

pub fn local_encode_2d(device: &Device) -> Outputs {
    encode(device, local_setups(device, 2), HALF)
}

pub fn local_encode_3d(device: &Device) -> Outputs {
    encode(device, local_setups(device, 3), HALF)
}

pub fn local_backward_2d(device: &Device) -> Outputs {
    backward(device, local_setups(device, 2), FP32)
}

pub fn local_backward_3d(device: &Device) -> Outputs {
    backward(device, local_setups(device, 3), FP32)
}

pub fn local_scatter_2d(device: &Device) -> Outputs {
    scatter(device, 2)
}

pub fn local_scatter_3d(device: &Device) -> Outputs {
    scatter(device, 3)
}

pub fn cascade_forward_64(device: &Device) -> Outputs {
    encode(device, cascade_setups(device, &NARROW), FP16)
}

pub fn cascade_forward_128(device: &Device) -> Outputs {
    encode(device, cascade_setups(device, &WIDE), FP16)
}

pub fn cascade_backward_64(device: &Device) -> Outputs {
    backward(device, cascade_setups(device, &NARROW), FP16)
}

pub fn cascade_backward_128(device: &Device) -> Outputs {
    backward(device, cascade_setups(device, &WIDE), FP16)
}
