//! Grids of a given size, so that models of the family can be compared at an equal number of parameters.

use super::{CoordinateNetworkShape, Grid};
use crate::config::{CoordinateNetworkConfig, GridConfig, GridIndex};
use crate::decoder::Head;

/// Smallest and largest number of levels tried for a hash grid.
const LEVELS: [u32; 2] = [6, 16];

/// Smallest and largest layer width tried for coordinate networks. The range goes beyond what the configuration allows,
/// so that a size out of reach is rejected there.
const WIDTHS: [u32; 2] = [1, 1280];

/// Returns a configuration like `grid` with about `n_parameters` learned parameters before `head`. For a hash grid it
/// varies the number of levels and the table size (the finest level keeps its resolution), for other grids the
/// resolution. For coordinate networks it varies the width, and `n_parameters` counts all they learn.
pub fn sized(grid: &GridConfig, head: Head, n_parameters: usize) -> GridConfig {
    let dimensions = head.dimensions();
    let n_features = f64::from(grid.n_features_per_level);
    let side = |n: f64| n.powf(1.0 / f64::from(dimensions)).round().max(4.0) as u32;
    match grid.index {
        GridIndex::Hash => hash(grid, dimensions, n_parameters),
        GridIndex::Dense => dense(grid, side(n_parameters as f64 / n_features)),
        GridIndex::Fourier => {
            let bands = f64::from(grid.n_levels);
            GridConfig { base_resolution: side(n_parameters as f64 / n_features / bands), ..grid.clone() }
        }
        GridIndex::None => coordinate_network(grid, head, n_parameters),
        GridIndex::Points => {
            let mut points = grid.points.clone();
            points.resolution = side(n_parameters as f64 / n_features).min(256);
            // A lattice has at most 256 nodes along an axis; beyond that, more parameters mean more features per node.
            let nodes = f64::from(points.resolution).powi(dimensions as i32);
            let n_features = [1u32, 2, 4, 8].into_iter().rfind(|&n| f64::from(n) * nodes <= 1.05 * n_parameters as f64);
            GridConfig { points, n_features_per_level: n_features.unwrap_or(grid.n_features_per_level), ..grid.clone() }
        }
    }
}

/// Picks the width that comes closest to the given size.
fn coordinate_network(grid: &GridConfig, head: Head, n_parameters: usize) -> GridConfig {
    let candidate =
        |width: u32| GridConfig { waves: CoordinateNetworkConfig { width, ..grid.waves.clone() }, ..grid.clone() };
    let off = |config: &GridConfig| {
        CoordinateNetworkShape::new(config, head).map(|network| network.n_parameters().abs_diff(n_parameters))
    };
    (WIDTHS[0]..=WIDTHS[1]).map(candidate).min_by_key(off).expect("there are widths")
}

/// A grid with few nodes is not upscaled in training: it would begin with hardly any nodes.
fn dense(grid: &GridConfig, base_resolution: u32) -> GridConfig {
    let begins_small = base_resolution >> grid.upscale_at.len() < 16;
    let upscale_at = if begins_small { Vec::new() } else { grid.upscale_at.clone() };
    GridConfig { base_resolution, upscale_at, ..grid.clone() }
}

/// Picks the number of levels and the table size that come closest to the given size; ties go to more levels.
fn hash(grid: &GridConfig, dimensions: u32, n_parameters: usize) -> GridConfig {
    let finest = f64::from(grid.base_resolution) * grid.per_level_scale.powi(grid.n_levels as i32 - 1);
    let candidate = |n_levels: u32, log2_hashmap_size: u32| {
        let ratio = finest / f64::from(grid.base_resolution);
        let per_level_scale = ratio.powf(1.0 / f64::from(n_levels - 1)).max(1.0);
        GridConfig { n_levels, log2_hashmap_size, per_level_scale, ..grid.clone() }
    };
    let off =
        |config: &GridConfig| (Grid::new(config, dimensions).n_parameters() as f64 / n_parameters as f64).ln().abs();
    let all = (LEVELS[0]..=LEVELS[1]).flat_map(|n_levels| (8..=24).map(move |size| (n_levels, size)));
    all.map(|(n_levels, size)| candidate(n_levels, size))
        .min_by(|a, b| off(a).total_cmp(&off(b)).then(b.n_levels.cmp(&a.n_levels)))
        .expect("there are candidates")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelName, TaskName};

    #[test]
    fn encodings_come_close_to_the_wanted_size() {
        for &name in ModelName::ALL {
            let grid = name.grid_of(TaskName::Image);
            for wanted in [55_000, 220_000, 880_000] {
                let head = Head::Values { dimensions: 2, n_outputs: 3 };
                let config = sized(&grid, head, wanted);
                let n_parameters = CoordinateNetworkShape::new(&config, head)
                    .map_or_else(|| Grid::new(&config, 2).cost().parameters, |network| network.n_parameters());
                // The features of point clouds double from one choice to the next; all other sizes come closer.
                let most = if grid.index == GridIndex::Points { 1.05 } else { 1.08 };
                let ratio = n_parameters as f64 / wanted as f64;
                let least = if grid.index == GridIndex::Points { 0.5 } else { 0.92 };
                assert!((least..most).contains(&ratio), "{}: {} of {wanted}", name.as_str(), n_parameters);
            }
        }
    }
}
