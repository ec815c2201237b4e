//! Points: the encoding, its scatter weights, and the scatter.

use gridfield::config::{GridConfig, GridIndex, GridKernel, PointsConfig};
use gridfield::device::args::{GridLayout, ScatterArgs};
use gridfield::device::{ComputeBuffer, Device, LaunchDims, Ptr};
use gridfield::encoding::{Backward, Encode, Encoding as _, Grid, PointCloud};
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::Random;
use crate::compare::{Outputs, get, set};

const FP16: f64 = 1e-3;
/// Weights are quotients of exponentials of squared distances.
const FP32: f64 = 2e-5;
const FP64: f64 = 1e-11;

const SAMPLES: usize = 300;
const CAPACITY: usize = 400;
const NODES: usize = 500;

struct Setup {
    cloud: PointCloud,
    grid: GridLayout,
    chunk: Chunk,
    n_features: usize,
    table: Vec<f32>,
}

/// Nodes fill half of the box, so some samples are out of reach of all nodes, and some have fewer active nodes than the
/// maximum.
fn setups(device: &Device) -> Vec<Setup> {
    [(1, 8, 3), (2, 3, 2), (4, 1, 3), (8, 8, 3), (2, 8, 2)]
        .map(|(n_features, k, dimensions)| Setup::new(device, n_features, k, dimensions))
        .into()
}

impl Setup {
    fn new(device: &Device, n_features: usize, k: u32, dimensions: u32) -> Self {
        let points = PointsConfig { k, bandwidth: 1.0, ..PointsConfig::default() };
        let config = GridConfig {
            index: GridIndex::Points,
            kernel: GridKernel::Gaussian,
            n_levels: 1,
            n_features_per_level: n_features as u32,
            points,
            ..GridConfig::default()
        };
        let mut random = Random::new(21);
        let mut nodes: Vec<[f32; 3]> =
            (0..NODES).map(|_| [0.5, 1.0, 1.0].map(|most| random.between(0.0, most) as f32)).collect();
        if dimensions == 2 {
            nodes.iter_mut().for_each(|node| node[2] = 0.5);
        }
        let cloud = PointCloud::new(device, nodes, dimensions, &config.points, n_features as u32).unwrap();
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: CAPACITY }).unwrap();
        let mut position = random.f32s(3 * CAPACITY, 0.0, 1.0);
        position[..6].copy_from_slice(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        set(&mut chunk.samples.position, &position);
        set(&mut chunk.samples.count, &[0, SAMPLES as u32]);
        let table = random.halves((NODES + 1) * n_features, -1.0, 1.0);
        Setup { cloud, grid: Grid::new(&config, dimensions).layout(), chunk, n_features, table }
    }

    fn kept(&self, device: &Device) -> gridfield::device::Buffer<f32> {
        let kept = device.zeros::<f32>(CAPACITY * self.cloud.n_scatter_weights()).unwrap();
        let gradients = Backward {
            dl_dfeatures: Ptr::NULL,
            dl_dvalues: Ptr::NULL,
            dl_dparameters: Ptr::NULL,
            scatter_weights: kept.ptr(),
        };
        let work = self.encode(Ptr::NULL, Ptr::NULL);
        self.cloud.backward(device, &work, &gradients, CAPACITY).unwrap();
        kept
    }

    fn encode<'a>(
        &'a self,
        table: Ptr<'a, gridfield::device::args::Compute>,
        features: Ptr<'a, gridfield::device::args::Compute>,
    ) -> Encode<'a> {
        Encode {
            grid: self.grid,
            samples: self.chunk.samples.args(),
            table,
            features,
            saved_activations: Ptr::NULL,
            values: Ptr::NULL,
            n_in: 16,
            round: 0,
        }
    }
}

pub fn points_encode(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in setups(device) {
        let mut table = ComputeBuffer::zeros(device, setup.table.len()).unwrap();
        table.set(&device.upload(&setup.table).unwrap()).unwrap();
        let features = ComputeBuffer::zeros(device, CAPACITY * 16).unwrap();
        setup.cloud.encode(device, &setup.encode(table.ptr(), features.ptr()), CAPACITY).unwrap();
        outputs.rounded("features", &features.download().unwrap(), FP16);
    }
    outputs
}

/// The weights, followed by the node indices, which are stored as the bits of floats.
pub fn points_backward(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in setups(device) {
        let kept = get(&setup.kept(device));
        let (phi, nodes) = kept.split_at(CAPACITY * 9);
        outputs.rounded("phi", phi, FP32);
        outputs.exact("nodes", &nodes.iter().map(|bits| bits.to_bits()).collect::<Vec<u32>>());
    }
    outputs
}

pub fn points_scatter(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in setups(device) {
        let kept = setup.kept(device);
        let dl_dfeatures = Random::new(22).f32s(CAPACITY * setup.n_features, -1.0, 1.0);
        let dl_dfeatures = device.upload(&dl_dfeatures).unwrap();
        let gradient = device.zeros::<f32>(setup.table.len()).unwrap();
        let args = ScatterArgs {
            grid: setup.grid,
            position: setup.chunk.samples.position.ptr(),
            dl_dfeatures: dl_dfeatures.ptr(),
            phi: kept.ptr(),
            count: setup.chunk.samples.count.ptr_at(1),
            gradient: gradient.ptr(),
            capacity: CAPACITY as u32,
        };
        setup.cloud.scatter(device, &[(args, LaunchDims::tiles(CAPACITY))], 1).unwrap();
        outputs.summed("gradient", &get(&gradient), FP32);
    }
    outputs
}

pub fn points_nodes_f64(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in setups(device) {
        let active = setup.cloud.active_nodes(device, &Random::new(23).f64s(3 * SAMPLES, 0.0, 1.0)).unwrap();
        outputs.exact("entry", &active.entry);
        outputs.rounded("phi", &active.phi, FP64);
    }
    outputs
}

pub fn points_nodes_backward_f64(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in setups(device) {
        let mut random = Random::new(24);
        let (x, dl_dphi) = (random.f64s(3 * SAMPLES, 0.0, 1.0), random.f64s(9 * SAMPLES * 3 / 2, -1.0, 1.0));
        outputs.rounded("dL/dx", &setup.cloud.active_nodes_backward(device, &x, &dl_dphi).unwrap(), FP64);
    }
    outputs
}
