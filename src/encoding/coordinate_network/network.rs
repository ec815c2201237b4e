//! A coordinate network on a device, as an [`Encoding`] of the model family.

use super::start::Draw;
use super::{CoordinateNetworkShape, D};
use crate::Result;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::config::{GridConfig, OptimizerConfig};
use crate::decoder::Head;
use crate::device::args::{
    CoordinateNetworkArgs, CoordinateNetworkRow, NetworkLayout, PrepareCoordinateNetworkArgs, PrepareWeightsArgs,
    ScatterArgs,
};
use crate::device::{Buffer, ComputeBuffer, Device, LaunchDims, Ptr, kernels};
use crate::encoding::interface::{Backward, Encode, Encoding, Init};
use crate::encoding::{Grid, ParamBlock};

/// Name of the fixed frequencies of Fourier features in a checkpoint.
const FREQUENCIES: &str = "waves.B";

fn tensor_name(block: &ParamBlock) -> String {
    format!("waves.{}", block.name)
}

impl CoordinateNetworkShape {
    /// Reads θ from a checkpoint.
    fn theta_of(&self, checkpoint: &Checkpoint) -> Result<Vec<f32>> {
        let mut theta = vec![0.0; self.n_parameters()];
        for block in self.blocks() {
            theta[block.range()].copy_from_slice(checkpoint.get(&tensor_name(&block), &block.shape)?);
        }
        Ok(theta)
    }
}

/// A coordinate network on a device.
pub struct CoordinateNetwork {
    /// Kind, size and number of outputs.
    pub shape: CoordinateNetworkShape,
    layout: NetworkLayout,
    n_columns: u32,
    /// Parameters θ, in the order of [`CoordinateNetworkShape::blocks`].
    pub theta: Buffer<f32>,
    /// `[n_prepared]`: see [`CoordinateNetworkShape::places`].
    places: Buffer<u32>,
    /// `[n_prepared]`: the padded matrices, then the per-neuron numbers.
    prepared: Buffer<f32>,
    /// The matrices as the kernels multiply by them; on the CPU also their transposes.
    weights: ComputeBuffer,
}

/// `Constructor` (`src/encoding/registry.rs`) for models without a grid.
pub fn open(device: &Device, config: &GridConfig, head: Head, init: &Init) -> Result<Option<Box<dyn Encoding>>> {
    let Some(shape) = CoordinateNetworkShape::new(config, head) else { return Ok(None) };
    let mut network = CoordinateNetwork::zeros(device, shape)?;
    let shape = network.shape.clone();
    match init {
        Init::Blank => {}
        Init::New(context) => {
            let draw = Draw { device, seed: context.seed };
            network.theta.upload(0, &shape.initial(&draw)?)?;
            network.set_frequencies(&shape.frequencies(&draw)?)?;
        }
        Init::Saved(checkpoint) => {
            network.theta.upload(0, &shape.theta_of(checkpoint)?)?;
            if !shape.is_filtered() {
                network.set_frequencies(checkpoint.get(FREQUENCIES, &[shape.width(), D])?)?;
            }
        }
    }
    Ok(Some(Box::new(network)))
}

impl CoordinateNetwork {
    fn zeros(device: &Device, shape: CoordinateNetworkShape) -> Result<Self> {
        let (n_weights, n_prepared) = shape.n_prepared();
        Ok(CoordinateNetwork {
            layout: shape.layout(),
            n_columns: shape.n_columns() as u32,
            theta: device.zeros(shape.n_parameters())?,
            places: device.upload(&shape.places())?,
            prepared: device.zeros(n_prepared)?,
            weights: ComputeBuffer::zeros(device, 2 * n_weights)?,
            shape,
        })
    }

    /// Sets `B [H, 2]`, which is stored in place of ω of the first layer.
    pub fn set_frequencies(&mut self, frequencies: &[f32]) -> Result<()> {
        for axis in 0..D {
            let own: Vec<f32> = frequencies.iter().skip(axis).step_by(D).copied().collect();
            self.prepared.upload(self.shape.number(0, CoordinateNetworkRow::Omega as usize + axis, 0), &own)?;
        }
        Ok(())
    }

