//! The other models of the family against plain f64 re-implementations, and their gradients against differences: the
//! bands of a Fourier grid, points and their nearest nodes, the total variation, and the change of resolution.

use crate::common::{Random, assert_close, to_f64};
use gridfield::config::{GridConfig, GridIndex, GridKernel, PointsConfig};
use gridfield::device::Device;
use gridfield::encoding::{ActiveNodes, Grid, PointCloud, add_total_variation, resample};

/// Sums of at most about a hundred products of numbers near 1, in f64.
const F64: f64 = 1e-10;
/// The same in fp32; positions carry a rounding error of one fp32 step times the number of cells.
const F32: f64 = 1e-5;

// ---------------------------------------------------------------------------------------------------------------------
// Fourier

const BANDS: u32 = 7;

fn fourier(kernel: GridKernel, dimensions: u32) -> Grid {
    let config = GridConfig {
        index: GridIndex::Fourier,
        n_levels: BANDS,
        n_features_per_level: 2,
        base_resolution: 10,
        per_level_scale: 1.0,
        kernel,
        ..GridConfig::default()
    };
    Grid::new(&config, dimensions)
}

/// Returns the coordinate of band `l`: x, (1 + sin y) / 2, (1 + cos y) / 2, (1 + sin 2 y) / 2, …
fn band(l: u32, x: f64) -> f64 {
    let y = (2.0 * x - 1.0) * f64::from(1u32 << (l.max(1) - 1).div_euclid(2));
    match (l, l % 2) {
        (0, _) => x,
        (_, 1) => 0.5 + 0.5 * y.sin(),
        _ => 0.5 + 0.5 * y.cos(),
    }
}

fn a_band_is_a_dense_level_at_its_own_coordinates(device: &Device) {
    for (kernel, dimensions) in [(GridKernel::Linear, 1), (GridKernel::Smoothstep, 2), (GridKernel::Linear, 3)] {
        let grid = fourier(kernel, dimensions);
        let config = GridConfig {
            index: GridIndex::Dense,
            n_levels: 1,
            base_resolution: 10,
            kernel,
            n_features_per_level: 2,
            ..GridConfig::default()
        };
        let dense = Grid::new(&config, dimensions);
        let x = Random::new(1).f64s(60 * dimensions as usize, 0.0, 1.0);
        let found = grid.active_nodes(device, &x, &[]).unwrap();
        let per_point = grid.n_corners() * BANDS as usize;
        for l in 0..BANDS {
            let own: Vec<f64> = x.iter().map(|&x| band(l, x)).collect();
            let level = dense.active_nodes(device, &own, &[]).unwrap();
            let corners = |all: &[f64]| -> Vec<f64> {
                let of_band =
                    all.chunks(per_point).map(|row| &row[l as usize * grid.n_corners()..][..grid.n_corners()]);
                of_band.flatten().copied().collect()
            };
            let expected: Vec<f64> = level.phi.iter().map(|phi| phi / f64::from(BANDS)).collect();
            assert_close("phi", &corners(&found.phi), &expected, F64);
            let entries: Vec<f64> = found.entry.iter().map(|&entry| f64::from(entry)).collect();
            let offset = f64::from(grid.levels[l as usize].offset);
            let expected: Vec<f64> = level.entry.iter().map(|&entry| f64::from(entry) + offset).collect();
            assert_eq!(corners(&entries), expected);
        }
        for row in found.phi.chunks(per_point) {
            assert!((row.iter().sum::<f64>() - 1.0).abs() < F64, "the weights of all bands add up to 1");
        }
    }
}

/// Central differences with a step of 1e-6, for slopes up to 8 · 9: the rounding error is about 1e-9. They are wrong
/// only if a cell face lies between the two points, which does not happen with this seed.
fn gradients_by_the_position_of_bands_are_differences(device: &Device) {
    for dimensions in [1, 2, 3] {
        let (grid, mut random) = (fourier(GridKernel::Smoothstep, dimensions), Random::new(2));
        let x = random.f64s(40 * dimensions as usize, 0.01, 0.99);
        let upstream = random.f64s(40 * BANDS as usize * grid.n_corners(), -1.0, 1.0);
        let found = grid.active_nodes_backward(device, &x, &[], &upstream, false).unwrap().position;
        // An upstream gradient belongs to a node, not to a corner of the current cell: nodes are identified by their
        // entries.
        let here = grid.active_nodes(device, &x, &[]).unwrap();
        let loss = |x: &[f64]| by_entry(&grid.active_nodes(device, x, &[]).unwrap(), &here, &upstream);
        assert_close("dL/dx", &found, &differences(&x, dimensions as usize, loss), 1e-6);
    }
}

