//! The multiplicative Fourier adaptive kernel in training. tests/numerics/mulfa_tile.rs compares values with fp64; here
//! targets are compared with each other, in both orders of the threads.

use gridfield::config::{GridConfig, GridKernel, ModelConfig, MulfaConfig, MulfaVariant};
use gridfield::decoder::Head;
use gridfield::device::args::{MulfaArgs, PrepareMulfaArgs};
use gridfield::device::{ComputeBuffer, Device, Kernel, LaunchDims, Ptr, kernels};
use gridfield::encoding::{Encoding as _, Theta};
use gridfield::field::Field;
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::{Random, mulfa_args};
use crate::compare::{Outputs, get, set};

/// Four consecutive roundings to fp16.
const FP16: f64 = 4e-3;
/// The same for sums over samples, whose errors do not cancel.
const SUMS: f64 = 2e-2;
const FP32: f64 = 1e-5;

const SAMPLES: usize = 300;
const CAPACITY: usize = 400;

struct Setup {
    field: Field,
    chunk: Chunk,
    dl_dfeatures: Vec<f32>,
}

/// Whether kernel functions have one layer or several.
#[derive(Clone, Copy)]
enum Depth {
    One,
    More,
}

fn setups(device: &Device, dimensions: u32, depth: Depth) -> Vec<Setup> {
    let case = |(variant, n_features, per_feature, width, shared, more)| {
        let depth = match depth {
            Depth::One => 1,
            Depth::More => more,
        };
        let mulfa =
            MulfaConfig { variant, per_feature, width, shared, depth, n_frequencies: 4, ..MulfaConfig::default() };
        let grid = GridConfig {
            n_levels: 3,
            n_features_per_level: n_features,
            log2_hashmap_size: 9,
            base_resolution: 4,
            per_level_scale: 2.0,
            kernel: GridKernel::Mulfa,
            mulfa,
            ..GridConfig::default()
        };
        Setup::new(device, &ModelConfig { grid, ..ModelConfig::default() }, dimensions)
    };
    [
        (MulfaVariant::Paper, 4, false, 16, false, 2),
        (MulfaVariant::Windowed, 2, true, 16, true, 3),
        (MulfaVariant::Modulated, 8, true, 32, false, 2),
    ]
    .map(case)
    .into()
}

fn all_setups(device: &Device) -> Vec<Setup> {
    let shapes = [(2, Depth::One), (3, Depth::One), (2, Depth::More), (3, Depth::More)];
    shapes.into_iter().flat_map(|(dimensions, depth)| setups(device, dimensions, depth)).collect()
}

impl Setup {
    fn new(device: &Device, model: &ModelConfig, dimensions: u32) -> Self {
        let mut random = Random::new(8);
        let mut field = Field::zeros(device, model, Head::Values { dimensions, n_outputs: 1 }).unwrap();
        let table = random.halves(field.table.len(), -1.0, 1.0);
        set(&mut field.table, &table);
        let mulfa = field.grid.mulfa.clone().unwrap();
        let parts = mulfa.blocks();
        let theta: Vec<f32> = (0..mulfa.n_thetas)
            .flat_map(|_| &parts)
            .flat_map(|part| match part.name.as_str() {
                "b_out" => vec![1.0; part.n_numbers()],
                "w_out" => random.halves(part.n_numbers(), -0.02, 0.02),
                _ => random.halves(part.n_numbers(), -0.5, 0.5),
            })
            .collect();
        set(&mut field.encoding_as_mut::<Theta>().unwrap().theta, &theta);
        field.refresh_copies(device).unwrap();
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: CAPACITY }).unwrap();
        set(&mut chunk.samples.position, &random.f32s(3 * CAPACITY, 0.0, 1.0));
        set(&mut chunk.samples.count, &[0, SAMPLES as u32]);
        let dl_dfeatures = random.halves(field.grid.n_features() as usize * CAPACITY, -1.0, 1.0);
        Setup { field, chunk, dl_dfeatures }
    }

    fn kernels(&self) -> (&'static Kernel<MulfaArgs<'static>>, &'static Kernel<MulfaArgs<'static>>) {
        self.field.grid.mulfa.as_ref().unwrap().kernels()
    }

    fn args(&self) -> MulfaArgs<'_> {
        mulfa_args(&self.field, &self.chunk, 0)
    }
}

pub fn mulfa_encode_2d(device: &Device) -> Outputs {
    encode(device, 2, Depth::One)
}

