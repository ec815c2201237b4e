//! Encodings with their own kernels, which compute the features before the field's kernel runs, and the state that they
//! keep on a device. Encodings made of regular levels with a fixed kernel function need none of this: on a CPU the
//! field's kernel computes their features (`kernels/encoding/features.cuh`), and on a GPU [`encode_levels`] does, unless
//! they are averaged.
//!
//! `docs/architecture.md`, "Adding an encoding", lists the files that a new encoding takes.

use std::any::Any;

use super::Grid;
use crate::Result;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::config::OptimizerConfig;
use crate::device::args::{Compute, ENCODE_TILES, EncodeLevelsArgs, GridLayout, SampleBatch, ScatterArgs};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use crate::geometry::UnitCube;

/// Source of an encoding's initial state.
pub enum Init<'a> {
    /// Nothing is initialized, and no file is read.
    Blank,
    /// The start of a new run.
    New(&'a InitContext),
    /// The contents of a checkpoint.
    Saved(&'a Checkpoint<'a>),
}

/// What an encoding needs to know about the run that it is initialized for.
#[derive(Clone, Copy, Debug)]
pub struct InitContext {
    /// Seed of the run.
    pub seed: u64,
    /// Map from scene coordinates to those of the unit cube.
    pub unit_cube: UnitCube,
    /// Side of the field's box, in unit cubes: 2^(cascades − 1).
    pub box_side: f32,
}

/// The samples of a chunk to encode, with the buffers they read and write.
#[derive(Clone, Copy)]
pub struct Encode<'a> {
    /// Shape of the grid.
    pub grid: GridLayout,
    /// The samples of the chunk.
    pub samples: SampleBatch<'a>,
    /// Features of the nodes, `[entries, F]`.
    pub table: Ptr<'a, Compute>,
    /// Output for the features, `[S, n_in]`; the columns past them are set to zero.
    pub features: Ptr<'a, Compute>,
    /// What [`Encoding::encode`] saves for [`Encoding::backward`], `[S, n_saved_activations]`. Null if there is no
    /// backward pass, unless the encoding gives the values.
    pub saved_activations: Ptr<'a, Compute>,
    /// Output of an encoding that gives the values, `[S, n_outputs]`; null for others.
    pub values: Ptr<'a, f32>,
    /// Number of columns of the features, a multiple of 16.
    pub n_in: u32,
    /// In the forward pass, only the samples of this round are encoded; in the backward pass, all samples up to its
    /// end.
    pub round: u32,
}

/// Computes the features of a round's samples on the levels from `first` on, which have a fixed kernel function. `most`
/// is an upper bound on the number of samples.
///
/// # Errors
/// Returns an error if the device fails.
pub fn encode_levels(device: &Device, work: &Encode, first: u32, most: usize) -> Result<()> {
    let args = EncodeLevelsArgs {
        grid: work.grid,
        samples: work.samples,
        table: work.table,
        features: work.features,
        n_in: work.n_in,
        round: work.round,
        first_level: first,
    };
    let levels = (work.grid.n_levels - first) as usize;
    let blocks = LaunchDims::tiles(most.div_ceil(ENCODE_TILES)).rows(levels);
    if levels == 0 { Ok(()) } else { device.launch_chunk(&kernels::ENCODE_LEVELS, &args, blocks) }
}

/// Buffers that the backward pass reads gradients from and writes them to.
#[derive(Clone, Copy)]
pub struct Backward<'a> {
    /// Gradients with respect to the features, `[L, S, F]`, or `[S, F]` if levels are averaged.
    pub dl_dfeatures: Ptr<'a, f32>,
    /// Gradients with respect to the values of an encoding that gives them, `[S, n_outputs]`; null for others.
    pub dl_dvalues: Ptr<'a, f32>,
    /// Gradients that a chunk accumulates, [`Encoding::n_gradients`] of them.
    pub dl_dparameters: Ptr<'a, f32>,
    /// Output for what [`Encoding::scatter`] needs, `[S, n_scatter_weights]`.
    pub scatter_weights: Ptr<'a, f32>,
}

/// A position encoding with its own kernels.
pub trait Encoding: Any + Send + Sync {
    /// Returns whether the encoding gives the field's values by itself, with no features and no decoder after it.
    fn gives_values(&self) -> bool {
        false
    }

    /// Returns the number of entries of the table if the configuration alone does not determine it.
    fn n_entries(&self) -> Option<usize> {
        None
    }

    /// Returns the learned parameters besides the table, if there are any.
    fn parameters(&self) -> Option<&Buffer<f32>> {
        None
    }

    /// Like [`Encoding::parameters`], but returns a mutable reference.
    fn parameters_mut(&mut self) -> Option<&mut Buffer<f32>> {
        None
    }

    /// Returns the number of those parameters, without padding.
    fn n_parameters(&self) -> usize {
        self.parameters().map_or(0, Buffer::len)
    }

    /// Returns the learning rate of the parameters.
    fn learning_rate(&self, optimizer: &OptimizerConfig) -> f64 {
        optimizer.kernel_learning_rate
    }

    /// Returns how many gradients a chunk accumulates. [`Encoding::gradient`] converts their sum over chunks to the
    /// gradient with respect to the parameters.
    fn n_gradients(&self) -> usize {
        0
    }

    /// Returns how many activations are saved per sample, from the encoding to the backward pass.
    fn n_saved_activations(&self) -> usize {
        0
    }

    /// Returns how many numbers are kept per sample from the backward pass to the scatter.
    fn n_scatter_weights(&self) -> usize;

    /// Updates the numbers that the kernels compute with after the parameters have changed.
    fn prepare(&self, _: &Device, _: &Grid) -> Result<()> {
        Ok(())
    }

    /// Computes the features, or the values, of a round's samples. `most` is an upper bound on the number of samples.
    fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()>;

    /// Computes the gradients with respect to the parameters, and what the scatter needs.
    fn backward(&self, device: &Device, work: &Encode, gradients: &Backward, most: usize) -> Result<()>;

    /// Adds the gradients with respect to the features into the table's gradient, chunk by chunk; `phi` holds the
    /// scatter weights.
    fn scatter(&self, device: &Device, launches: &[(ScatterArgs, LaunchDims)], n_levels: usize) -> Result<()> {
        device.launch_rows(&kernels::GRID_SCATTER, launches, n_levels)
    }

    /// Sets the gradient with respect to the parameters, given the sum of the chunks' gradients.
    fn gradient(&self, _: &Device, _: &Grid, _sum: Ptr<'_, f32>, _dl_dparameters: Ptr<'_, f32>) -> Result<()> {
        Ok(())
    }

    /// Returns another encoding of the same kind with the same nodes, but its own learned parameters.
    fn new_like(&self, device: &Device) -> Result<Box<dyn Encoding>>;

    /// Returns the tensors that a checkpoint stores for the encoding.
    fn tensors(&self) -> Result<Vec<Tensor<'static>>>;
}
