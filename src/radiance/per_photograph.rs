//! Six numbers of each photograph that are learned with the field: an exposure, or the correction of a camera.

use crate::Result;
use crate::device::args::{CentreArgs, SUM_WIDTH};
use crate::device::{Buffer, Device, Grid, Ptr, kernels};
use crate::train::Moments;

/// Of an exposure, by channel, the logarithms of three gains and three offsets; of a camera, a rotation vector and a move.
pub const PHOTOGRAPH_NUMBERS: usize = 6;

/// What training keeps of them.
pub(super) struct PerPhotograph {
    n_photographs: usize,
    /// `[n_photographs, 6]`, padded to a multiple of [`SUM_WIDTH`].
    pub value: Buffer<f32>,
    /// The same less its mean over photographs: what is used.
    pub centred: Buffer<f32>,
    pub moments: Moments,
    /// As chunks collect them, `[n_chunks, n]`.
    pub gradients: Buffer<f32>,
}

impl PerPhotograph {
    /// All zero: photographs do not differ.
    pub fn new(device: &Device, n_photographs: usize, n_chunks: usize) -> Result<Self> {
        let n = (PHOTOGRAPH_NUMBERS * n_photographs).next_multiple_of(SUM_WIDTH);
        let value = device.zeros(n)?;
        Ok(PerPhotograph {
            n_photographs,
            centred: device.zeros(n)?,
            moments: Moments::new(device, &value, 1, false)?,
            gradients: device.zeros(n_chunks * n)?,
            value,
        })
    }

    /// As tensors have it.
    pub fn shape(&self) -> [usize; 2] {
        [self.n_photographs, PHOTOGRAPH_NUMBERS]
    }

    /// Where a chunk's gradients go, added to.
    pub fn gradients_of(&self, chunk: usize) -> Ptr<'_, f32> {
        self.gradients.ptr_at(chunk * self.value.len())
    }

    /// Brings `centred` up to date.
    pub fn prepare(&self, device: &Device) -> Result<()> {
        let args = CentreArgs {
            value: self.value.ptr(),
            centred: self.centred.ptr(),
            n_photographs: self.n_photographs as u32,
        };
        device.launch(&kernels::CENTRE_PHOTOGRAPHS, &args, Grid::items(PHOTOGRAPH_NUMBERS))
    }
}
