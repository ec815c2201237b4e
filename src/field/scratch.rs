//! Scratch of the chunks of samples that a device works on at a time.

use super::Field;
use crate::Result;
use crate::device::args::{Compute, TILE};
use crate::device::{ComputeBuffer, Device, Ptr};

/// What a scratch works in, chunk after chunk.
pub struct WorkerScratch {
    /// Inputs of all network layers for every sample of a chunk, from forward to backward; none for rendering.
    activations: Option<ComputeBuffer>,
    /// `[S, n_in]`: the grid's features, where a kernel of their own makes them.
    features: Option<ComputeBuffer>,
    /// `[S, n_saved_activations]` by whole tiles: what an encoding keeps from its encoding to its backward pass; none for rendering, unless it
    /// gives the values and works in it.
    saved_activations: Option<ComputeBuffer>,
}

impl WorkerScratch {
    /// All workers of a device, for chunks of `samples` samples. `training`: with room for what the backward pass needs.
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