/// Returns the sum over each point's nodes of upstream gradient times φ, with the upstream gradients assigned to the
/// nodes in `here`.
fn by_entry(moved: &ActiveNodes, here: &ActiveNodes, upstream: &[f64]) -> Vec<f64> {
    let n = moved.n_levels * moved.n_corners;
    let mut sums = Vec::new();
    for (point, phi) in moved.phi.chunks(n).enumerate() {
        let of_point = point * n..(point + 1) * n;
        let mut sum = 0.0;
        for (entry, phi) in moved.entry[of_point.clone()].iter().zip(phi) {
            let place = here.entry[of_point.clone()].iter().position(|other| other == entry);
            sum += place.map_or(0.0, |place| upstream[of_point.start + place]) * phi;
        }
        sums.push(sum);
    }
    sums
}

fn differences(x: &[f64], dimensions: usize, loss: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const STEP: f64 = 1e-6;
    let mut expected = vec![0.0; x.len()];
    for axis in 0..dimensions {
        let moved = |by: f64| -> Vec<f64> {
            x.iter().enumerate().map(|(i, &x)| if i % dimensions == axis { x + by } else { x }).collect()
        };
        for (point, (above, below)) in loss(&moved(STEP)).iter().zip(loss(&moved(-STEP))).enumerate() {
            expected[point * dimensions + axis] = (above - below) / (2.0 * STEP);
        }
    }
    expected
}

// ---------------------------------------------------------------------------------------------------------------------
// Points

const NODES: usize = 400;
const REACH: f64 = 3.0;

fn cloud(device: &Device, k: u32) -> PointCloud {
    let mut random = Random::new(3);
    // A sheet and a cluster, with empty space between them.
    let node = |i: usize| {
        let side = if i < NODES / 2 { [1.0, 1.0, 0.05] } else { [0.3, 0.3, 0.3] };
        std::array::from_fn(|k| (random.unit() * side[k] + if i < NODES / 2 { 0.0 } else { 0.6 }) as f32)
    };
    let nodes = (0..NODES).map(node).collect();
    let config = PointsConfig { k, bandwidth: 1.0, ..PointsConfig::default() };
    PointCloud::new(device, nodes, 3, &config, 2).unwrap()
}

/// Finds the k nearest nodes within reach by brute force, and their weights; the weight of the out-of-reach entry comes
/// last.
fn nearest(cloud: &PointCloud, nodes: &[f64], k: usize, x: &[f64]) -> (Vec<u32>, Vec<f64>) {
    let h = f64::from(cloud.bandwidth);
    let distance2 = |node: &[f64]| node.iter().zip(x).map(|(p, x)| (x - p) * (x - p)).sum::<f64>();
    let mut all: Vec<(f64, u32)> = nodes.chunks(3).enumerate().map(|(i, node)| (distance2(node), i as u32)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.truncate(k);
    all.retain(|(d2, _)| d2.sqrt() < REACH * h);
    let out = (-0.5 * REACH * REACH).exp();
    let e: Vec<f64> = all.iter().map(|(d2, _)| (-0.5 * d2 / (h * h)).exp() - out).collect();
    let total = e.iter().sum::<f64>() + out;
    let mut phi = vec![0.0; 9];
    phi.iter_mut().zip(&e).for_each(|(phi, e)| *phi = e / total);
    phi[8] = out / total;
    (all.into_iter().map(|(_, i)| i).collect(), phi)
}

fn points_find_their_nearest_nodes(device: &Device) {
    for k in [1, 3, 8] {
        let cloud = cloud(device, k);
        let nodes = to_f64(&cloud.nodes().unwrap());
        let mut x = Random::new(4).f64s(3 * 200, 0.0, 1.0);
        x[..9].copy_from_slice(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.5, 1.0, 0.0]);
        let found = cloud.active_nodes(device, &x).unwrap();
        let (mut alone, mut full) = (0, 0);
        for (point, x) in x.chunks(3).enumerate() {
            let (expected, phi) = nearest(&cloud, &nodes, k as usize, x);
            let entries = &found.entry[9 * point..9 * point + 9];
            assert_eq!(entries[..expected.len()], expected, "point {point}");
            assert!(entries[expected.len()..].iter().all(|&entry| entry == NODES as u32));
            assert_close("phi", &found.phi[9 * point..9 * point + 9], &phi, F64);
            alone += usize::from(expected.is_empty());
            full += usize::from(expected.len() == k as usize);
        }
        assert!(alone > 10 && full > 10, "{alone} points out of reach of all nodes, {full} with all k nodes");
    }
}

