//! Grid encodings, and gradients with respect to their tables.

use std::ffi::c_void;

use bytemuck::Pod;
use gridfield::config::{GridConfig, GridIndex, GridKernel};
use gridfield::device::args::{ENCODE_TILES, EncodeArgs, EncodeLevelsArgs, GridLayout, MAX_LEVELS, ScatterArgs};
use gridfield::device::{Buffer, ComputeBuffer, Device, Kernel, LaunchDims, Ptr, kernels};
use gridfield::encoding::Grid;
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::Random;
use crate::compare::{Outputs, get, set};

const POINTS: usize = 300;

/// Positions are multiplied by up to 100 cells before their fraction is taken, so weights in fp32 have an error of
/// about 100 · 6e-8 of a cell.
const FP32: f64 = 2e-5;
/// The same in fp64.
const FP64: f64 = 1e-13;
/// One rounding to fp16: half a step of 2^-11, for values up to nearly 1.
const HALF: f64 = 3e-4;

/// Five levels, dense ones and hashed ones with collisions.
fn config(n_features_per_level: u32, kernel: GridKernel) -> GridConfig {
    GridConfig {
        n_levels: 5,
        n_features_per_level,
        log2_hashmap_size: 10,
        base_resolution: 4,
        per_level_scale: 2.2,
        kernel,
        ..GridConfig::default()
    }
}

/// That hash grid, and five Fourier bands whose features are averaged; each with both kernel functions.
fn configs(n_features_per_level: u32) -> Vec<GridConfig> {
    let mut configs = Vec::new();
    for kernel in [GridKernel::Linear, GridKernel::Smoothstep] {
        let hash = config(n_features_per_level, kernel);
        let fourier =
            GridConfig { index: GridIndex::Fourier, base_resolution: 12, per_level_scale: 1.0, ..hash.clone() };
        configs.extend([hash, fourier]);
    }
    configs
}

struct Points<T: Pod> {
    layout: GridLayout,
    scale: [f64; MAX_LEVELS],
    position: Buffer<T>,
    table: Buffer<T>,
    features: Buffer<T>,
    dl_dfeatures: Buffer<T>,
    dl_dtable: Buffer<T>,
    dl_dposition: Buffer<T>,
}

impl<T: Pod> Points<T> {
    fn new(device: &Device, dimensions: usize, config: &GridConfig, from: fn(f64) -> T) -> Self {
        let grid = Grid::new(config, dimensions as u32);
        let mut random = Random::new(3);
        let mut numbers = |n: usize, low: f64, high: f64| -> Buffer<T> {
            let values: Vec<T> = random.f64s(n, low, high).into_iter().map(from).collect();
            device.upload(&values).unwrap()
        };
        let mut scale = [0.0; MAX_LEVELS];
        for (slot, level) in scale.iter_mut().zip(&grid.levels) {
            *slot = level.scale;
        }
        let n_features = grid.n_features() as usize;
        Points {
            layout: grid.layout(),
            scale,
            position: numbers(POINTS * dimensions, 0.0, 1.0),
            table: numbers(grid.n_parameters(), -1.0, 1.0),
            dl_dfeatures: numbers(POINTS * n_features, -1.0, 1.0),
            features: device.zeros(POINTS * n_features).unwrap(),
            dl_dtable: device.zeros(grid.n_parameters()).unwrap(),
            dl_dposition: device.zeros(POINTS * dimensions).unwrap(),
        }
    }

    fn args(&self) -> EncodeArgs<'_> {
        EncodeArgs {
            grid: self.layout,
            scale: self.scale,
            position: untyped(&self.position),
            table: untyped(&self.table),
            features: untyped(&self.features),
            dl_dfeatures: untyped(&self.dl_dfeatures),
            dl_dtable: untyped(&self.dl_dtable),
            dl_dposition: untyped(&self.dl_dposition),
        }
    }
}

fn untyped<T: Pod>(buffer: &Buffer<T>) -> Ptr<'_, c_void> {
    buffer.ptr().cast()
}

fn encode<T: Pod + Into<f64>>(
    device: &Device,
    kernel: &Kernel<EncodeArgs<'static>>,
    dimensions: usize,
    from: fn(f64) -> T,
    tolerance: f64,
) -> Outputs {
    let mut outputs = Outputs::new();
    for config in configs(2) {
        let points = Points::new(device, dimensions, &config, from);
        device.launch(kernel, &points.args(), LaunchDims::items(POINTS)).unwrap();
        outputs.rounded("features", &get(&points.features), tolerance);
    }
    outputs
}

fn encode_backward(device: &Device, kernel: &Kernel<EncodeArgs<'static>>, dimensions: usize) -> Outputs {
    let mut outputs = Outputs::new();
    for config in configs(2) {
        let points = Points::<f64>::new(device, dimensions, &config, |x| x);
        device.launch_chunk(kernel, &points.args(), LaunchDims::items(POINTS)).unwrap();
        outputs.summed("dL/dtable", &get(&points.dl_dtable), FP64);
        outputs.rounded("dL/dposition", &get(&points.dl_dposition), FP64);
    }
    outputs
}

