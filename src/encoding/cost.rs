//! What an encoding of the family costs.

use super::{Grid, Mulfa};
use crate::config::{GridIndex, GridKernel};
use crate::device::args::NEAREST;

/// Floating-point operations of a sine with its cosine, and of an exponential.
const SINE_COSINE: usize = 24;
const EXPONENTIAL: usize = 12;
/// Nodes of a point set that a search looks at: those of 27 cells, about two in each.
const CANDIDATES: usize = 54;
/// Operations for the distance of a candidate and its place among the nearest.
const CANDIDATE: usize = 10;

/// Of a grid by itself, without the networks behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Learned numbers: features, and those of the kernel function.
    pub parameters: usize,
    /// Bytes that these take in training with Adam: value, gradient, two moments, and updates of each entry.
    pub training_bytes: usize,
    /// Floating-point operations of a sample, forward.
    pub flops: usize,
    /// Rows of the table that a sample reads.
    pub gathers: usize,
}

impl Grid {
    pub fn cost(&self) -> Cost {
        let theta = self.mulfa.as_ref().map_or(0, Mulfa::n_parameters);
        let table = self.n_parameters();
        Cost {
            parameters: table + theta,
            training_bytes: 16 * table + 4 * self.n_entries() + 20 * theta,
            flops: self.levels.len() * self.level_flops() + self.mulfa.as_ref().map_or(0, |mulfa| mulfa.flops().0),
            gathers: self.levels.len() * self.n_corners(),
        }
    }

    /// The weights of a level's nodes, and the sum of their features; what a kernel function learns not counted.
    fn level_flops(&self) -> usize {
        let (d, corners) = (self.dimensions as usize, self.n_corners());
        let sum = 2 * corners * self.n_features_per_level as usize;
        if self.index == GridIndex::Points {
            return CANDIDATES * CANDIDATE + NEAREST * EXPONENTIAL + sum;
        }
        let profile = if self.kernel == GridKernel::Smoothstep { 4 } else { 0 };
        let band = if self.index == GridIndex::Fourier { SINE_COSINE + 4 } else { 0 };
        d * (3 + profile + band) + corners * (d - 1) + sum
    }
}
