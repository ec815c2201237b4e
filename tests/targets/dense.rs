//! Dense grids in training: change of resolution, and the total variation.

use gridfield::config::{GridConfig, GridIndex, GridKernel};
use gridfield::device::Device;
use gridfield::encoding::{Grid, add_total_variation, resample};

use crate::common::Random;
use crate::compare::{Outputs, get};

/// Positions of nodes have errors of a few fp32 steps, times the number of cells.
const FP32: f64 = 1e-5;

fn grid(n_features_per_level: u32, base_resolution: u32, kernel: GridKernel, dimensions: u32) -> Grid {
    let config = GridConfig {
        index: GridIndex::Dense,
        n_levels: 2,
        n_features_per_level,
        base_resolution,
        per_level_scale: 1.6,
        kernel,
        ..GridConfig::default()
    };
    Grid::new(&config, dimensions)
}

pub fn resample_levels(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    let cases =
        [(1, GridKernel::Linear), (2, GridKernel::Smoothstep), (4, GridKernel::Linear), (8, GridKernel::Linear)];
    for ((n_features, kernel), dimensions) in cases.into_iter().flat_map(|case| [(case, 2), (case, 3)]) {
        let (coarse, fine) = (grid(n_features, 5, kernel, dimensions), grid(n_features, 10, kernel, dimensions));
        let table = device.upload(&Random::new(1).f32s(coarse.n_parameters(), -1.0, 1.0)).unwrap();
        outputs.rounded("table", &get(&resample(device, &coarse, &fine, &table).unwrap()), FP32);
    }
    outputs
}

pub fn total_variation(device: &Device) -> Outputs {
    let mut outputs = Outputs::new();
    for (n_features, dimensions) in [1, 2, 4, 8].into_iter().flat_map(|n| [(n, 2), (n, 3)]) {
        let (grid, mut random) = (grid(n_features, 5, GridKernel::Linear, dimensions), Random::new(2));
        let table = device.upload(&random.f32s(grid.n_parameters(), -1.0, 1.0)).unwrap();
        let gradient = device.upload(&random.f32s(grid.n_parameters(), -1.0, 1.0)).unwrap();
        add_total_variation(device, &grid, &table, gradient.ptr(), 0.3).unwrap();
        outputs.rounded("gradient", &get(&gradient), FP32);
    }
    outputs
}
