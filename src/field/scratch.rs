//! Scratch buffers for the chunks that a device processes at a time.

use super::Field;
use crate::Result;
use crate::device::args::{Compute, TILE};
use crate::device::{ComputeBuffer, Device, Ptr};

/// Scratch buffers of a worker thread, reused for one chunk after another.
pub struct WorkerScratch {
    /// Inputs of all network layers for every sample of a chunk, kept from the forward to the backward pass; None when
    /// only rendering.
    activations: Option<ComputeBuffer>,
    /// `[S, n_in]`: the grid's features, if they are computed before the decoder's kernel.
    features: Option<ComputeBuffer>,
    /// `[S, n_saved_activations]`, S rounded up to whole tiles: what an encoding saves for its backward pass. None when
    /// only rendering, unless the encoding outputs the values and uses the buffer as working memory.
    saved_activations: Option<ComputeBuffer>,
}

impl WorkerScratch {
    /// Allocates the buffers of all workers of a device, for chunks of `samples` samples; with `training`, also those
    /// for the backward pass.
    pub fn all(device: &Device, samples: usize, field: &Field, training: bool) -> Result<Vec<Self>> {
        let decoder = &field.decoder;
        let n_saved_activations = field.encoding.as_ref().map_or(0, |encoding| encoding.n_saved_activations());
        let room =
            |wanted: bool, columns: usize| wanted.then(|| ComputeBuffer::zeros(device, samples * columns)).transpose();
        let has_saved_activations = n_saved_activations > 0 && (training || field.encoding_gives_values());
        let n_numbers = samples.next_multiple_of(TILE) * n_saved_activations;
        let saved_activations = || has_saved_activations.then(|| ComputeBuffer::zeros(device, n_numbers)).transpose();
        let scratch = || -> Result<Self> {
            Ok(WorkerScratch {
                activations: room(training, decoder.n_activations())?,
                features: room(field.encodes_first(device), decoder.n_in() as usize)?,
                saved_activations: saved_activations()?,
            })
        };
        (0..device.n_workers()).map(|_| scratch()).collect()
    }

    pub fn activations(&self) -> Ptr<'_, Compute> {
        self.activations.as_ref().map_or(Ptr::NULL, ComputeBuffer::ptr)
    }

    pub fn features(&self) -> Ptr<'_, Compute> {
        self.features.as_ref().map_or(Ptr::NULL, ComputeBuffer::ptr)
    }

    pub fn saved_activations(&self) -> Ptr<'_, Compute> {
        self.saved_activations.as_ref().map_or(Ptr::NULL, ComputeBuffer::ptr)
    }
}
