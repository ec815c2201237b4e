//! Which neurons of a field's hidden layers do something where it is looked at.

use super::{Field, WorkerScratch};
use crate::Result;
use crate::decoder::LayerNeurons;
use crate::device::args::ActiveArgs;
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};

impl Field {
    /// For each neuron, layer after layer, how many of the samples whose activations the scratch holds make it active. `weight`,
    /// `[S]`, is each sample's share of a pixel, of which those above `least_weight` count; null for all.
    ///
    /// # Errors
    /// Of the device.
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

    /// The layers' neurons by what [`Field::count_active`] has counted of several chunks.
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
