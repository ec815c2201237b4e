//! The multiplicative Fourier adaptive kernel against an independent float64 implementation
//! (`vectors/mulfagrid_kernel.json`): values and gradients of all variants, in 1, 2 and 3 dimensions, with one and two
//! layers; and what the oracle does not cover: gradients with respect to the position, continuity, and the lower bound
//! on the denominator.

use crate::common::{Random, assert_close, flatten, to_f32, to_f64};
use gridfield::config::{GridConfig, GridKernel, MulfaConfig, MulfaVariant};
use gridfield::device::args::{ActiveNodesArgs, MAX_LEVELS};
use gridfield::device::{Device, Kernel, LaunchDims, Ptr, kernels};
use gridfield::encoding::{ActiveNodes, Grid};
use serde_json::Value;

const F64_TOLERANCE: f64 = 1e-10;
/// The oracle's gradients are differences of its values: the seventh number of the first case is 0.51621846239788 when
/// computed to 50 digits, which the kernels match to 1e-15, and 0.51621846214 in the file.
const GRADIENT_TOLERANCE: f64 = 1e-8;
/// Phases of a few radians and sums of up to 24 products, in f32.
const F32_TOLERANCE: f64 = 1e-5;

struct Case {
    grid: Grid,
    theta: Vec<f64>,
    x: Vec<f64>,
    phi: Vec<f64>,
    upstream: Vec<f64>,
    /// Without the last component, for b_out.
    dl_dtheta: Vec<f64>,
}

/// Returns θ in the order of the kernels: layer by layer, then the output.
fn flat_theta(theta: &Value) -> Vec<f64> {
    let depth = theta["W"].as_array().unwrap().len();
    let layers = (0..depth).flat_map(|l| ["W", "b", "Omega", "psi"].map(|part| flatten(&theta[part][l])));
    let output = ["w_out", "b_out"].iter().filter_map(|part| theta.get(part));
    layers.chain(output.map(flatten)).flatten().collect()
}

fn case(value: &Value) -> Case {
    let theta = &value["theta"];
    let scale = value["scale"].as_f64().unwrap();
    let config = GridConfig {
        n_levels: 1,
        base_resolution: scale as u32 + 1,
        per_level_scale: 1.0,
        kernel: GridKernel::Mulfa,
        mulfa: MulfaConfig {
            variant: serde_json::from_value(value["variant"].clone()).unwrap(),
            n_frequencies: theta["m"].as_u64().unwrap() as u32,
            depth: theta["W"].as_array().unwrap().len() as u32,
            width: theta["w_out"].as_array().unwrap().len() as u32,
            ..MulfaConfig::default()
        },
        ..GridConfig::default()
    };
    let grid = Grid::new(&config, value["dim"].as_u64().unwrap() as u32);
    let case = Case {
        theta: flat_theta(theta),
        x: flatten(&value["x"]),
        phi: flatten(&value["phi"]),
        upstream: flatten(&value["upstream"]),
        dl_dtheta: flat_theta(&value["dL_dtheta"]),
        grid,
    };
    assert_eq!(case.grid.levels[0].scale, scale);
    assert_eq!(case.theta.len(), case.grid.mulfa.as_ref().unwrap().n_parameters());
    case
}

fn cases() -> Vec<Case> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/mulfagrid_kernel.json")).unwrap();
    let cases: Vec<Case> = vectors["cases"].as_array().unwrap().iter().map(case).collect();
    assert_eq!(cases.len(), 12);
    cases
}

fn phi(device: &Device, case: &Case, x: &[f64]) -> ActiveNodes {
    case.grid.active_nodes(device, x, &case.theta).unwrap()
}

fn values_in_double_precision_match_the_oracle(device: &Device) {
    for case in cases() {
        assert_close("phi", &phi(device, &case, &case.x).phi, &case.phi, F64_TOLERANCE);
    }
}