pub fn encode_2d_f32(device: &Device) -> Outputs {
    encode::<f32>(device, &kernels::ENCODE_2D_F32, 2, |x| x as f32, FP32)
}

pub fn encode_3d_f32(device: &Device) -> Outputs {
    encode::<f32>(device, &kernels::ENCODE_3D_F32, 3, |x| x as f32, FP32)
}

pub fn encode_2d_f64(device: &Device) -> Outputs {
    encode::<f64>(device, &kernels::ENCODE_2D_F64, 2, |x| x, FP64)
}

pub fn encode_3d_f64(device: &Device) -> Outputs {
    encode::<f64>(device, &kernels::ENCODE_3D_F64, 3, |x| x, FP64)
}

pub fn encode_backward_2d_f64(device: &Device) -> Outputs {
    encode_backward(device, &kernels::ENCODE_BACKWARD_2D_F64, 2)
}

pub fn encode_backward_3d_f64(device: &Device) -> Outputs {
    encode_backward(device, &kernels::ENCODE_BACKWARD_3D_F64, 3)
}

/// All levels but the first, for a round that neither begins nor ends at a tile boundary.
pub fn encode_levels(device: &Device) -> Outputs {
    const CAPACITY: usize = 400;
    let mut outputs = Outputs::new();
    let hashed = |n_features| [GridKernel::Linear, GridKernel::Smoothstep].map(|kernel| config(n_features, kernel));
    let cases = [1, 2, 4, 8].into_iter().flat_map(hashed).flat_map(|config| [(config.clone(), 2), (config, 3)]);
    for (config, dimensions) in cases {
        let grid = Grid::new(&config, dimensions);
        let mut random = Random::new(5);
        let mut table = ComputeBuffer::zeros(device, grid.n_parameters()).unwrap();
        table.set(&device.upload(&random.halves(grid.n_parameters(), -1.0, 1.0)).unwrap()).unwrap();
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: CAPACITY }).unwrap();
        set(&mut chunk.samples.position, &random.f32s(3 * CAPACITY, 0.0, 1.0));
        set(&mut chunk.samples.count, &[0, 30, 370]);
        let n_in = grid.n_features().next_multiple_of(16);
        let features = ComputeBuffer::zeros(device, CAPACITY * n_in as usize).unwrap();
        let args = EncodeLevelsArgs {
            grid: grid.layout(),
            samples: chunk.samples.args(),
            table: table.ptr(),
            features: features.ptr(),
            n_in,
            round: 1,
            first_level: 1,
        };
        device
            .launch_chunk(&kernels::ENCODE_LEVELS, &args, LaunchDims::tiles(CAPACITY.div_ceil(ENCODE_TILES)).rows(4))
            .unwrap();
        let features = features.download().unwrap();
        let of_sample = |s: usize| &features[s * n_in as usize..(s + 1) * n_in as usize];
        assert!(
            (0..30).chain(370..CAPACITY).all(|s| of_sample(s).iter().all(|&x| x == 0.0)),
            "other samples are unchanged"
        );
        assert!((30..370).all(|s| of_sample(s).iter().any(|&x| x != 0.0)), "samples of the round are encoded");
        outputs.rounded("features", &features, HALF);
    }
    outputs
}

/// The capacity exceeds the number of samples, and the last tile is partly filled.
pub fn grid_scatter(device: &Device) -> Outputs {
    let (samples, capacity) = (300, 400);
    let mut outputs = Outputs::new();
    let cases = [1, 2, 4, 8].into_iter().flat_map(configs).flat_map(|config| [(config.clone(), 2), (config, 3)]);
    for (config, dimensions) in cases {
        let grid = Grid::new(&config, dimensions);
        let mut random = Random::new(4);
        let position = device.upload(&random.f32s(dimensions as usize * capacity, 0.0, 1.0)).unwrap();
        let dl_dfeatures = device.upload(&random.f32s(grid.n_features() as usize * capacity, -1.0, 1.0)).unwrap();
        let count = device.upload(&[samples as u32]).unwrap();
        let gradient = device.zeros::<f32>(grid.n_parameters()).unwrap();
        let args = ScatterArgs {
            grid: grid.layout(),
            position: position.ptr(),
            dl_dfeatures: dl_dfeatures.ptr(),
            phi: Ptr::NULL,
            count: count.ptr(),
            gradient: gradient.ptr(),
            capacity: capacity as u32,
        };
        device.launch_rows(&kernels::GRID_SCATTER, &[(args, LaunchDims::tiles(capacity))], grid.levels.len()).unwrap();
        outputs.summed("gradient", &get(&gradient), FP32);
    }
    outputs
}
