//! Memory and compute cost of an encoding.

use super::local::SINE_COSINE;
use super::{Grid, Mulfa};
use crate::config::{GridIndex, GridKernel};
use crate::device::args::NEAREST;

/// Floating-point operations of an exponential.
const EXPONENTIAL: usize = 12;
/// Number of nodes of a point cloud that a search looks at: those of 27 cells, about two in each.
const CANDIDATES: usize = 54;
/// Operations to compute a candidate's distance and its rank among the nearest.
const CANDIDATE: usize = 10;

/// Cost of a grid alone, without the networks that follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Number of learned parameters: the features, and those of the kernel function.
    pub parameters: usize,
    /// Bytes that these take in training with Adam: value, gradient, two moments, and the number of updates of each
    /// entry.
    pub training_bytes: usize,
    /// Floating-point operations of the forward pass per sample.
    pub flops: usize,
    /// Number of table rows that a sample reads.
    pub gathers: usize,
}

impl Grid {
    /// Returns the cost of the grid.
    pub fn cost(&self) -> Cost {
        let mulfa = self.mulfa.as_ref().map_or(0, Mulfa::n_parameters);
        let local = self.local.map_or(0, |local| local.block(0).n_numbers());
        let theta = mulfa + local + self.cascade.map_or(0, |cascade| cascade.n_parameters());
        let table = self.n_parameters();
        Cost {
            parameters: table + theta,
            training_bytes: 16 * table + 4 * self.n_entries() + 20 * theta,
            flops: self.levels.len() * self.level_flops() + self.learned_flops(),
            gathers: self.levels.len() * self.n_corners(),
        }
    }

    /// Returns the operations of learned kernel functions and of the cascade.
    fn learned_flops(&self) -> usize {
        self.mulfa.as_ref().map_or(0, |mulfa| mulfa.flops().0)
            + self.local.map_or(0, |local| local.flops())
            + self.cascade.map_or(0, |cascade| cascade.flops())
    }

    /// Returns the operations for the interpolation weights of a level's nodes and the weighted sum of their features,
    /// without those of a learned kernel function.
    fn level_flops(&self) -> usize {
        let (d, corners) = (self.dimensions as usize, self.n_corners());
        let sum = 2 * corners * self.n_features_per_level as usize;
        let profile = match self.kernel {
            GridKernel::Smoothstep => 4,
            GridKernel::Linear | GridKernel::Mulfa | GridKernel::Local | GridKernel::Gaussian => 0,
        };
        let interpolation = |coordinate: usize| d * (coordinate + profile) + corners * (d - 1);
        let weights = match self.index {
            GridIndex::Hash | GridIndex::Dense => interpolation(3),
            GridIndex::Fourier => interpolation(3 + SINE_COSINE + 4),
            GridIndex::Points => CANDIDATES * CANDIDATE + NEAREST * EXPONENTIAL,
            GridIndex::None => 0,
        };
        weights + sum
    }
}
