//! The grid encoding against an independent float64 implementation (`vectors/hash_grid.json`): sizes of published
//! encodings, features, and gradients with respect to the table and the position, in 2D and 3D, for dense and hashed
//! levels, including the corners x = 0 and x = 1.

use crate::common::{assert_close, flatten, to_f32, to_f64};
use gridfield::config::{GridConfig, GridKernel};
use gridfield::device::args::{EncodeArgs, MAX_LEVELS};
use gridfield::device::{Device, Kernel, LaunchDims, Ptr, kernels};
use gridfield::encoding::Grid;
use serde_json::Value;

/// Sums of at most 24 products of numbers near 1, in f64.
const F64_TOLERANCE: f64 = 1e-10;
/// A coordinate times a scale of 31, in f32: the fraction within the cell has an error of up to 2e-6, and so do the
/// features.
const F32_TOLERANCE: f64 = 1e-5;

type Encode = Kernel<EncodeArgs<'static>>;

struct Case {
    grid: Grid,
    forward_f32: &'static Encode,
    forward_f64: &'static Encode,
    backward_f64: &'static Encode,
    x: Vec<f64>,
    n: usize,
    table: Vec<f64>,
    features: Vec<f64>,
    upstream: Vec<f64>,
    dl_dtable: Vec<f64>,
    /// Starts at the third point: the first two lie on corners of cells, where the derivative jumps.
    dl_dx: Vec<f64>,
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/hash_grid.json")).unwrap()
}

fn config(value: &Value) -> GridConfig {
    let number = |key: &str| value[key].as_u64().unwrap() as u32;
    GridConfig {
        n_levels: number("n_levels"),
        n_features_per_level: number("n_features_per_level"),
        log2_hashmap_size: number("log2_hashmap_size"),
        base_resolution: number("base_resolution"),
        per_level_scale: value["per_level_scale"].as_f64().unwrap(),
        ..GridConfig::default()
    }
}

fn case(value: &Value) -> Case {
    let dimensions = value["dim"].as_u64().unwrap() as u32;
    let grid = Grid::new(&config(&value["config"]), dimensions);
    assert_eq!(grid.n_entries() as u64, value["entries"].as_u64().unwrap());
    let plane = (&kernels::ENCODE_2D_F32, &kernels::ENCODE_2D_F64, &kernels::ENCODE_BACKWARD_2D_F64);
    let space = (&kernels::ENCODE_3D_F32, &kernels::ENCODE_3D_F64, &kernels::ENCODE_BACKWARD_3D_F64);
    let (forward_f32, forward_f64, backward_f64) = if dimensions == 2 { plane } else { space };
    Case {
        table: (0..grid.n_parameters()).map(|k| (0.7 * k as f64 + 0.3).sin()).collect(),
        grid,
        forward_f32,
        forward_f64,
        backward_f64,
        n: value["x"].as_array().unwrap().len(),
        x: flatten(&value["x"]),
        features: flatten(&value["features"]),
        upstream: flatten(&value["upstream"]),
        dl_dtable: flatten(&value["dL_dtable_flat"]),
        dl_dx: flatten(&value["dL_dx_from_row_2"]),
    }
}

fn cases() -> Vec<Case> {
    let cases: Vec<Case> = vectors()["cases"].as_array().unwrap().iter().map(case).collect();
    assert_eq!(cases.len(), 2);
    cases
}

/// Returns the features of points `x`, in f64.
fn encode(device: &Device, case: &Case, x: &[f64]) -> Vec<f64> {
    let (position, table) = (device.upload(x).unwrap(), device.upload(&case.table).unwrap());
    let features = device.zeros::<f64>(case.features.len()).unwrap();
    let args = EncodeArgs {
        position: position.ptr().cast(),
        table: table.ptr().cast(),
        features: features.ptr().cast(),
        ..arguments(&case.grid)
    };
    device.launch(case.forward_f64, &args, LaunchDims::items(case.n)).unwrap();
    features.download().unwrap()
}

/// Returns the gradients of the sum of the features, weighted by the upstream gradient, with respect to the table and
/// the points.
fn gradients(device: &Device, case: &Case) -> (Vec<f64>, Vec<f64>) {
    let (position, table) = (device.upload(&case.x).unwrap(), device.upload(&case.table).unwrap());
    let upstream = device.upload(&case.upstream).unwrap();
    let dl_dtable = device.zeros::<f64>(case.table.len()).unwrap();
    let dl_dposition = device.zeros::<f64>(case.x.len()).unwrap();
    let args = EncodeArgs {
        position: position.ptr().cast(),
        table: table.ptr().cast(),
        dl_dfeatures: upstream.ptr().cast(),
        dl_dtable: dl_dtable.ptr().cast(),
        dl_dposition: dl_dposition.ptr().cast(),
        ..arguments(&case.grid)
    };
    // Points accumulate into shared entries, so this runs in one thread.
    device.launch_chunk(case.backward_f64, &args, LaunchDims::items(case.n)).unwrap();
    (dl_dtable.download().unwrap(), dl_dposition.download().unwrap())
}

