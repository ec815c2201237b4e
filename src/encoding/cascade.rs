//! The cascade of levels: the shape of its matrices. The arithmetic is in `kernels/encoding/cascade.cuh`;
//! `docs/models.md` has the formulas.

use super::ParamBlock;
use crate::config::GridConfig;
use crate::device::args::CascadeArgs;
use crate::device::{Kernel, kernels};

/// Number of features up to which the narrower kernels can be used.
const NARROW: usize = 64;

/// Shape of the matrices `G_l`, `[l F, F]` for each level but the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cascade {
    /// `L`: number of levels.
    pub n_levels: usize,
    /// `F`: number of features per level.
    pub n_features: usize,
}

impl Cascade {
    /// Returns None if the levels of the grid are independent.
    pub fn new(config: &GridConfig) -> Option<Self> {
        config
            .cascade
            .then_some(Cascade { n_levels: config.n_levels as usize, n_features: config.n_features_per_level as usize })
    }

    /// Returns the matrices in order, the first of which begins at number `first`.
    pub fn blocks(&self, first: usize) -> Vec<ParamBlock> {
        let shapes = (1..self.n_levels).map(|level| {
            let shape = vec![level * self.n_features, self.n_features];
            (format!("cascade.{level}"), shape)
        });
        let blocks = ParamBlock::in_order(shapes);
        blocks.into_iter().map(|block| ParamBlock { first: first + block.first, ..block }).collect()
    }

    /// Returns the number of learned parameters.
    pub fn n_parameters(&self) -> usize {
        self.n_features * self.n_features * self.n_levels * (self.n_levels - 1) / 2
    }

    /// Returns the number of features of a sample on all levels.
    pub fn n_columns(&self) -> usize {
        self.n_levels * self.n_features
    }

    /// Returns the floating-point operations of the forward pass per sample.
    pub fn flops(&self) -> usize {
        2 * self.n_parameters() + self.n_columns()
    }

    /// Returns the kernels of the forward and the backward pass.
    pub fn kernels(&self) -> (&'static Kernel<CascadeArgs<'static>>, &'static Kernel<CascadeArgs<'static>>) {
        if self.n_columns() <= NARROW {
            (&kernels::CASCADE_FORWARD_64, &kernels::CASCADE_BACKWARD_64)
        } else {
            (&kernels::CASCADE_FORWARD_128, &kernels::CASCADE_BACKWARD_128)
        }
    }
}