pub fn mulfa_encode_3d(device: &Device) -> Outputs {
    encode(device, 3, Depth::One)
}

pub fn mulfa_backward_2d(device: &Device) -> Outputs {
    backward(device, 2, Depth::One)
}

pub fn mulfa_backward_3d(device: &Device) -> Outputs {
    backward(device, 3, Depth::One)
}

pub fn mulfa_multi_layer_encode_2d(device: &Device) -> Outputs {
    encode(device, 2, Depth::More)
}

pub fn mulfa_multi_layer_encode_3d(device: &Device) -> Outputs {
    encode(device, 3, Depth::More)
}

pub fn mulfa_multi_layer_backward_2d(device: &Device) -> Outputs {
    backward(device, 2, Depth::More)
}

pub fn mulfa_multi_layer_backward_3d(device: &Device) -> Outputs {
    backward(device, 3, Depth::More)
}

fn encode(device: &Device, dimensions: u32, depth: Depth) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in setups(device, dimensions, depth) {
        let features = ComputeBuffer::zeros(device, CAPACITY * setup.args().n_in as usize).unwrap();
        let args = MulfaArgs { features: features.ptr(), ..setup.args() };
        device.launch_chunk(setup.kernels().0, &args, LaunchDims::tiles(CAPACITY)).unwrap();
        outputs.rounded("features", &features.download().unwrap(), FP16);
    }
    outputs
}

fn backward(device: &Device, dimensions: u32, depth: Depth) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in setups(device, dimensions, depth) {
        let grid = &setup.field.grid;
        let nodes = grid.levels.len() * grid.n_corners() * grid.n_outputs();
        let (phi, dl_dfeatures) =
            (device.zeros(CAPACITY * nodes).unwrap(), device.upload(&setup.dl_dfeatures).unwrap());
        let dl_dprepared = device.zeros::<f32>(grid.mulfa.as_ref().unwrap().n_prepared().1).unwrap();
        let features = ComputeBuffer::zeros(device, CAPACITY * setup.args().n_in as usize).unwrap();
        let query =
            ComputeBuffer::zeros(device, CAPACITY * grid.mulfa.as_ref().unwrap().n_saved_activations()).unwrap();
        let args = MulfaArgs { features: features.ptr(), query: query.ptr(), ..setup.args() };
        device.launch_chunk(setup.kernels().0, &args, LaunchDims::tiles(CAPACITY)).unwrap();
        let args = MulfaArgs {
            query: query.ptr(),
            dl_dfeatures: dl_dfeatures.ptr(),
            phi: phi.ptr(),
            dl_dprepared: dl_dprepared.ptr(),
            ..setup.args()
        };
        device.launch_chunk(setup.kernels().1, &args, LaunchDims::tiles(CAPACITY)).unwrap();
        outputs.rounded("phi", &get(&phi), FP16);
        outputs.summed("dL/dprepared", &get(&dl_dprepared), SUMS);
    }
    outputs
}

pub fn prepare_mulfa(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in all_setups(device) {
        let (kernel, n) =
            (setup.field.encoding_as::<Theta>().unwrap(), setup.field.grid.mulfa.as_ref().unwrap().n_prepared().0);
        let prepared = ComputeBuffer::zeros(device, 2 * n).unwrap();
        let args = PrepareMulfaArgs {
            grid: setup.field.grid.layout(),
            theta: kernel.theta.ptr(),
            prepared: prepared.ptr(),
            dl_dprepared: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
        };
        device.launch(&kernels::PREPARE_MULFA, &args, LaunchDims::items(n)).unwrap();
        outputs.rounded("prepared", &prepared.download().unwrap()[..n], FP16);
    }
    outputs
}

pub fn mulfa_gradient(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for setup in all_setups(device) {
        let n = setup.field.grid.mulfa.as_ref().unwrap().n_prepared().1;
        let dl_dprepared = device.upload(&Random::new(9).f32s(n, -1.0, 1.0)).unwrap();
        let kernel = setup.field.encoding_as::<Theta>().unwrap();
        let dl_dtheta = device.zeros::<f32>(kernel.theta.len()).unwrap();
        kernel.gradient(device, &setup.field.grid, dl_dprepared.ptr(), dl_dtheta.ptr()).unwrap();
        outputs.rounded("dL/dtheta", &get(&dl_dtheta), FP32);
    }
    outputs
}
