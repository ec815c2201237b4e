//! Scratch of the chunks of samples that a device works on at a time.

use super::Field;
use crate::Result;
use crate::device::args::{Compute, TILE};
use crate::device::{ComputeBuffer, Device, Ptr};

/// What a lane works in, chunk after chunk.
pub struct Lane {
    /// Inputs of all network layers for every sample of a chunk, from forward to backward; none for rendering.
    activations: Option<ComputeBuffer>,
    /// `[S, n_in]`: the grid's features, where a kernel of their own makes them.
    features: Option<ComputeBuffer>,
    /// `[S, n_query]` by whole tiles: what a member keeps from its encoding to its way back; none for rendering, unless it
    /// gives the values and works in it.
    query: Option<ComputeBuffer>,
}

impl Lane {
    /// All lanes of a device, for chunks of `samples` samples. `training`: with room for what the way back needs.
    pub fn all(device: &Device, samples: usize, field: &Field, training: bool) -> Result<Vec<Self>> {
        let decoder = &field.decoder;
        let n_query = field.member.as_ref().map_or(0, |member| member.n_query());
        let room =
            |wanted: bool, columns: usize| wanted.then(|| ComputeBuffer::zeros(device, samples * columns)).transpose();
        let has_query = n_query > 0 && (training || field.member_gives_values());
        let n_numbers = samples.next_multiple_of(TILE) * n_query;
        let query = || has_query.then(|| ComputeBuffer::zeros(device, n_numbers)).transpose();
        let lane = || -> Result<Self> {
            Ok(Lane {
                activations: room(training, decoder.n_activations())?,
                features: room(field.encodes_first(device), decoder.n_in() as usize)?,
                query: query()?,
            })
        };
        (0..device.lanes()).map(|_| lane()).collect()
    }

    pub fn activations(&self) -> Ptr<'_, Compute> {
        self.activations.as_ref().map_or(Ptr::NULL, ComputeBuffer::ptr)
    }

    pub fn features(&self) -> Ptr<'_, Compute> {
        self.features.as_ref().map_or(Ptr::NULL, ComputeBuffer::ptr)
    }

    pub fn query(&self) -> Ptr<'_, Compute> {
        self.query.as_ref().map_or(Ptr::NULL, ComputeBuffer::ptr)
    }
}
