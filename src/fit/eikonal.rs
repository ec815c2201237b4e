//! The eikonal term: the gradient of a distance field has length 1 (Gropp et al., IGR, ICML 2020, equation 2). Gradients are
//! differences over stencils of four samples (Li et al., Neuralangelo, CVPR 2023, section 3.1), which go through the field as
//! all samples do: every encoding of the family has the term, and none needs second derivatives.

use super::chunk::FitChunk;
use crate::Result;
use crate::device::args::EikonalArgs;
use crate::device::{Device, LaunchDims, kernels};

/// Of so many samples of a chunk four are the corners of a stencil, and the others have targets.
const SAMPLES_A_STENCIL: usize = 16;
const CORNERS: usize = 4;
const WITH_TARGET: usize = SAMPLES_A_STENCIL - CORNERS;
/// What gradients by a value are held below. fp16 has 65504 for it, once it is scaled up (`GF_LOSS_SCALE`, 128) and has gone
/// through the layers; the MAPE's are at most as large.
const LARGEST_DERIVATIVE: f32 = 100.0;

/// Factor on all gradients of a step on their way through the field, which Adam divides by again: 1 where there is no term.
pub(super) fn gradient_scale(eikonal: Option<Eikonal>) -> f32 {
    eikonal.map_or(1.0, |eikonal| eikonal.gradient_scale())
}

/// The term, for fields of distances: three coordinates and one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Eikonal {
    /// Of the mean over stencils, beside the mean loss of samples with a target.
    pub weight: f32,
    /// h, in sides of the unit cube: a stencil's corners are at ±h along each axis of its middle.
    pub step: f32,
}

impl Eikonal {
    /// Of `n` samples of a step, or of a chunk that begins where a stencil does, so many have targets.
    pub fn n_with_target(n: usize) -> usize {
        n - n / SAMPLES_A_STENCIL * CORNERS
    }

    /// The weight of one stencil where that of one sample with a target is 1. As there are 12 of these to a stencil, the sum
    /// over all is proportional to mean loss + weight · mean eikonal loss.
    fn weight_of_stencil(&self) -> f32 {
        WITH_TARGET as f32 * self.weight
    }

    /// 1, or what keeps gradients of stencils below `LARGEST_DERIVATIVE`. A stencil's loss has a slope of at most 2 by |g|, and
    /// |g| one of at most √3 / 4h by a value.
    pub fn gradient_scale(&self) -> f32 {
        let largest = self.weight_of_stencil() * 2.0 * 3f32.sqrt() / (4.0 * self.step);
        (LARGEST_DERIVATIVE / largest).min(1.0)
    }

    /// Places the corners of the chunk's stencils about points with a target, which are drawn.
    ///
    /// # Errors
    /// Of the device.
    pub fn place(&self, device: &Device, chunk: &FitChunk) -> Result<()> {
        let args = self.args(chunk);
        device.launch_chunk(&kernels::EIKONAL_POINTS, &args, LaunchDims::items(args.n_stencils as usize))
    }

    /// The loss of the chunk's stencils and the gradients by the values at their corners.
    ///
    /// # Errors
    /// Of the device.
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
