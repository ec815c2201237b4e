//! Active nodes alone: of fixed kernel functions, and of learned ones.

use bytemuck::Pod;
use gridfield::config::{GridConfig, GridIndex, GridKernel, LocalConfig, MulfaConfig, MulfaVariant};
use gridfield::device::args::{ActiveNodesArgs, MAX_LEVELS};
use gridfield::device::{Device, Kernel, LaunchDims, kernels};
use gridfield::encoding::Grid;

use crate::common::Random;
use crate::compare::{Outputs, get};

const POINTS: usize = 200;

/// Fractions of cells have errors of 100 · 6e-8, phases of about 10 radians of 1e-6, and `paper` may divide by small
/// sums.
const FP32: f64 = 1e-4;
/// The same in fp64.
const FP64: f64 = 1e-12;

type NodesKernel = Kernel<ActiveNodesArgs<'static>>;

fn grids(dimensions: u32) -> Vec<Grid> {
    let config = |kernel, mulfa| GridConfig {
        n_levels: 3,
        n_features_per_level: 2,
        log2_hashmap_size: 8,
        base_resolution: 4,
        per_level_scale: 2.2,
        kernel,
        mulfa,
        ..GridConfig::default()
    };
    let mulfa = |variant, depth, per_feature, shared| MulfaConfig {
        variant,
        depth,
        per_feature,
        shared,
        n_frequencies: 4,
        n_levels: if depth == 2 { 2 } else { 32 },
        node_frequency: 1.0,
        ..MulfaConfig::default()
    };
    let learned = [
        mulfa(MulfaVariant::Paper, 1, true, false),
        mulfa(MulfaVariant::Windowed, 2, true, true),
        mulfa(MulfaVariant::Modulated, 1, false, false),
    ];
    let fixed = [GridKernel::Linear, GridKernel::Smoothstep].map(|kernel| config(kernel, MulfaConfig::default()));
    let learned = learned.map(|mulfa| config(GridKernel::Mulfa, mulfa));
    let bands =
        GridConfig { index: GridIndex::Fourier, n_levels: 5, ..config(GridKernel::Linear, MulfaConfig::default()) };
    let local = [0, 1, 2].map(|n_frequencies| {
        let local = LocalConfig { n_frequencies };
        GridConfig { local, ..config(GridKernel::Local, MulfaConfig::default()) }
    });
    fixed.iter().chain(&learned).chain(&local).chain([&bands]).map(|config| Grid::new(config, dimensions)).collect()
}

/// Returns θ that keeps the denominators of `paper` away from zero: small weights and a `b_out` of 1.
fn theta(grid: &Grid, random: &mut Random) -> Vec<f64> {
    let Some(mulfa) = &grid.mulfa else { return random.f64s(grid.n_theta(), -1.0, 1.0) };
    let parts = mulfa.blocks();
    (0..mulfa.n_thetas)
        .flat_map(|_| &parts)
        .flat_map(|part| match part.name.as_str() {
            "b_out" => vec![1.0; part.n_numbers()],
            "w_out" => random.f64s(part.n_numbers(), -0.1, 0.1),
            _ => random.f64s(part.n_numbers(), -1.0, 1.0),
        })
        .collect()
}

fn compare<T: Pod + Into<f64>>(
    device: &Device,
    kernel: &NodesKernel,
    dimensions: u32,
    backward: bool,
    from: fn(f64) -> T,
    tolerance: f64,
) -> Outputs {
    let mut outputs = Outputs::new();
    for grid in grids(dimensions) {
        let mut random = Random::new(6);
        let upload = |values: Vec<f64>| device.upload(&values.into_iter().map(from).collect::<Vec<T>>()).unwrap();
        let n_nodes = POINTS * grid.levels.len() * grid.n_corners();
        let theta = upload(theta(&grid, &mut random));
        let position = upload(random.f64s(POINTS * dimensions as usize, 0.0, 1.0));
        let dl_dphi = upload(random.f64s(n_nodes * grid.n_outputs(), -1.0, 1.0));
        let (entry, phi) = (device.zeros(n_nodes).unwrap(), device.zeros::<T>(n_nodes * grid.n_outputs()).unwrap());
        let dl_dtheta = device.zeros::<T>(theta.len()).unwrap();
        let dl_dposition = device.zeros::<T>(position.len()).unwrap();
        let n_scratch = grid.mulfa.as_ref().map_or(0, |mulfa| mulfa.n_scratch());
        let scratch = device.zeros::<T>(POINTS * n_scratch).unwrap();
        let mut scale = [0.0; MAX_LEVELS];
        scale.iter_mut().zip(&grid.levels).for_each(|(slot, level)| *slot = level.scale);
        let args = ActiveNodesArgs {
            grid: grid.layout(),
            scale,
            position: position.ptr().cast(),
            theta: theta.ptr().cast(),
            entry: entry.ptr(),
            phi: phi.ptr().cast(),
            dl_dphi: dl_dphi.ptr().cast(),
            dl_dtheta: dl_dtheta.ptr().cast(),
            dl_dposition: dl_dposition.ptr().cast(),
            scratch: scratch.ptr().cast(),
            n_scratch: n_scratch as u32,
            theta_stride: 0,
        };
        device.launch_chunk(kernel, &args, LaunchDims::items(POINTS)).unwrap();
        if backward {
            outputs.summed("dL/dtheta", &get(&dl_dtheta), tolerance);
            outputs.rounded("dL/dposition", &get(&dl_dposition), tolerance);
        } else {
            outputs.exact("entry", &get(&entry));
            outputs.rounded("phi", &get(&phi), tolerance);
        }
    }
    outputs
}

macro_rules! forward {
    ($($name:ident: $kernel:ident, $dimensions:literal, $number:ty, $tolerance:ident;)*) => {
        $(
            pub fn $name(device: &Device) -> Outputs {
                compare::<$number>(device, &kernels::$kernel, $dimensions, false, |x| x as $number, $tolerance)
            }
        )*
    };
}

forward! {
    active_nodes_1d_f32: ACTIVE_NODES_1D_F32, 1, f32, FP32;
    active_nodes_2d_f32: ACTIVE_NODES_2D_F32, 2, f32, FP32;
    active_nodes_3d_f32: ACTIVE_NODES_3D_F32, 3, f32, FP32;
    active_nodes_1d_f64: ACTIVE_NODES_1D_F64, 1, f64, FP64;
    active_nodes_2d_f64: ACTIVE_NODES_2D_F64, 2, f64, FP64;
    active_nodes_3d_f64: ACTIVE_NODES_3D_F64, 3, f64, FP64;
}

pub fn active_nodes_backward_1d_f64(device: &Device) -> Outputs {
    compare::<f64>(device, &kernels::ACTIVE_NODES_BACKWARD_1D_F64, 1, true, |x| x, FP64)
}

pub fn active_nodes_backward_2d_f64(device: &Device) -> Outputs {
    compare::<f64>(device, &kernels::ACTIVE_NODES_BACKWARD_2D_F64, 2, true, |x| x, FP64)
}

pub fn active_nodes_backward_3d_f64(device: &Device) -> Outputs {
    compare::<f64>(device, &kernels::ACTIVE_NODES_BACKWARD_3D_F64, 3, true, |x| x, FP64)
}