fn values_in_single_precision_differ_by_rounding(device: &Device) {
    for case in cases() {
        let kernel: &Kernel<ActiveNodesArgs<'static>> = match case.grid.dimensions {
            1 => &kernels::ACTIVE_NODES_1D_F32,
            2 => &kernels::ACTIVE_NODES_2D_F32,
            _ => &kernels::ACTIVE_NODES_3D_F32,
        };
        let n = case.x.len() / case.grid.dimensions as usize;
        let n_scratch = case.grid.mulfa.as_ref().unwrap().n_scratch();
        let (x, theta) = (device.upload(&to_f32(&case.x)).unwrap(), device.upload(&to_f32(&case.theta)).unwrap());
        let (entry, phi) = (device.zeros(case.phi.len()).unwrap(), device.zeros::<f32>(case.phi.len()).unwrap());
        let scratch = device.zeros::<f32>(n * n_scratch).unwrap();
        let args = ActiveNodesArgs {
            grid: case.grid.layout(),
            scale: [0.0; MAX_LEVELS],
            position: x.ptr().cast(),
            theta: theta.ptr().cast(),
            entry: entry.ptr(),
            phi: phi.ptr().cast(),
            dl_dphi: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
            dl_dposition: Ptr::NULL,
            scratch: scratch.ptr().cast(),
            n_scratch: n_scratch as u32,
            theta_stride: 0,
        };
        device.launch(kernel, &args, LaunchDims::items(n)).unwrap();
        assert_close("phi", &to_f64(&phi.download().unwrap()), &case.phi, F32_TOLERANCE);
    }
}

fn gradients_match_the_oracle(device: &Device) {
    for case in cases() {
        let found = case.grid.active_nodes_backward(device, &case.x, &case.theta, &case.upstream, false).unwrap();
        let known = case.dl_dtheta.len();
        assert_eq!(known, case.theta.len() - 1);
        assert_close("dL_dtheta", &found.theta[..known], &case.dl_dtheta, GRADIENT_TOLERANCE);
        // The gradients of the individual points add up to the same.
        let each = case.grid.active_nodes_backward(device, &case.x, &case.theta, &case.upstream, true).unwrap();
        let n_theta = case.theta.len();
        let sum: Vec<f64> = (0..n_theta).map(|t| each.theta[t..].iter().step_by(n_theta).sum()).collect();
        assert_close("sum of dL_dtheta", &sum, &found.theta, F64_TOLERANCE);
    }
}

/// Central differences with a step of 1e-6 for derivatives of some hundreds: their error is about 1e-6² · 1e4 from the
/// third derivative and 1e-16 / 1e-6 from rounding, for gradients of the order of 10.
fn gradients_by_the_position_are_differences(device: &Device) {
    const STEP: f64 = 1e-6;
    for case in cases() {
        let found = case.grid.active_nodes_backward(device, &case.x, &case.theta, &case.upstream, false).unwrap();
        let loss = |x: &[f64]| -> Vec<f64> {
            let phi = phi(device, &case, x).phi;
            let corners = case.grid.n_corners();
            phi.chunks(corners).zip(case.upstream.chunks(corners)).map(|(a, b)| dot(a, b)).collect()
        };
        let d = case.grid.dimensions as usize;
        let moved = |axis: usize, by: f64| -> Vec<f64> {
            case.x.iter().enumerate().map(|(i, &x)| if i % d == axis { x + by } else { x }).collect()
        };
        let mut expected = vec![0.0; case.x.len()];
        for axis in 0..d {
            let (above, below) = (loss(&moved(axis, STEP)), loss(&moved(axis, -STEP)));
            for point in 0..above.len() {
                expected[point * d + axis] = (above[point] - below[point]) / (2.0 * STEP);
            }
        }
        assert_close("dL_dx", &found.position, &expected, 1e-7);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns φ of every node of the level, zero where it is not active.
fn by_node(nodes: &ActiveNodes, n_entries: usize) -> Vec<f64> {
    let mut phi = vec![0.0; n_entries];
    nodes.entry.iter().zip(&nodes.phi).for_each(|(&entry, &value)| phi[entry as usize] += value);
    phi
}

/// Returns the largest change of any node's φ as x crosses the middle face of the first axis, from 1e-9 of a cell
/// before it to 1e-9 after.
fn jump(device: &Device, case: &Case) -> f64 {
    const NEAR: f64 = 1e-9;
    let scale = case.grid.levels[0].scale;
    let at = |u: f64| {
        let mut x = vec![0.3; case.grid.dimensions as usize];
        x[0] = (u - 0.5) / scale;
        by_node(&phi(device, case, &x), case.grid.n_entries())
    };
    let (before, after) = (at(4.0 - NEAR), at(4.0 + NEAR));
    before.iter().zip(&after).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()))
}

fn windowed_and_modulated_are_continuous_across_cell_faces_and_paper_is_not(device: &Device) {
    for case in cases() {
        let jump = jump(device, &case);
        match case.grid.mulfa.as_ref().unwrap().config.variant {
            MulfaVariant::Paper => assert!(jump > 1e-2, "paper should jump, but changes by {jump}"),
            _ => assert!(jump < 1e-6, "a jump of {jump}"),
        }
    }
}