    /// Returns `B [H, 2]`; empty for filter networks.
    pub fn frequencies(&self) -> Result<Vec<f32>> {
        if self.shape.is_filtered() {
            return Ok(Vec::new());
        }
        let width = self.shape.width();
        let mut axes = [vec![0.0; width], vec![0.0; width]];
        for (axis, own) in axes.iter_mut().enumerate() {
            self.prepared.download_into(self.shape.number(0, CoordinateNetworkRow::Omega as usize + axis, 0), own)?;
        }
        Ok((0..D * width).map(|i| axes[i % D][i / D]).collect())
    }

    /// Returns `[n_prepared]`: the padded matrices, then the per-neuron numbers.
    #[cfg(feature = "testing")]
    pub fn prepared(&self) -> &Buffer<f32> {
        &self.prepared
    }

    fn prepare_args(&self) -> PrepareCoordinateNetworkArgs<'_> {
        PrepareCoordinateNetworkArgs {
            theta: self.theta.ptr(),
            place: self.places.ptr(),
            prepared: self.prepared.ptr(),
            dl_dprepared: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
        }
    }

    fn args<'a>(&'a self, work: &Encode<'a>) -> CoordinateNetworkArgs<'a> {
        CoordinateNetworkArgs {
            network: self.layout,
            samples: work.samples,
            weights: self.weights.ptr(),
            neurons: self.prepared.ptr_at(self.layout.n_weights as usize),
            activations: work.saved_activations,
            output: work.values,
            dl_doutput: Ptr::NULL,
            dl_dprepared: Ptr::NULL,
            kind: self.shape.kind() as u32,
            n_neurons: self.shape.padded() as u32,
            n_columns: self.n_columns,
            n_outputs: self.shape.n_outputs,
        }
    }
}

impl Encoding for CoordinateNetwork {
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

    /// The gradients are those with respect to the prepared numbers.
    fn n_gradients(&self) -> usize {
        self.prepared.len()
    }

    fn n_saved_activations(&self) -> usize {
        self.n_columns as usize
    }

    fn n_scatter_weights(&self) -> usize {
        0
    }

    fn prepare(&self, device: &Device, _: &Grid) -> Result<()> {
        device.launch(
            &kernels::PREPARE_COORDINATE_NETWORK,
            &self.prepare_args(),
            LaunchDims::items(self.places.len()),
        )?;
        let (weights, compute) = (self.prepared.ptr(), self.weights.ptr());
        let args = PrepareWeightsArgs { network: self.layout, weights, compute };
        device.launch(&kernels::PREPARE_WEIGHTS, &args, LaunchDims::items(self.layout.n_weights as usize))
    }

    fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()> {
        device.launch_chunk(&kernels::COORDINATE_NETWORK_FORWARD, &self.args(work), LaunchDims::tiles(most))
    }

    fn backward(&self, device: &Device, work: &Encode, gradients: &Backward, most: usize) -> Result<()> {
        let args = CoordinateNetworkArgs {
            dl_doutput: gradients.dl_dvalues,
            dl_dprepared: gradients.dl_dparameters,
            ..self.args(work)
        };
        device.launch_chunk(&kernels::COORDINATE_NETWORK_BACKWARD, &args, LaunchDims::tiles(most))
    }

    /// Does nothing, since there is no table.
    fn scatter(&self, _: &Device, _: &[(ScatterArgs, LaunchDims)], _: usize) -> Result<()> {
        Ok(())
    }

    fn gradient(&self, device: &Device, _: &Grid, sum: Ptr<'_, f32>, dl_dtheta: Ptr<'_, f32>) -> Result<()> {
        let args = PrepareCoordinateNetworkArgs { dl_dprepared: sum, dl_dtheta, ..self.prepare_args() };
        device.launch(&kernels::COORDINATE_NETWORK_GRADIENT, &args, LaunchDims::items(self.places.len()))
    }

    fn new_like(&self, device: &Device) -> Result<Box<dyn Encoding>> {
        let mut new_like = CoordinateNetwork::zeros(device, self.shape.clone())?;
        new_like.set_frequencies(&self.frequencies()?)?;
        Ok(Box::new(new_like))
    }

    /// Returns one tensor for each block of θ, and `B`.
    fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let theta = self.theta.download()?;
        let of_block =
            |block: &ParamBlock| Tensor::new(tensor_name(block), &block.shape, theta[block.range()].to_vec());
        let mut tensors: Vec<Tensor> = self.shape.blocks().iter().map(of_block).collect();
        if !self.shape.is_filtered() {
            tensors.push(Tensor::new(FREQUENCIES, &[self.shape.width(), D], self.frequencies()?));
        }
        Ok(tensors)
    }
}
