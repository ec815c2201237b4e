//! Models of the family with an encoding of their own: kernels that work out the features before the field's kernel, and
//! what they keep on a device for it. Encodings made of regular levels with a kernel function that learns nothing have none:
//! `kernels/field.cuh` encodes them as it goes.
//!
//! A new encoding of this kind is a file `kernels/<name>.cu`, a file here that implements [`Encoding`], and a line in [`REGISTRY`];
//! its name and defaults are a line in `src/config/family.rs`.

use std::any::Any;

use super::{Grid, coordinate_network, mulfa, points};
use crate::Result;
use crate::config::{GridConfig, OptimizerConfig};
use crate::decoder::Head;
use crate::device::args::{Compute, ENCODE_TILES, EncodeLevelsArgs, GridLayout, SampleBatch, ScatterArgs};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use crate::scene::UnitCube;
use crate::train::{Checkpoint, Tensor};

/// The encodings with an encoding of their own. Each says whether a grid is its.
const REGISTRY: [Constructor; 3] = [mulfa::open, points::open, coordinate_network::open];

/// Makes the encoding's part of a grid; None where the grid is not its.
pub(super) type Constructor = fn(&Device, &GridConfig, Head, &Init) -> Result<Option<Box<dyn Encoding>>>;

/// Where an encoding takes what it begins with.
pub enum Init<'a> {
    /// Nothing is learned, no file is read.
    Blank,
    /// A run that begins.
    New(&'a InitContext),
    /// What a checkpoint holds.
    Saved(&'a Checkpoint<'a>),
}

/// The run that an encoding begins in.
#[derive(Clone, Copy, Debug)]
pub struct InitContext {
    pub seed: u64,
    /// Scene coordinates to those of the unit cube.
    pub unit_cube: UnitCube,
    /// Side of the field's box, in unit cubes: 2^(cascades − 1).
    pub box_side: f32,
}

/// Samples of a chunk to be encoded.
#[derive(Clone, Copy)]
pub struct Encode<'a> {
    pub grid: GridLayout,
    pub samples: SampleBatch<'a>,
    pub table: Ptr<'a, Compute>,
    /// `[S, n_in]`: where the features go; columns past them are zero.
    pub features: Ptr<'a, Compute>,
    /// `[S, n_saved_activations]`: what [`Encoding::encode`] leaves for [`Encoding::backward`]; null where there is no backward pass, unless it
    /// gives the values.
    pub saved_activations: Ptr<'a, Compute>,
    /// `[S, n_outputs]`: where an encoding that gives the values leaves them; null for others.
    pub values: Ptr<'a, f32>,
    pub n_in: u32,
    /// Forward: samples of this round; backward: all up to its end.
    pub round: u32,
}

/// Features of a round's samples, at most `most`, by the levels from `first` on, whose kernel function learns nothing.
///
/// # Errors
/// Of the device.
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

/// Where the backward pass finds and leaves gradients.
#[derive(Clone, Copy)]
pub struct Backward<'a> {
    /// `[L, S, F]`
    pub dl_dfeatures: Ptr<'a, f32>,
    /// `[S, n_outputs]`: of an encoding that gives the values; null for others.
    pub dl_dvalues: Ptr<'a, f32>,
    /// Of a chunk, added to: [`Encoding::n_gradients`].
    pub dl_dparameters: Ptr<'a, f32>,
    /// `[S, n_scatter_weights]`: what [`Encoding::scatter`] needs, set.
    pub scatter_weights: Ptr<'a, f32>,
}

pub trait Encoding: Any + Send + Sync {
    /// Whether it gives the field's values by itself: then there are no features, and no decoder stands behind it.
    fn gives_values(&self) -> bool {
        false
    }

    /// Entries of the table, where the configuration alone does not say.
    fn n_entries(&self) -> Option<usize> {
        None
    }

    /// Learned numbers beside the table.
    fn parameters(&self) -> Option<&Buffer<f32>> {
        None
    }

    fn parameters_mut(&mut self) -> Option<&mut Buffer<f32>> {
        None
    }

    /// Of the parameters.
    fn learning_rate(&self, optimizer: &OptimizerConfig) -> f64 {
        optimizer.kernel_learning_rate
    }

    /// Numbers that a chunk's gradients take, from which [`Encoding::gradient`] works out those of the parameters.
    fn n_gradients(&self) -> usize {
        0
    }

    /// Numbers kept for a sample from the encoding to the backward pass.
    fn n_saved_activations(&self) -> usize {
        0
    }

    /// Numbers kept for a sample from the backward pass to the scatter.
    fn n_scatter_weights(&self) -> usize;

    /// Brings what kernels compute with up to date with the parameters.
    fn prepare(&self, _: &Device, _: &Grid) -> Result<()> {
        Ok(())
    }

    /// The features of a round's samples, or their values, at most `most`.
    fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()>;

    /// Gradients by the parameters, and what the scatter needs.
    fn backward(&self, device: &Device, work: &Encode, gradients: &Backward, most: usize) -> Result<()>;

    /// Gradients by the features into the table, for chunk after chunk; `phi` is what was kept.
    fn scatter(&self, device: &Device, launches: &[(ScatterArgs, LaunchDims)], n_levels: usize) -> Result<()> {
        device.launch_rows(&kernels::GRID_SCATTER, launches, n_levels)
    }

    /// Sets the gradient by the parameters from the sum of the chunks' gradients.
    fn gradient(&self, _: &Device, _: &Grid, _sum: Ptr<'_, f32>, _dl_dparameters: Ptr<'_, f32>) -> Result<()> {
        Ok(())
    }

    /// Another of the same kind and nodes, with learned numbers of its own.
    fn new_like(&self, device: &Device) -> Result<Box<dyn Encoding>>;

    /// What a checkpoint holds of it.
    fn tensors(&self) -> Result<Vec<Tensor<'static>>>;
}

/// The grid of a configuration, with what its encoding keeps on the device.
///
/// # Errors
/// Of the device, and of the files that the nodes are read from.
pub fn open(
    device: &Device,
    config: &GridConfig,
    head: Head,
    init: &Init,
) -> Result<(Grid, Option<Box<dyn Encoding>>)> {
    let mut grid = Grid::new(config, head.dimensions());
    for opener in REGISTRY {
        if let Some(encoding) = opener(device, config, head, init)? {
            if let Some(n_entries) = encoding.n_entries() {
                grid.levels[0].entries = n_entries as u32;
            }
            return Ok((grid, Some(encoding)));
        }
    }
    Ok((grid, None))
}
