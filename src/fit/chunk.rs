//! The samples of a chunk: points, target values, the field's outputs, and the gradients.

use crate::Result;
use crate::decoder::Head;
use crate::device::args::{SampleBatch, TILE};
use crate::device::{Buffer, Device, Ptr};
use crate::field::Field;

/// How work is divided into chunks on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitSize {
    /// Number of chunks of a step.
    pub n_chunks: usize,
    /// Capacity of a chunk in samples. With several chunks it is a multiple of [`TILE`], so that no stencil is split
    /// between chunks.
    pub samples: usize,
    /// Number of chunks that are processed one after the other and accumulate into the same gradients.
    pub chunks_of_gradient: usize,
}

impl FitSize {
    /// On a CPU, a chunk has 1024 samples: their activations, a few hundred bytes per sample, fit in the L2 cache.
    const HOST_SAMPLES: usize = 1024;
    /// Number of samples in a GPU chunk.
    const DEVICE_SAMPLES: usize = 1 << 18;
    /// Chunk sizes for encodings that output the values: their layers, a few hundred neurons wide, save kilobytes per
    /// sample.
    const HOST_SAMPLES_OF_VALUES: usize = TILE;
    const DEVICE_SAMPLES_OF_VALUES: usize = 1 << 16;
    /// Limit on the gradients kept for the parameters of such an encoding on a CPU: about 256 MiB, but at least
    /// `FEWEST_GRADIENTS` and at most `MOST_PARTS` copies.
    const MOST_GRADIENTS: usize = 1 << 26;
    const FEWEST_GRADIENTS: usize = 16;
    const MOST_PARTS: usize = 64;

    /// Returns the chunks for training steps of exactly `batch` samples.
    pub fn for_training(device: &Device, batch: usize, field: &Field) -> Self {
        let most = Self::most_samples(device, field);
        let samples = if device.is_host() || field.encoding_gives_values() { most.min(batch) } else { batch };
        let n_chunks = batch.div_ceil(samples);
        let chunks_of_gradient = match &field.encoding {
            Some(encoding) if encoding.gives_values() => {
                n_chunks.div_ceil(Self::most_gradients(device, encoding.n_gradients()))
            }
            _ => 1,
        };
        FitSize { n_chunks, samples, chunks_of_gradient }
    }

    /// Returns the chunks for evaluating a trained field: one per worker.
    pub fn for_prediction(device: &Device, field: &Field) -> Self {
        FitSize { n_chunks: device.n_workers(), samples: Self::most_samples(device, field), chunks_of_gradient: 1 }
    }

    fn most_samples(device: &Device, field: &Field) -> usize {
        match (device.is_host(), field.encoding_gives_values()) {
            (true, false) => Self::HOST_SAMPLES,
            (true, true) => Self::HOST_SAMPLES_OF_VALUES,
            (false, false) => Self::DEVICE_SAMPLES,
            (false, true) => Self::DEVICE_SAMPLES_OF_VALUES,
        }
    }

    /// Returns how many copies of an encoding's `n` gradients are kept. On a GPU, all chunks accumulate into a single
    /// one.
    fn most_gradients(device: &Device, n: usize) -> usize {
        if device.is_host() { (Self::MOST_GRADIENTS / n).clamp(Self::FEWEST_GRADIENTS, Self::MOST_PARTS) } else { 1 }
    }

    /// Returns the number of copies of the gradients.
    pub fn n_gradients(self) -> usize {
        self.n_chunks.div_ceil(self.chunks_of_gradient)
    }
}

/// A chunk for training or for prediction; in prediction, the buffers of the backward pass are empty.
pub struct FitChunk {
    /// Positions of the samples, `[S, D]` in [0, 1].
    pub position: Buffer<f32>,
    /// Target values, `[S, n_outputs]`.
    pub target: Buffer<f32>,
    /// Values of the field, `[S, n_outputs]`.
    pub output: Buffer<f32>,
    /// Gradient of the loss with respect to `output`, `[S, n_outputs]`.
    pub dl_doutput: Buffer<f32>,
    /// Loss of each sample, `[S]`.
    pub loss: Buffer<f32>,
    /// Squared error of each sample, the mean over its outputs, `[S]`.
    pub squared_error: Buffer<f32>,
    /// Gradient with respect to the features, `[L, S, F]`, or `[S, F]` if levels are averaged.
    pub dl_dfeatures: Buffer<f32>,
    /// Scatter weights, which the encoding's backward pass leaves for the scatter.
    pub scatter_weights: Buffer<f32>,
    /// Statistics since the last read: loss and squared error.
    pub sums: Buffer<f32>,
    /// Numbers of samples as the kernels read them, `[3]`: 0, all samples, and samples with a target.
    pub count: Buffer<u32>,
    /// Number of samples in use.
    pub n: usize,
    /// Number of samples with a target; corners of stencils ([`Eikonal`](super::Eikonal)) follow them.
    pub n_with_target: usize,
    /// Step for which the samples were drawn, and the batch of that step.
    pub drawn: Option<(u64, usize)>,
    capacity: usize,
}

impl FitChunk {
    /// Allocates a chunk for `samples` samples, with activations and gradients if it is for `training`.
    pub fn new(device: &Device, samples: usize, head: Head, field: &Field, training: bool) -> Result<Self> {
        let Head::Values { dimensions, n_outputs } = head else { unreachable!("fitted fields have values") };
        let (positions, values) = (samples * dimensions as usize, samples * n_outputs as usize);
        let back = |n: usize| device.zeros(if training { n } else { 0 });
        let n_scatter_weights = field.encoding.as_ref().map_or(0, |encoding| encoding.n_scatter_weights());
        Ok(FitChunk {
            position: device.zeros(positions)?,
            target: back(values)?,
            output: device.zeros(values)?,
            dl_doutput: back(values)?,
            loss: back(samples)?,
            squared_error: back(samples)?,
            dl_dfeatures: back(samples * field.grid.n_features() as usize)?,
            scatter_weights: back(samples * n_scatter_weights)?,
            sums: device.zeros(2)?,
            count: device.zeros(3)?,
            n: 0,
            n_with_target: 0,
            drawn: None,
            capacity: samples,
        })
    }

    /// Sets the number of samples to `n`; in training, all of them have targets.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn set_len(&mut self, n: usize) -> Result<()> {
        self.set_lens(n, n)
    }

    /// Sets the number of samples to `n`, of which the first `n_with_target` have targets.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn set_lens(&mut self, n: usize, n_with_target: usize) -> Result<()> {
        assert!(n_with_target <= n && n <= self.capacity, "more samples than a chunk has room for");
        if (n, n_with_target) != (self.n, self.n_with_target) {
            (self.n, self.n_with_target) = (n, n_with_target);
            self.count.upload(1, &[n as u32, n_with_target as u32])?;
        }
        Ok(())
    }

    /// Returns `S`, the maximum number of samples.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the samples as kernels see them: one round, of which only positions and count are used.
    pub fn samples(&self) -> SampleBatch<'_> {
        SampleBatch {
            position: self.position.ptr(),
            t: Ptr::NULL,
            dt: Ptr::NULL,
            ray: Ptr::NULL,
            density: Ptr::NULL,
            color: Ptr::NULL,
            dl_ddensity: Ptr::NULL,
            dl_dcolor: Ptr::NULL,
            count: self.count.ptr(),
            capacity: self.capacity as u32,
        }
    }
}
