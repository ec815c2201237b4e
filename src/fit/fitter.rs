//! A chunk of samples through a fitted field, forward and back.

use super::chunk::FitChunk;
use super::eikonal::{Eikonal, gradient_scale};
use super::trainer::FitLoss;
use crate::Result;
use crate::device::args::{FitArgs, FitLossArgs, STATISTICS_PART};
use crate::device::{Device, Kernel, LaunchDims, Ptr, kernels};
use crate::encoding::{Backward, Encode};
use crate::field::{ChunkGradients, Field, WorkerScratch};

/// A fitted field, as a chunk's work needs it.
#[derive(Clone, Copy)]
pub struct Fitter<'a> {
    pub device: &'a Device,
    pub field: &'a Field,
    pub n_outputs: u32,
}

impl Fitter<'_> {
    /// The field's values at the chunk's points. A scratch for training keeps the layers' inputs for [`Fitter::backward`].
    ///
    /// # Errors
    /// Of the device.
    pub fn forward(&self, chunk: &FitChunk, scratch: &WorkerScratch) -> Result<()> {
        self.field.encode(self.device, &self.encode_args(chunk, scratch), chunk.n)?;
        if self.field.encoding_gives_values() {
            return Ok(());
        }
        self.device.launch_chunk(self.kernels().0, &self.args(chunk, scratch), LaunchDims::tiles(chunk.n))
    }

    /// The loss of the chunk's values, and of its stencils where it has some, with the gradients by the values.
    ///
    /// # Errors
    /// Of the device.
    pub fn losses(&self, chunk: &FitChunk, loss: FitLoss, eikonal: Option<Eikonal>) -> Result<()> {
        let device = self.device;
        let of_all = self.loss_args(chunk, loss, eikonal);
        let of_targets = FitLossArgs { count: chunk.count.ptr_at(2), ..of_all };
        device.launch_chunk(&kernels::FIT_LOSS, &of_targets, LaunchDims::items(chunk.n_with_target))?;
        if let Some(eikonal) = eikonal {
            eikonal.loss(device, chunk)?;
        }
        device.launch_chunk(&kernels::FIT_STATISTICS, &of_all, LaunchDims::items(chunk.n.div_ceil(STATISTICS_PART)))
    }

    /// All gradients by what is learned, as sums over samples, from those by the values.
    ///
    /// # Errors
    /// Of the device.
    pub fn backward(&self, chunk: &FitChunk, scratch: &WorkerScratch, gradients: &ChunkGradients) -> Result<()> {
        let device = self.device;
        let args = FitArgs {
            dl_doutput: chunk.dl_doutput.ptr(),
            dl_dfeatures: chunk.dl_dfeatures.ptr(),
            dl_dweights: gradients.dl_dweights,
            ..self.args(chunk, scratch)
        };
        if !self.field.encoding_gives_values() {
            device.launch_chunk(self.kernels().1, &args, LaunchDims::tiles(chunk.n))?;
        }
        let Some(encoding) = &self.field.encoding else { return Ok(()) };
        let of_grid = Backward {
            dl_dfeatures: chunk.dl_dfeatures.ptr(),
            dl_dvalues: chunk.dl_doutput.ptr(),
            dl_dparameters: gradients.dl_dparameters,
            scatter_weights: chunk.scatter_weights.ptr(),
        };
        encoding.backward(device, &self.encode_args(chunk, scratch), &of_grid, chunk.n)
    }

    /// Forward and backward, for the widest layer.
    fn kernels(&self) -> (&'static Kernel<FitArgs<'static>>, &'static Kernel<FitArgs<'static>>) {
        if self.field.decoder.width() <= 64 {
            (&kernels::FIT_FORWARD_64, &kernels::FIT_BACKWARD_64)
        } else {
            (&kernels::FIT_FORWARD_128, &kernels::FIT_BACKWARD_128)
        }
    }

    fn args<'c>(&'c self, chunk: &'c FitChunk, scratch: &'c WorkerScratch) -> FitArgs<'c> {
        FitArgs {
            grid: self.field.grid.layout(),
            network: self.field.decoder.layout(),
            table: self.field.table_ptr(),
            weights: self.field.weights_ptr(),
            features: scratch.features(),
            samples: chunk.samples(),
            activations: scratch.activations(),
            output: chunk.output.ptr(),
            dl_doutput: Ptr::NULL,
            dl_dfeatures: Ptr::NULL,
            dl_dweights: Ptr::NULL,
            n_outputs: self.n_outputs,
        }
    }

    fn encode_args<'c>(&'c self, chunk: &'c FitChunk, scratch: &'c WorkerScratch) -> Encode<'c> {
        Encode {
            grid: self.field.grid.layout(),
            samples: chunk.samples(),
            table: self.field.table_ptr(),
            features: scratch.features(),
            saved_activations: scratch.saved_activations(),
            values: chunk.output.ptr(),
            n_in: self.field.decoder.n_in(),
            round: 0,
        }
    }

    fn loss_args<'c>(&'c self, chunk: &'c FitChunk, loss: FitLoss, eikonal: Option<Eikonal>) -> FitLossArgs<'c> {
        FitLossArgs {
            output: chunk.output.ptr(),
            target: chunk.target.ptr(),
            dl_doutput: chunk.dl_doutput.ptr(),
            loss: chunk.loss.ptr(),
            squared_error: chunk.squared_error.ptr(),
            count: chunk.count.ptr_at(1),
            sums: chunk.sums.ptr(),
            n_outputs: self.n_outputs,
            kind: loss as u32,
            scale: gradient_scale(eikonal),
        }
    }
}
