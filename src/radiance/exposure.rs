//! How photographs differ in brightness and tint: a gain and an offset by channel of each, learned with the field.

use crate::Result;
use crate::device::args::{ExposureArgs, SUM_WIDTH};
use crate::device::{Buffer, Device, Grid, Ptr, kernels};
use crate::train::Moments;

/// Numbers of a photograph: the logarithms of three gains, three offsets.
pub const EXPOSURE_SIZE: usize = 6;

/// What training keeps of the photographs' exposures.
pub(super) struct Exposure {
    n_photographs: usize,
    /// `[n_photographs, 6]`, padded to a multiple of [`SUM_WIDTH`].
    pub value: Buffer<f32>,
    /// The same less its mean over photographs: what is compared with them.
    pub shown: Buffer<f32>,
    pub moments: Moments,
    /// As chunks collect them, `[n_chunks, n]`.
    pub gradients: Buffer<f32>,
}

impl Exposure {
    /// All photographs alike.
    pub fn new(device: &Device, n_photographs: usize, n_chunks: usize) -> Result<Self> {
        let n = (EXPOSURE_SIZE * n_photographs).next_multiple_of(SUM_WIDTH);
        let value = device.zeros(n)?;
        Ok(Exposure {
            n_photographs,
            shown: device.zeros(n)?,
            moments: Moments::new(device, &value, 1, false)?,
            gradients: device.zeros(n_chunks * n)?,
            value,
        })
    }

    /// `[n_photographs, 6]` in all.
    pub fn n_values(&self) -> usize {
        EXPOSURE_SIZE * self.n_photographs
    }

    /// Where a chunk's gradients go, added to.
    pub fn gradients_of(&self, chunk: usize) -> Ptr<'_, f32> {
        self.gradients.ptr_at(chunk * self.value.len())
    }

    /// Brings `shown` up to date.
    pub fn prepare(&self, device: &Device) -> Result<()> {
        let args = ExposureArgs {
            value: self.value.ptr(),
            exposure: self.shown.ptr(),
            n_photographs: self.n_photographs as u32,
        };
        device.launch(&kernels::PREPARE_EXPOSURE, &args, Grid::items(EXPOSURE_SIZE))
    }
}
