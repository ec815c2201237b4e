//! A network of waves on a device, as a member of the family.

use super::start::Draw;
use super::{D, Row, Waves};
use crate::Result;
use crate::config::{GridConfig, OptimizerConfig};
use crate::decoder::Head;
use crate::device::args::{NetworkLayout, PrepareWavesArgs, PrepareWeightsArgs, ScatterArgs, WavesArgs};
use crate::device::{Buffer, ComputeBuffer, Device, Grid as Items, Ptr, kernels};
use crate::grid::member::{Backward, Encode, Member, Source};
use crate::grid::{Grid, Part};
use crate::train::{Checkpoint, Tensor};

/// The fixed frequencies of Fourier features, in a checkpoint.
const FREQUENCIES: &str = "waves.B";

fn tensor_name(part: &Part) -> String {
    format!("waves.{}", part.name)
}

impl Waves {
    /// θ as a checkpoint holds it.
    fn theta_of(&self, checkpoint: &Checkpoint) -> Result<Vec<f32>> {
        let mut theta = vec![0.0; self.n_parameters()];
        for part in self.parts() {
            theta[part.range()].copy_from_slice(checkpoint.get(&tensor_name(&part), &part.shape)?);
        }
        Ok(theta)
    }
}

/// A network of waves on a device.
pub struct WaveNetwork {
    pub waves: Waves,
    layout: NetworkLayout,
    n_columns: u32,
    /// θ
    pub theta: Buffer<f32>,
    /// `[n_prepared]`: see [`Waves::places`].
    places: Buffer<u32>,
    /// `[n_prepared]`: padded matrices, then the numbers of the neurons.
    prepared: Buffer<f32>,
    /// The matrices as kernels multiply by them; on the host with transposes.
    weights: ComputeBuffer,
}

/// `Opener` (`src/grid/member.rs`) of models without a grid.
pub fn open(device: &Device, config: &GridConfig, head: Head, source: &Source) -> Result<Option<Box<dyn Member>>> {
    let Some(waves) = Waves::new(config, head) else { return Ok(None) };
    let mut network = WaveNetwork::zeros(device, waves)?;
    let waves = network.waves.clone();
    match source {
        Source::Blank => {}
        Source::New(site) => {
            let draw = Draw { device, seed: site.seed };
            network.theta.upload(0, &waves.initial(&draw)?)?;
            network.set_frequencies(&waves.frequencies(&draw)?)?;
        }
        Source::Saved(checkpoint) => {
            network.theta.upload(0, &waves.theta_of(checkpoint)?)?;
            if !waves.is_filtered() {
                network.set_frequencies(checkpoint.get(FREQUENCIES, &[waves.width(), D])?)?;
            }
        }
    }
    Ok(Some(Box::new(network)))
}

impl WaveNetwork {
    fn zeros(device: &Device, waves: Waves) -> Result<Self> {
        let (n_weights, n_prepared) = waves.n_prepared();
        Ok(WaveNetwork {
            layout: waves.layout(),
            n_columns: waves.n_columns() as u32,
            theta: device.zeros(waves.n_parameters())?,
            places: device.upload(&waves.places())?,
            prepared: device.zeros(n_prepared)?,
            weights: ComputeBuffer::zeros(device, 2 * n_weights)?,
            waves,
        })
    }

    /// Sets `B [H, 2]`, in the place of ω of the first layer.
    pub fn set_frequencies(&mut self, frequencies: &[f32]) -> Result<()> {
        for axis in 0..D {
            let own: Vec<f32> = frequencies.iter().skip(axis).step_by(D).copied().collect();
            self.prepared.upload(self.waves.number(0, Row::Omega as usize + axis, 0), &own)?;
        }
        Ok(())
    }

    /// `B [H, 2]`; empty of filter networks.
    pub fn frequencies(&self) -> Result<Vec<f32>> {
        if self.waves.is_filtered() {
            return Ok(Vec::new());
        }
        let width = self.waves.width();
        let mut axes = [vec![0.0; width], vec![0.0; width]];
        for (axis, own) in axes.iter_mut().enumerate() {
            self.prepared.download_into(self.waves.number(0, Row::Omega as usize + axis, 0), own)?;
        }
        Ok((0..D * width).map(|i| axes[i % D][i / D]).collect())
    }

