//! The layout of a grid: its levels, the table of their features, and the shapes of what its kernel function learns.

use super::{Cascade, Local, Mulfa};
use crate::config::{GridConfig, GridIndex, GridKernel};
use crate::device::args::{self, NEAREST};

/// One level of a regular grid (Instant-NGP, section 3): scale `s = N_min · b^level − 1`, resolution `⌈s⌉ + 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// `s`: number of cells per unit length.
    pub scale: f64,
    /// Number of nodes per axis.
    pub resolution: u32,
    /// Number of stored nodes: `round_up(resolution^D, 8)`, limited to `2^log2_hashmap_size` for the index `hash`.
    pub entries: u32,
    /// First entry of the level in the table.
    pub offset: u32,
    /// Whether nodes share entries through the spatial hash; otherwise each node has its own entry.
    pub hashed: bool,
    /// For the index `fourier`, the band whose coordinates the level is looked up at (`kernels/encoding/fourier.cuh`);
    /// otherwise 0.
    pub band: u32,
}

/// A grid in `D` dimensions, whose features form a table `[n_entries, n_features_per_level]`. A point cloud counts as
/// one level without a resolution, with one entry per node and one for everything out of reach. Models without a grid
/// have no levels.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// `D`: 1, 2 or 3.
    pub dimensions: u32,
    /// Levels from the coarsest to the finest.
    pub levels: Vec<Level>,
    /// `F`: number of features of a node on one level.
    pub n_features_per_level: u32,
    /// Index function.
    pub index: GridIndex,
    /// Kernel function.
    pub kernel: GridKernel,
    /// Number of nodes of a level that are active at a point: `2^D`; for point clouds, the nearest nodes and one more.
    pub(super) n_corners: usize,
    /// Shape of the kernel function's own parameters, if it has any.
    pub mulfa: Option<Mulfa>,
    /// Shape of the local kernel function's coefficients, if that is the grid's kernel.
    pub local: Option<Local>,
    /// Shape of the cascade's matrices, if the levels form a cascade.
    pub cascade: Option<Cascade>,
}

impl Grid {
    /// Lays out the levels of a grid in `dimensions` dimensions.
    pub fn new(config: &GridConfig, dimensions: u32) -> Self {
        let (levels, n_corners) = match config.index {
            GridIndex::Hash | GridIndex::Dense | GridIndex::Fourier => {
                (regular_levels(config, dimensions), 1 << dimensions)
            }
            GridIndex::Points => (vec![points_level(config, dimensions)], NEAREST + 1),
            GridIndex::None => (Vec::new(), 0),
        };
        Grid {
            dimensions,
            levels,
            n_features_per_level: config.n_features_per_level,
            index: config.index,
            kernel: config.kernel,
            n_corners,
            mulfa: Mulfa::new(config, dimensions),
            local: Local::new(config, dimensions),
            cascade: Cascade::new(config),
        }
    }

    /// Returns the number of rows of the table.
    pub fn n_entries(&self) -> usize {
        self.levels.iter().map(|level| level.entries as usize).sum()
    }

    /// Returns the number of features of all nodes.
    pub fn n_parameters(&self) -> usize {
        self.n_entries() * self.n_features_per_level as usize
    }

    /// Returns the number of features of a point: those of all levels concatenated, or their average.
    pub fn n_features(&self) -> u32 {
        let sets = if self.is_averaged() { 1 } else { self.levels.len() as u32 };
        sets * self.n_features_per_level
    }

    /// Returns whether the features of all levels are averaged; otherwise they are concatenated.
    pub(crate) fn is_averaged(&self) -> bool {
        self.index.is_averaged()
    }

    /// Returns the grid's layout as the kernels see it.
    pub fn layout(&self) -> args::GridLayout {
        let mut layout = args::GridLayout {
            dimensions: self.dimensions,
            n_levels: self.levels.len() as u32,
            n_features: self.n_features_per_level,
            kernel: match self.kernel {
                GridKernel::Linear => args::KernelFunction::Linear,
                GridKernel::Smoothstep => args::KernelFunction::Smoothstep,
                GridKernel::Mulfa => self.mulfa.as_ref().map_or(args::KernelFunction::Linear, Mulfa::kernel),
                GridKernel::Local => args::KernelFunction::Local,
                // Point clouds have their own kernels, which do not read this number.
                GridKernel::Gaussian => args::KernelFunction::Linear,
            } as u32,
            averaged: self.is_averaged().into(),
            local_frequencies: self.local.map_or(0, |local| local.n_frequencies),
            mulfa: self.mulfa.as_ref().map(Mulfa::layout).unwrap_or_default(),
            ..Default::default()
        };
        for (slot, level) in layout.levels.iter_mut().zip(&self.levels) {
            *slot = args::GridLevel {
                scale: level.scale as f32,
                resolution: level.resolution,
                entries: level.entries,
                offset: level.offset,
                hashed: level.hashed.into(),
                band: level.band,
            };
        }
        layout
    }
}

/// Returns the levels of a regular grid, which follow each other in the table.
fn regular_levels(config: &GridConfig, dimensions: u32) -> Vec<Level> {
    let mut offset = 0;
    let level = |level| {
        let level = level_geometry(config, dimensions, level, offset);
        offset += level.entries;
        level
    };
    (0..config.n_levels).map(level).collect()
}

fn level_geometry(config: &GridConfig, dimensions: u32, level: u32, offset: u32) -> Level {
    let scale = f64::from(config.base_resolution) * config.per_level_scale.powi(level as i32) - 1.0;
    let resolution = scale.ceil() as u32 + 1;
    let limit = if config.index == GridIndex::Hash { 1u64 << config.log2_hashmap_size } else { u64::MAX };
    let nodes = u64::from(resolution).saturating_pow(dimensions);
    let entries = nodes.saturating_add(7) / 8 * 8;
    let band = if config.index == GridIndex::Fourier { level } else { 0 };
    Level { scale, resolution, entries: entries.min(limit) as u32, offset, hashed: nodes > limit, band }
}

/// Returns the level of a lattice of points, for when no other points are read.
fn points_level(config: &GridConfig, dimensions: u32) -> Level {
    let entries = config.points.resolution.pow(dimensions) + 1;
    Level { scale: 0.0, resolution: 0, entries, offset: 0, hashed: false, band: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(n_levels: u32, n_features_per_level: u32, per_level_scale: f64) -> usize {
        let config = GridConfig { n_levels, n_features_per_level, per_level_scale, ..GridConfig::default() };
        Grid::new(&config, 3).n_parameters()
    }

    #[test]
    fn the_published_encodings_have_their_published_sizes() {
        assert_eq!(parameters(16, 2, 1.38191), 12_196_240);
        assert_eq!(parameters(8, 4, 2.0), 11_681_792);
    }
}
