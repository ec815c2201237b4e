//! The local kernel function: the shape of its coefficients. The arithmetic is in `kernels/encoding/local.cuh`;
//! `docs/models.md` has the formulas.

use super::ParamBlock;
use crate::config::{GridConfig, GridKernel};
use crate::device::args::{LocalArgs, LocalScatterArgs};
use crate::device::{Kernel, kernels};

/// Floating-point operations of a sine with its cosine.
pub(super) const SINE_COSINE: usize = 24;

/// The kernels that compute the local kernel function: encoding, backward pass and scatter.
pub struct LocalKernels {
    pub encode: &'static Kernel<LocalArgs<'static>>,
    pub backward: &'static Kernel<LocalArgs<'static>>,
    pub scatter: &'static Kernel<LocalScatterArgs<'static>>,
}

/// Shape of the coefficients `[L, D, 1 + 2 K, F]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    n_levels: usize,
    dimensions: usize,
    n_features: usize,
    /// `K`: number of frequencies.
    pub n_frequencies: u32,
}

impl Local {
    /// Returns None if the grid has another kernel function.
    pub fn new(config: &GridConfig, dimensions: u32) -> Option<Self> {
        (config.kernel == GridKernel::Local).then_some(Local {
            n_levels: config.n_levels as usize,
            dimensions: dimensions as usize,
            n_features: config.n_features_per_level as usize,
            n_frequencies: config.local.n_frequencies,
        })
    }

    fn n_terms(&self) -> usize {
        1 + 2 * self.n_frequencies as usize
    }

    /// Returns the block of all coefficients, which begins at number `first`.
    pub fn block(&self, first: usize) -> ParamBlock {
        let shape = vec![self.n_levels, self.dimensions, self.n_terms(), self.n_features];
        ParamBlock { name: "kernel.local".to_owned(), first, shape }
    }

    /// Returns the initial coefficients, with which the kernel function is the linear one: a⁰ = 1, all else 0.
    pub fn initial(&self) -> Vec<f32> {
        let term = |term: usize| vec![if term == 0 { 1.0 } else { 0.0 }; self.n_features];
        (0..self.n_levels * self.dimensions).flat_map(|_| (0..self.n_terms()).flat_map(term)).collect()
    }

    /// Returns the kernels for this number of dimensions.
    pub fn kernels(&self) -> LocalKernels {
        if self.dimensions == 2 {
            LocalKernels {
                encode: &kernels::LOCAL_ENCODE_2D,
                backward: &kernels::LOCAL_BACKWARD_2D,
                scatter: &kernels::LOCAL_SCATTER_2D,
            }
        } else {
            LocalKernels {
                encode: &kernels::LOCAL_ENCODE_3D,
                backward: &kernels::LOCAL_BACKWARD_3D,
                scatter: &kernels::LOCAL_SCATTER_3D,
            }
        }
    }

    /// Returns the floating-point operations for the factors and the products of a sample's nodes on all levels, beside
    /// the weighted sum of features.
    pub fn flops(&self) -> usize {
        let factors = self.n_features * (2 * (self.n_terms() - 1) + 4);
        let products = self.n_features * (1 << self.dimensions) * (self.dimensions - 1);
        let basis = if self.n_frequencies > 0 { SINE_COSINE } else { 0 };
        self.n_levels * (self.dimensions * (basis + factors) + products)
    }
}
