//! Six parameters per training image that are learned with the field: an exposure, or a camera correction.

use crate::Result;
use crate::device::args::{CentreArgs, SUM_WIDTH};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use crate::train::Moments;

/// An exposure has the logarithms of three gains and three offsets, by channel; a camera correction has a rotation
/// vector and a translation.
const PER_IMAGE_NUMBERS: usize = 6;

/// Per-image parameters and their training state.
pub(super) struct PerImage {
    n_images: usize,
    /// `[n_images, 6]`, padded to a multiple of [`SUM_WIDTH`].
    pub value: Buffer<f32>,
    /// The parameters minus their mean over the training images, which is what kernels use.
    pub centred: Buffer<f32>,
    pub moments: Moments,
    /// `[n_chunks, n]` gradients, accumulated by chunk.
    pub gradients: Buffer<f32>,
}

impl PerImage {
    /// Starts at zero: no differences between training images.
    pub fn new(device: &Device, n_images: usize, n_chunks: usize) -> Result<Self> {
        let n = (PER_IMAGE_NUMBERS * n_images).next_multiple_of(SUM_WIDTH);
        let value = device.zeros(n)?;
        Ok(PerImage {
            n_images,
            centred: device.zeros(n)?,
            moments: Moments::new(device, &value, 1, false)?,
            gradients: device.zeros(n_chunks * n)?,
            value,
        })
    }

    /// Returns the shape of the checkpoint tensor.
    pub fn shape(&self) -> [usize; 2] {
        [self.n_images, PER_IMAGE_NUMBERS]
    }

    /// Returns the buffer into which a chunk accumulates its gradients.
    pub fn gradients_of(&self, chunk: usize) -> Ptr<'_, f32> {
        self.gradients.ptr_at(chunk * self.value.len())
    }

    /// Updates `centred` from `value`.
    pub fn prepare(&self, device: &Device) -> Result<()> {
        let args = CentreArgs { value: self.value.ptr(), centred: self.centred.ptr(), n_images: self.n_images as u32 };
        device.launch(&kernels::CENTRE_PER_IMAGE, &args, LaunchDims::items(PER_IMAGE_NUMBERS))
    }
}
