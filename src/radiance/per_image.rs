//! Six numbers of each training image that are learned with the field: an exposure, or the correction of a camera.

use crate::Result;
use crate::device::args::{CentreArgs, SUM_WIDTH};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use crate::train::Moments;

/// Of an exposure, by channel, the logarithms of three gains and three offsets; of a camera, a rotation vector and a move.
pub const PER_IMAGE_NUMBERS: usize = 6;

/// What training keeps of them.
pub(super) struct PerImage {
    n_images: usize,
    /// `[n_images, 6]`, padded to a multiple of [`SUM_WIDTH`].
    pub value: Buffer<f32>,
    /// The same less its mean over training images: what is used.
    pub centred: Buffer<f32>,
    pub moments: Moments,
    /// As chunks collect them, `[n_chunks, n]`.
    pub gradients: Buffer<f32>,
}

impl PerImage {
    /// All zero: training images do not differ.
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

    /// As tensors have it.
    pub fn shape(&self) -> [usize; 2] {
        [self.n_images, PER_IMAGE_NUMBERS]
    }

    /// Where a chunk's gradients go, added to.
    pub fn gradients_of(&self, chunk: usize) -> Ptr<'_, f32> {
        self.gradients.ptr_at(chunk * self.value.len())
    }

    /// Brings `centred` up to date.
    pub fn prepare(&self, device: &Device) -> Result<()> {
        let args = CentreArgs { value: self.value.ptr(), centred: self.centred.ptr(), n_images: self.n_images as u32 };
        device.launch(&kernels::CENTRE_PER_IMAGE, &args, LaunchDims::items(PER_IMAGE_NUMBERS))
    }
}
