//! Counts the active neurons in a field's hidden layers.

use super::{Field, WorkerScratch};
use crate::Result;
use crate::decoder::LayerNeurons;
use crate::device::args::ActiveArgs;
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};

impl Field {
    /// Counts for each neuron, layer by layer, the samples that activate it, among those whose activations are in
    /// `scratch`. `weight`, `[S]`, is each sample's weight in its pixel: only samples above `least_weight` count. If it
    /// is null, all do.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(crate) fn count_active(
        &self,
        device: &Device,
        scratch: &WorkerScratch,
        weight: Ptr<'_, f32>,
        least_weight: f32,
        count: Ptr<'_, u32>,
        capacity: usize,
    ) -> Result<Vec<u32>> {
        let active: Buffer<u32> = device.zeros(self.decoder.hidden_layers().map(|(_, n)| n as usize).sum())?;
        let args = ActiveArgs {
            network: self.decoder.layout(),
            activations: scratch.activations(),
            weight,
            count,
            active: active.ptr(),
            capacity: capacity as u32,
            least_weight,
        };
        device.launch_chunk(&kernels::COUNT_ACTIVE, &args, LaunchDims::items(active.len()))?;
        active.download()
    }

    /// Summarizes the counts of [`Field::count_active`] over several chunks by layer.
    pub(crate) fn neurons<'c>(&self, counted: impl Iterator<Item = &'c Vec<u32>>) -> Vec<LayerNeurons> {
        let mut active = vec![0; self.decoder.hidden_layers().map(|(_, n)| n as usize).sum()];
        counted.for_each(|own| active.iter_mut().zip(own).for_each(|(sum, n): (&mut u64, _)| *sum += u64::from(*n)));
        let mut rest = active.as_slice();
        let of_layer = |(layer, of): (String, u32)| {
            let own;
            (own, rest) = rest.split_at(of as usize);
            LayerNeurons { layer, alive: own.iter().filter(|&&n| n > 0).count() as u32, of }
        };
        self.decoder.hidden_layers().map(of_layer).collect()
    }
}
