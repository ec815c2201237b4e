//! The eikonal term: the gradient of a distance field has length 1 (Gropp et al., IGR, ICML 2020, equation 2).
//! Gradients are finite differences over stencils of four samples (Li et al., Neuralangelo, CVPR 2023, section 3.1),
//! which pass through the field like all other samples. The term therefore works with every encoding, and none needs
//! second derivatives.

use super::chunk::FitChunk;
use crate::Result;
use crate::device::args::EikonalArgs;
use crate::device::{Device, LaunchDims, kernels};

/// Number of samples of a chunk per stencil: four are its corners, and the others have targets.
const SAMPLES_A_STENCIL: usize = 16;
const CORNERS: usize = 4;
const WITH_TARGET: usize = SAMPLES_A_STENCIL - CORNERS;
/// Upper bound on gradients with respect to an output value. In fp16, at most 65504 is representable after they have
/// been scaled up (`GF_LOSS_SCALE`, 128) and have passed through the layers. The gradients of the MAPE are at most as
/// large.
const LARGEST_DERIVATIVE: f32 = 100.0;

/// Returns the factor on all gradients of a step during the backward pass, which Adam divides out again; 1 without an
/// eikonal term.
pub(super) fn gradient_scale(eikonal: Option<Eikonal>) -> f32 {
    eikonal.map_or(1.0, |eikonal| eikonal.gradient_scale())
}

/// The eikonal term, for distance fields: three coordinates and one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eikonal {
    /// Weight of the mean over stencils, relative to the mean loss of samples with a target.
    pub weight: f32,
    /// h, in sides of the unit cube: the corners of a stencil are at ±h from its middle along each axis.
    pub step: f32,
}

impl Eikonal {
    /// Returns how many of the `n` samples of a step, or of a chunk that begins with a stencil, have targets.
    pub fn n_with_target(n: usize) -> usize {
        n - n / SAMPLES_A_STENCIL * CORNERS
    }

    /// Returns the weight of one stencil, where a sample with a target has weight 1. Since there are 12 such samples
    /// per stencil, the total is proportional to mean loss + weight · mean eikonal loss.
    fn weight_of_stencil(&self) -> f32 {
        WITH_TARGET as f32 * self.weight
    }

    /// Returns the factor, at most 1, that keeps the gradients of stencils below `LARGEST_DERIVATIVE`. The derivative
    /// of a stencil's loss with respect to |g| is at most 2, and that of |g| with respect to a value at most √3 / 4h.
    pub fn gradient_scale(&self) -> f32 {
        let largest = self.weight_of_stencil() * 2.0 * 3f32.sqrt() / (4.0 * self.step);
        (LARGEST_DERIVATIVE / largest).min(1.0)
    }

    /// Places the corners of the chunk's stencils around points with a target, which must have been drawn before.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn place(&self, device: &Device, chunk: &FitChunk) -> Result<()> {
        let args = self.args(chunk);
        device.launch_chunk(&kernels::EIKONAL_POINTS, &args, LaunchDims::items(args.n_stencils as usize))
    }

    /// Computes the loss of the chunk's stencils and the gradients with respect to the values at their corners.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn loss(&self, device: &Device, chunk: &FitChunk) -> Result<()> {
        let args = self.args(chunk);
        device.launch_chunk(&kernels::EIKONAL_LOSS, &args, LaunchDims::items(args.n_stencils as usize))
    }

    fn args<'c>(&self, chunk: &'c FitChunk) -> EikonalArgs<'c> {
        EikonalArgs {
            position: chunk.position.ptr(),
            output: chunk.output.ptr(),
            dl_doutput: chunk.dl_doutput.ptr(),
            loss: chunk.loss.ptr(),
            squared_error: chunk.squared_error.ptr(),
            n_with_target: chunk.n_with_target as u32,
            n_stencils: ((chunk.n - chunk.n_with_target) / CORNERS) as u32,
            step: self.step,
            weight: self.weight_of_stencil(),
            scale: self.gradient_scale(),
        }
    }
}