/// Returns arguments without buffers.
pub fn arguments(grid: &Grid) -> EncodeArgs<'static> {
    let mut scale = [0.0; MAX_LEVELS];
    for (slot, level) in scale.iter_mut().zip(&grid.levels) {
        *slot = level.scale;
    }
    EncodeArgs {
        grid: grid.layout(),
        scale,
        position: Ptr::NULL,
        table: Ptr::NULL,
        features: Ptr::NULL,
        dl_dfeatures: Ptr::NULL,
        dl_dtable: Ptr::NULL,
        dl_dposition: Ptr::NULL,
    }
}

#[test]
fn parameter_counts_are_the_published_ones() {
    let vectors = vectors();
    let counts = vectors["parameter_counts"].as_array().unwrap();
    assert_eq!(counts.len(), 4);
    for count in counts {
        let grid = Grid::new(&config(count), count["dim"].as_u64().unwrap() as u32);
        assert_eq!(grid.n_parameters() as u64, count["parameters"].as_u64().unwrap(), "{count}");
    }
}

fn features_in_double_precision_match_the_oracle(device: &Device) {
    for case in cases() {
        assert_close("features", &encode(device, &case, &case.x), &case.features, F64_TOLERANCE);
    }
}

fn features_in_single_precision_differ_by_rounding(device: &Device) {
    for case in cases() {
        let position = device.upload(&to_f32(&case.x)).unwrap();
        let table = device.upload(&to_f32(&case.table)).unwrap();
        let features = device.zeros::<f32>(case.features.len()).unwrap();
        let args = EncodeArgs {
            position: position.ptr().cast(),
            table: table.ptr().cast(),
            features: features.ptr().cast(),
            ..arguments(&case.grid)
        };
        device.launch(case.forward_f32, &args, LaunchDims::items(case.n)).unwrap();
        assert_close("features", &to_f64(&features.download().unwrap()), &case.features, F32_TOLERANCE);
    }
}

fn gradients_by_table_and_position_match_the_oracle(device: &Device) {
    for case in cases() {
        let (dl_dtable, dl_dx) = gradients(device, &case);
        assert_close("dL_dtable", &dl_dtable, &case.dl_dtable, F64_TOLERANCE);
        assert_close("dL_dx", &dl_dx[case.x.len() - case.dl_dx.len()..], &case.dl_dx, F64_TOLERANCE);
    }
}

/// The oracle covers the linear kernel only; central differences cover both. Their error: the squared step of 1e-6 in
/// cells of 1/31, times third derivatives near 12, plus 1e-16 of rounding divided by the step.
fn gradients_by_position_match_central_differences_for_both_kernels(device: &Device) {
    let step = 1e-6;
    for mut case in cases() {
        let dimensions = case.x.len() / case.n;
        for kernel in [GridKernel::Linear, GridKernel::Smoothstep] {
            case.grid.kernel = kernel;
            let found = gradients(device, &case).1;
            for axis in 0..dimensions {
                let moved = |by: f64| -> Vec<f64> {
                    let x = case.x.iter().enumerate();
                    let x: Vec<f64> = x.map(|(i, x)| if i % dimensions == axis { x + by } else { *x }).collect();
                    let products = encode(device, &case, &x).into_iter().zip(&case.upstream).map(|(a, b)| a * b);
                    let products: Vec<f64> = products.collect();
                    products.chunks(products.len() / case.n).map(|point| point.iter().sum()).collect()
                };
                let differences: Vec<f64> =
                    moved(step).iter().zip(moved(-step)).map(|(a, b)| (a - b) / (2.0 * step)).collect();
                let along: Vec<f64> = found.iter().skip(axis).step_by(dimensions).copied().collect();
                assert_close("dL_dx", &along, &differences, 1e-7);
            }
        }
    }
}

on_every_target!(
    features_in_double_precision_match_the_oracle,
    features_in_single_precision_differ_by_rounding,
    gradients_by_table_and_position_match_the_oracle,
    gradients_by_position_match_central_differences_for_both_kernels,
);
