//! Levels whose interpolation is learned: with the local kernel function, with a cascade of levels, or with both. The
//! features of all levels are interpolated first, then the cascade changes them in place; the backward pass runs in the
//! opposite order.

use super::interface::{Backward, Encode, Encoding, Init, encode_levels};
use super::{Cascade, Grid, Local, ParamBlock};
use crate::Result;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::config::GridConfig;
use crate::decoder::Head;
use crate::device::args::{CascadeArgs, ENCODE_TILES, LocalArgs, LocalScatterArgs, SUM_WIDTH, ScatterArgs, SumArgs};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};

/// The learned parameters on a device: the coefficients of the local kernel function, followed by the matrices of the
/// cascade, followed by zeros up to a multiple of [`SUM_WIDTH`].
pub struct LearnedLevels {
    local: Option<Local>,
    cascade: Option<Cascade>,
    theta: Buffer<f32>,
}

/// [`super::registry::Constructor`] for grids with the kernel `local` or a cascade.
pub fn open(device: &Device, config: &GridConfig, head: Head, init: &Init) -> Result<Option<Box<dyn Encoding>>> {
    let (local, cascade) = (Local::new(config, head.dimensions()), Cascade::new(config));
    if local.is_none() && cascade.is_none() {
        return Ok(None);
    }
    let mut levels = LearnedLevels::zeros(device, local, cascade)?;
    match init {
        Init::Blank => {}
        Init::New(_) => levels.theta.upload(0, &local.map_or_else(Vec::new, |local| local.initial()))?,
        Init::Saved(checkpoint) => levels.restore(checkpoint)?,
    }
    Ok(Some(Box::new(levels)))
}

impl LearnedLevels {
    fn zeros(device: &Device, local: Option<Local>, cascade: Option<Cascade>) -> Result<Self> {
        let mut levels = LearnedLevels { local, cascade, theta: device.zeros(0)? };
        levels.theta = device.zeros(levels.n_parameters().next_multiple_of(SUM_WIDTH))?;
        Ok(levels)
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        for block in self.blocks() {
            self.theta.upload(block.first, checkpoint.get(&block.name, &block.shape)?)?;
        }
        Ok(())
    }

    /// Returns the learned blocks under their names in a checkpoint.
    pub fn blocks(&self) -> Vec<ParamBlock> {
        let mut blocks: Vec<ParamBlock> = self.local.map(|local| local.block(0)).into_iter().collect();
        blocks.extend(self.cascade.map_or_else(Vec::new, |cascade| cascade.blocks(self.first_gate())));
        blocks
    }

    /// Returns the index of the cascade's first number.
    fn first_gate(&self) -> usize {
        self.local.map_or(0, |local| local.block(0).n_numbers())
    }

    fn local_args<'a>(&'a self, work: &Encode<'a>) -> LocalArgs<'a> {
        LocalArgs {
            grid: work.grid,
            samples: work.samples,
            table: work.table,
            theta: self.theta.ptr(),
            features: work.features,
            dl_dfeatures: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
            n_in: work.n_in,
            round: work.round,
        }
    }

    fn cascade_args<'a>(&'a self, cascade: Cascade, work: &Encode<'a>) -> CascadeArgs<'a> {
        CascadeArgs {
            samples: work.samples,
            theta: self.theta.ptr(),
            features: work.features,
            saved: work.saved_activations,
            dl_dfeatures: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
            first: self.first_gate() as u32,
            n_levels: cascade.n_levels as u32,
            n_features: cascade.n_features as u32,
            n_in: work.n_in,
            round: work.round,
        }
    }
}

impl Encoding for LearnedLevels {
    fn parameters(&self) -> Option<&Buffer<f32>> {
        Some(&self.theta)
    }

    fn parameters_mut(&mut self) -> Option<&mut Buffer<f32>> {
        Some(&mut self.theta)
    }

    fn n_parameters(&self) -> usize {
        ParamBlock::n_in_all(&self.blocks())
    }

    fn n_gradients(&self) -> usize {
        self.theta.len()
    }

    /// The saved activations are the features before and after the cascade, `[2, L F, S]`.
    fn n_saved_activations(&self) -> usize {
        self.cascade.map_or(0, |cascade| 2 * cascade.n_columns())
    }

    fn n_scatter_weights(&self) -> usize {
        0
    }

    fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()> {
        if let Some(local) = self.local {
            let blocks = LaunchDims::tiles(most.div_ceil(ENCODE_TILES)).rows(work.grid.n_levels as usize);
            device.launch_chunk(local.kernels().encode, &self.local_args(work), blocks)?;
        } else {
            encode_levels(device, work, 0, most)?;
        }
        let Some(cascade) = self.cascade else { return Ok(()) };
        device.launch_chunk(cascade.kernels().0, &self.cascade_args(cascade, work), LaunchDims::tiles(most))
    }

    fn backward(&self, device: &Device, work: &Encode, gradients: &Backward, most: usize) -> Result<()> {
        if let Some(cascade) = self.cascade {
            let args = CascadeArgs {
                dl_dfeatures: gradients.dl_dfeatures,
                dl_dtheta: gradients.dl_dparameters,
                ..self.cascade_args(cascade, work)
            };
            device.launch_chunk(cascade.kernels().1, &args, LaunchDims::tiles(most))?;
        }
        let Some(local) = self.local else { return Ok(()) };
        let args = LocalArgs {
            dl_dfeatures: gradients.dl_dfeatures,
            dl_dtheta: gradients.dl_dparameters,
            ..self.local_args(work)
        };
        let blocks = LaunchDims::tiles(most).rows(work.grid.n_levels as usize);
        device.launch_chunk(local.kernels().backward, &args, blocks)
    }

    fn scatter(&self, device: &Device, launches: &[(ScatterArgs, LaunchDims)], n_levels: usize) -> Result<()> {
        let Some(local) = self.local else {
            return device.launch_rows(&kernels::GRID_SCATTER, launches, n_levels);
        };
        let launches: Vec<_> = launches
            .iter()
            .map(|&(scatter, tiles)| (LocalScatterArgs { scatter, theta: self.theta.ptr() }, tiles))
            .collect();
        device.launch_rows(local.kernels().scatter, &launches, n_levels)
    }

    /// Copies the gradients, which are those with respect to the parameters themselves.
    fn gradient(&self, device: &Device, _: &Grid, sum: Ptr<'_, f32>, dl_dparameters: Ptr<'_, f32>) -> Result<()> {
        let n = self.theta.len();
        let args = SumArgs { parts: sum, sum: dl_dparameters, n_parts: 1, n: n as u32 };
        device.launch(&kernels::SUM_PARTS, &args, LaunchDims::items(n / SUM_WIDTH))
    }

    fn new_like(&self, device: &Device) -> Result<Box<dyn Encoding>> {
        Ok(Box::new(LearnedLevels::zeros(device, self.local, self.cascade)?))
    }

    fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let theta = self.theta.download()?;
        let of_block = |block: &ParamBlock| Tensor::new(&block.name, &block.shape, theta[block.range()].to_vec());
        Ok(self.blocks().iter().map(of_block).collect())
    }
}