    /// `[n_prepared]`: padded matrices, then the numbers of the neurons.
    pub fn prepared(&self) -> &Buffer<f32> {
        &self.prepared
    }

    fn prepare_args(&self) -> PrepareWavesArgs<'_> {
        PrepareWavesArgs {
            theta: self.theta.ptr(),
            place: self.places.ptr(),
            prepared: self.prepared.ptr(),
            dl_dprepared: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
        }
    }

    fn args<'a>(&'a self, work: &Encode<'a>) -> WavesArgs<'a> {
        WavesArgs {
            network: self.layout,
            samples: work.samples,
            weights: self.weights.ptr(),
            neurons: self.prepared.ptr_at(self.layout.n_weights as usize),
            activations: work.query,
            output: work.values,
            dl_doutput: Ptr::NULL,
            dl_dprepared: Ptr::NULL,
            kind: self.waves.config.kind as u32,
            n_neurons: self.waves.padded() as u32,
            n_columns: self.n_columns,
            n_outputs: self.waves.n_outputs,
        }
    }
}

impl Member for WaveNetwork {
    fn gives_values(&self) -> bool {
        true
    }

    fn parameters(&self) -> Option<&Buffer<f32>> {
        Some(&self.theta)
    }

    fn parameters_mut(&mut self) -> Option<&mut Buffer<f32>> {
        Some(&mut self.theta)
    }

    fn learning_rate(&self, optimizer: &OptimizerConfig) -> f64 {
        optimizer.waves_learning_rate
    }

    /// Those of what is prepared.
    fn n_gradients(&self) -> usize {
        self.prepared.len()
    }

    fn n_query(&self) -> usize {
        self.n_columns as usize
    }

    fn n_kept(&self) -> usize {
        0
    }

    fn prepare(&self, device: &Device, _: &Grid) -> Result<()> {
        device.launch(&kernels::PREPARE_WAVES, &self.prepare_args(), Items::items(self.places.len()))?;
        let (weights, compute) = (self.prepared.ptr(), self.weights.ptr());
        let args = PrepareWeightsArgs { network: self.layout, weights, compute };
        device.launch(&kernels::PREPARE_WEIGHTS, &args, Items::items(self.layout.n_weights as usize))
    }

    fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()> {
        device.launch_chunk(&kernels::WAVES_FORWARD, &self.args(work), Items::tiles(most))
    }

    fn backward(&self, device: &Device, work: &Encode, gradients: &Backward, most: usize) -> Result<()> {
        let args =
            WavesArgs { dl_doutput: gradients.dl_dvalues, dl_dprepared: gradients.dl_dparameters, ..self.args(work) };
        device.launch_chunk(&kernels::WAVES_BACKWARD, &args, Items::tiles(most))
    }

    /// There is no table.
    fn scatter(&self, _: &Device, _: &[(ScatterArgs, Items)], _: usize) -> Result<()> {
        Ok(())
    }

    fn gradient(&self, device: &Device, _: &Grid, sum: Ptr<'_, f32>, dl_dtheta: Ptr<'_, f32>) -> Result<()> {
        let args = PrepareWavesArgs { dl_dprepared: sum, dl_dtheta, ..self.prepare_args() };
        device.launch(&kernels::WAVES_GRADIENT, &args, Items::items(self.places.len()))
    }

    fn twin(&self, device: &Device) -> Result<Box<dyn Member>> {
        let mut twin = WaveNetwork::zeros(device, self.waves.clone())?;
        twin.set_frequencies(&self.frequencies()?)?;
        Ok(Box::new(twin))
    }

    /// A tensor for each part of θ, and B.
    fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let theta = self.theta.download()?;
        let of_part = |part: &Part| Tensor::new(tensor_name(part), &part.shape, theta[part.range()].to_vec());
        let mut tensors: Vec<Tensor> = self.waves.parts().iter().map(of_part).collect();
        if !self.waves.is_filtered() {
            tensors.push(Tensor::new(FREQUENCIES, &[self.waves.width(), D], self.frequencies()?));
        }
        Ok(tensors)
    }
}