fn gradients_by_the_position_of_points_are_differences(device: &Device) {
    let (cloud, mut random) = (cloud(device, 8), Random::new(5));
    let mut x = random.f64s(3 * 60, 0.01, 0.99);
    // Move every second point close to the sheet, where there are nodes.
    x.chunks_mut(3).step_by(2).for_each(|x| x[2] *= 0.1);
    let upstream = random.f64s(9 * 60, -1.0, 1.0);
    let found = cloud.active_nodes_backward(device, &x, &upstream).unwrap();
    let loss = |x: &[f64]| -> Vec<f64> {
        let phi = cloud.active_nodes(device, x).unwrap().phi;
        phi.chunks(9).zip(upstream.chunks(9)).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a * b).sum()).collect()
    };
    assert_close("dL/dx", &found, &differences(&x, 3, loss), 1e-6);
}

// ---------------------------------------------------------------------------------------------------------------------
// Dense

fn dense(n_levels: u32, base_resolution: u32) -> Grid {
    let config = GridConfig {
        index: GridIndex::Dense,
        n_levels,
        n_features_per_level: 2,
        log2_hashmap_size: 3,
        base_resolution,
        ..GridConfig::default()
    };
    Grid::new(&config, 3)
}

#[test]
fn dense_levels_have_an_entry_for_every_node_whatever_the_hash_map() {
    let grid = dense(2, 10);
    assert!(grid.levels.iter().all(|level| !level.hashed));
    assert_eq!([grid.levels[0].entries, grid.levels[1].entries], [1000, 8000]);
}

/// Returns V(w) = weight / 2 Σ |w_i − w_j|² over neighbours, in f64.
fn variation(grid: &Grid, table: &[f64], weight: f64) -> f64 {
    let f = grid.n_features_per_level as usize;
    let mut sum = 0.0;
    for level in &grid.levels {
        let r = level.resolution as usize;
        let node = |i: usize| &table[(level.offset as usize + i) * f..][..f];
        for i in 0..r * r * r {
            for (stride, place) in [(1, i % r), (r, i / r % r), (r * r, i / r / r)] {
                if place + 1 < r {
                    sum += node(i).iter().zip(node(i + stride)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
                }
            }
        }
    }
    0.5 * weight * sum
}

/// V is quadratic, so central differences of any step size are exact up to rounding.
fn the_gradient_of_the_total_variation_is_a_difference(device: &Device) {
    const WEIGHT: f64 = 0.3;
    let (grid, mut random) = (dense(2, 5), Random::new(6));
    let values = random.f32s(grid.n_parameters(), -1.0, 1.0);
    let (table, gradient) = (device.upload(&values).unwrap(), device.zeros::<f32>(values.len()).unwrap());
    add_total_variation(device, &grid, &table, gradient.ptr(), WEIGHT).unwrap();
    let mut table = to_f64(&values);
    let expected: Vec<f64> = (0..table.len())
        .map(|i| {
            let value = table[i];
            let mut at = |moved: f64| {
                table[i] = moved;
                variation(&grid, &table, WEIGHT)
            };
            let difference = at(value + 0.5) - at(value - 0.5);
            table[i] = value;
            difference
        })
        .collect();
    assert_close("gradient", &to_f64(&gradient.download().unwrap()), &expected, F32);
}

fn finer_nodes_get_what_the_coarse_grid_gives_at_their_places(device: &Device) {
    let (coarse, fine) = (dense(1, 6), dense(1, 12));
    let values = Random::new(7).f32s(coarse.n_parameters(), -1.0, 1.0);
    let found = resample(device, &coarse, &fine, &device.upload(&values).unwrap()).unwrap().download().unwrap();
    let (r, scale) = (12usize, fine.levels[0].scale);
    let place = |node: usize| ((node as f64 - 0.5) / scale).clamp(0.0, 1.0);
    let x: Vec<f64> = (0..r * r * r).flat_map(|i| [place(i % r), place(i / r % r), place(i / r / r)]).collect();
    let nodes = coarse.active_nodes(device, &x, &[]).unwrap();
    let expected: Vec<f64> = nodes
        .entry
        .chunks(8)
        .zip(nodes.phi.chunks(8))
        .flat_map(|(entry, phi)| {
            [0, 1].map(|f| entry.iter().zip(phi).map(|(&e, phi)| phi * f64::from(values[2 * e as usize + f])).sum())
        })
        .collect();
    assert_close("table", &to_f64(&found), &expected, F32);
}

on_every_target!(
    a_band_is_a_dense_level_at_its_own_coordinates,
    gradients_by_the_position_of_bands_are_differences,
    points_find_their_nearest_nodes,
    gradients_by_the_position_of_points_are_differences,
    the_gradient_of_the_total_variation_is_a_difference,
    finer_nodes_get_what_the_coarse_grid_gives_at_their_places,
);