/// Returns a case whose θ makes v constant, so that the denominator of `paper` is 2^D times v.
fn constant(case: &Case, v: f64) -> Case {
    let mut theta = case.theta.clone();
    let width = case.grid.mulfa.as_ref().unwrap().config.width as usize;
    let output = theta.len() - width - 1;
    theta[output..].fill(0.0);
    *theta.last_mut().unwrap() = v;
    Case {
        theta,
        grid: case.grid.clone(),
        x: case.x.clone(),
        upstream: case.upstream.clone(),
        phi: vec![],
        dl_dtheta: vec![],
    }
}

fn the_denominator_of_paper_stands_on_its_floor(device: &Device) {
    let paper = |case: &Case| case.grid.mulfa.as_ref().unwrap().config.variant == MulfaVariant::Paper;
    for case in cases().iter().filter(|case| paper(case)) {
        let corners = case.grid.n_corners() as f64;
        let floor = f64::from(case.grid.layout().mulfa.floor);
        for (sum, denominator) in
            [(0.5 * floor, floor), (-0.5 * floor, -floor), (2.0 * floor, 2.0 * floor), (-1.0, -1.0)]
        {
            let case = constant(case, sum / corners);
            let expected =
                vec![sum / corners / denominator; case.x.len() / case.grid.dimensions as usize * corners as usize];
            assert_close("phi", &phi(device, &case, &case.x).phi, &expected, F64_TOLERANCE);
            // b_out changes all values equally: at the lower bound φ follows it, above the bound φ does not.
            let found = case.grid.active_nodes_backward(device, &case.x, &case.theta, &case.upstream, false).unwrap();
            let on_floor = if sum == denominator { 0.0 } else { case.upstream.iter().sum::<f64>() / denominator };
            let scale = case.upstream.iter().map(|g| g.abs()).sum::<f64>() / denominator.abs();
            assert!((found.theta.last().unwrap() - on_floor).abs() <= 1e-10 * scale, "for the sum {sum}");
        }
    }
}

fn a_kernel_value_for_each_feature_is_that_of_its_own_output(device: &Device) {
    const FEATURES: usize = 4;
    for case in cases() {
        let mulfa = case.grid.mulfa.as_ref().unwrap().config.clone();
        let config = GridConfig {
            n_levels: 1,
            n_features_per_level: FEATURES as u32,
            base_resolution: 8,
            per_level_scale: 1.0,
            kernel: GridKernel::Mulfa,
            mulfa: MulfaConfig { per_feature: true, ..mulfa.clone() },
            ..GridConfig::default()
        };
        let grid = Grid::new(&config, case.grid.dimensions);
        let width = mulfa.width as usize;
        let hidden = case.theta.len() - width - 1;
        let mut random = Random::new(5);
        let (w_out, b_out) = (random.f64s(FEATURES * width, -0.5, 0.5), random.f64s(FEATURES, 0.5, 1.5));
        let theta = [&case.theta[..hidden], &w_out, &b_out].concat();
        let all = grid.active_nodes(device, &case.x, &theta).unwrap();
        let mut upstream = vec![0.0; all.phi.len()];
        for (k, &b) in b_out.iter().enumerate() {
            let own = [&case.theta[..hidden], &w_out[k * width..(k + 1) * width], &[b]].concat();
            let alone = case.grid.active_nodes(device, &case.x, &own).unwrap();
            let column: Vec<f64> = all.phi[k..].iter().step_by(FEATURES).copied().collect();
            assert_close("phi", &column, &alone.phi, F64_TOLERANCE);
            upstream[k..].iter_mut().step_by(FEATURES).zip(&case.upstream).for_each(|(to, from)| *to = *from);
            let each = grid.active_nodes_backward(device, &case.x, &theta, &upstream, false).unwrap();
            let expected = case.grid.active_nodes_backward(device, &case.x, &own, &case.upstream, false).unwrap();
            if k == 0 {
                assert_close("dL_dtheta", &each.theta[..hidden], &expected.theta[..hidden], F64_TOLERANCE);
                assert_close("dL_dx", &each.position, &expected.position, F64_TOLERANCE);
            }
        }
    }
}

on_every_target!(
    values_in_double_precision_match_the_oracle,
    values_in_single_precision_differ_by_rounding,
    gradients_match_the_oracle,
    gradients_by_the_position_are_differences,
    windowed_and_modulated_are_continuous_across_cell_faces_and_paper_is_not,
    the_denominator_of_paper_stands_on_its_floor,
    a_kernel_value_for_each_feature_is_that_of_its_own_output,
);
