//! Forward and backward passes of a chunk of samples through a fitted field.

use super::chunk::FitChunk;
use super::eikonal::{Eikonal, gradient_scale};
use crate::Result;
use crate::device::args::{FitArgs, FitLoss, FitLossArgs, STATISTICS_PART};
use crate::device::{Device, Kernel, LaunchDims, Ptr, kernels};
use crate::encoding::{Backward, Encode};
use crate::field::{ChunkGradients, Field, WorkerScratch};

/// A fitted field that processes chunks.
#[derive(Clone, Copy)]
pub struct Fitter<'a> {
    /// Device that holds the field.
    pub device: &'a Device,
    /// The field to evaluate.
    pub field: &'a Field,
    /// Number of values at a point.
    pub n_outputs: u32,
}

impl Fitter<'_> {
    /// Computes the field's values at the chunk's points. If the scratch buffers are for training, they keep the
    /// layers' inputs for [`Fitter::backward`].
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn forward(&self, chunk: &FitChunk, scratch: &WorkerScratch) -> Result<()> {
        self.field.encode(self.device, &self.encode_args(chunk, scratch), chunk.n)?;
        if self.field.encoding_gives_values() {
            return Ok(());
        }
        self.device.launch_chunk(self.kernels().0, &self.args(chunk, scratch), LaunchDims::tiles(chunk.n))
    }

    /// Computes the loss of the chunk's values, and of its stencils if there are any, and the gradients with respect to
    /// the values.
    ///
    /// # Errors
    /// Returns an error if the device fails.
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

    /// Computes all gradients with respect to learned parameters and features, summed over samples, from those with
    /// respect to the values.
    ///
    /// # Errors
    /// Returns an error if the device fails.
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

    /// Returns the forward and backward kernels that fit the widest layer.
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
