//! The parameters θ of the multiplicative Fourier adaptive kernel on a device: encoding, backward pass and checkpoints.

use super::interface::{Backward, Encode, Encoding, Init, encode_levels};
use super::mulfa::tensor_name;
use super::{Grid, Mulfa, ParamBlock};
use crate::Result;
use crate::checkpoint::Tensor;
use crate::config::GridConfig;
use crate::decoder::Head;
use crate::device::args::{MulfaArgs, PrepareMulfaArgs};
use crate::device::{Buffer, ComputeBuffer, Device, LaunchDims, Ptr, kernels};

/// θ of a grid on a device.
pub struct Theta {
    mulfa: Mulfa,
    /// Parameters θ, `[n_thetas, n_theta]`.
    pub theta: Buffer<f32>,
    /// Numbers prepared from θ that the kernels multiply by; on the CPU also their transposes.
    prepared: ComputeBuffer,
}

/// [`super::registry::Constructor`] for grids with the kernel `mulfa`.
pub fn open(device: &Device, config: &GridConfig, head: Head, init: &Init) -> Result<Option<Box<dyn Encoding>>> {
    let Some(mulfa) = Mulfa::new(config, head.dimensions()) else { return Ok(None) };
    let mut theta = Theta::zeros(device, mulfa)?;
    match init {
        Init::Blank => {}
        Init::New(context) => theta.theta = theta.mulfa.initial(device, context.seed)?,
        Init::Saved(checkpoint) => theta.theta.upload(0, &theta.mulfa.theta_of(checkpoint)?)?,
    }
    Ok(Some(Box::new(theta)))
}

impl Theta {
    fn zeros(device: &Device, mulfa: Mulfa) -> Result<Self> {
        Ok(Theta {
            theta: device.zeros(mulfa.n_parameters())?,
            prepared: ComputeBuffer::zeros(device, 2 * mulfa.n_prepared().0)?,
            mulfa,
        })
    }

    /// Returns the numbers that the kernels compute with, for tests.
    #[cfg(feature = "testing")]
    pub fn prepared_ptr(&self) -> Ptr<'_, crate::device::args::Compute> {
        self.prepared.ptr()
    }

    fn prepare_args(&self, grid: &Grid) -> PrepareMulfaArgs<'_> {
        PrepareMulfaArgs {
            grid: grid.layout(),
            theta: self.theta.ptr(),
            prepared: self.prepared.ptr(),
            dl_dprepared: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
        }
    }

    fn args<'a>(&'a self, work: &Encode<'a>) -> MulfaArgs<'a> {
        MulfaArgs {
            grid: work.grid,
            samples: work.samples,
            table: work.table,
            prepared: self.prepared.ptr(),
            theta: self.theta.ptr(),
            features: work.features,
            query: work.saved_activations,
            dl_dfeatures: Ptr::NULL,
            phi: Ptr::NULL,
            dl_dprepared: Ptr::NULL,
            n_in: work.n_in,
            round: work.round,
        }
    }
}

impl Encoding for Theta {
    fn parameters(&self) -> Option<&Buffer<f32>> {
        Some(&self.theta)
    }

    fn parameters_mut(&mut self) -> Option<&mut Buffer<f32>> {
        Some(&mut self.theta)
    }

    /// The gradients are those with respect to the prepared numbers.
    fn n_gradients(&self) -> usize {
        self.mulfa.n_prepared().1
    }

    /// The saved activations are q: `[L, H]`.
    fn n_saved_activations(&self) -> usize {
        self.mulfa.n_saved_activations()
    }

    /// The scatter weights are φ of the levels with this kernel: `[n_levels, 2^D · K]`.
    fn n_scatter_weights(&self) -> usize {
        (self.mulfa.n_levels * self.mulfa.n_outputs as usize) << self.mulfa.dimensions
    }

    fn prepare(&self, device: &Device, grid: &Grid) -> Result<()> {
        device.launch(&kernels::PREPARE_MULFA, &self.prepare_args(grid), LaunchDims::items(self.mulfa.n_prepared().0))
    }

    fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()> {
        device.launch_chunk(self.mulfa.kernels().0, &self.args(work), LaunchDims::tiles(most))?;
        encode_levels(device, work, self.mulfa.n_levels as u32, most)
    }

    fn backward(&self, device: &Device, work: &Encode, gradients: &Backward, most: usize) -> Result<()> {
        let args = MulfaArgs {
            dl_dfeatures: gradients.dl_dfeatures,
            phi: gradients.scatter_weights,
            dl_dprepared: gradients.dl_dparameters,
            ..self.args(work)
        };
        device.launch_chunk(self.mulfa.kernels().1, &args, LaunchDims::tiles(most))
    }

    fn gradient(
        &self,
        device: &Device,
        grid: &Grid,
        dl_dprepared: Ptr<'_, f32>,
        dl_dtheta: Ptr<'_, f32>,
    ) -> Result<()> {
        let args = PrepareMulfaArgs { dl_dprepared, dl_dtheta, ..self.prepare_args(grid) };
        device.launch(&kernels::MULFA_GRADIENT, &args, LaunchDims::items(self.theta.len()))
    }

    fn new_like(&self, device: &Device) -> Result<Box<dyn Encoding>> {
        Ok(Box::new(Theta::zeros(device, self.mulfa.clone())?))
    }

    /// Returns one tensor for each block, which holds that block of every θ.
    fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let theta = self.theta.download()?;
        let of_block = |block: &ParamBlock| {
            let numbers = theta.chunks(self.mulfa.n_theta()).flat_map(|one| &one[block.range()]);
            Tensor::new(tensor_name(block), &self.mulfa.shape_of_all(block), numbers.copied().collect::<Vec<f32>>())
        };
        Ok(self.mulfa.blocks().iter().map(of_block).collect())
    }
}
