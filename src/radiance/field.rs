//! The parameters of a radiance field on a device, and the copies that kernels compute with.

use crate::Result;
use crate::config::ModelConfig;
use crate::decoder::Decoder;
use crate::device::args::{Compute, PrepareMulfaArgs, PrepareWeightsArgs, UniformArgs};
use crate::device::{Buffer, ComputeBuffer, Device, Grid as Items, Ptr, kernels};
use crate::grid::{Grid, Mulfa};

/// Features start uniform in ±1e-4, as in Instant-NGP (section 4).
const FEATURE_RANGE: f32 = 1e-4;

/// Grid features and network weights.
pub struct Field {
    pub grid: Grid,
    pub decoder: Decoder,
    /// Features, `[n_entries, n_features_per_level]`.
    pub table: Buffer<f32>,
    /// Weights of all layers, each `[n_out, n_in]`, one after the other.
    pub weights: Buffer<f32>,
    /// fp16 copy of the features; None where kernels compute in fp32.
    pub table_copy: Option<ComputeBuffer>,
    weights_copy: ComputeBuffer,
    /// Parameters of the kernel function, where it has some.
    pub kernel: Option<KernelParameters>,
}

/// Parameters θ of a kernel function that learns.
pub struct KernelParameters {
    /// `[n_thetas, n_theta]`
    pub theta: Buffer<f32>,
    /// What kernels multiply by, made from θ; on the host with transposes.
    prepared: ComputeBuffer,
}

impl Field {
    /// All parameters zero.
    pub fn zeros(device: &Device, config: &ModelConfig) -> Result<Self> {
        let grid = Grid::new(&config.grid, 3);
        let decoder = Decoder::new(config, grid.n_features());
        let table_copy =
            if device.computes_in_fp16() { Some(ComputeBuffer::zeros(device, grid.n_parameters())?) } else { None };
        Ok(Field {
            table: device.zeros(grid.n_parameters())?,
            weights: device.zeros(decoder.n_weights())?,
            table_copy,
            // On the host: the weights and their transposes.
            weights_copy: ComputeBuffer::zeros(device, 2 * decoder.n_weights())?,
            kernel: grid.mulfa.as_ref().map(|mulfa| KernelParameters::zeros(device, mulfa)).transpose()?,
            grid,
            decoder,
        })
    }

    /// Features near zero, weights by Glorot and Bengio (2010): uniform in ±√(6 / (n_in + n_out)).
    pub fn random(device: &Device, config: &ModelConfig, seed: u64) -> Result<Self> {
        let mut field = Field::zeros(device, config)?;
        if let (Some(kernel), Some(mulfa)) = (&mut field.kernel, &field.grid.mulfa) {
            kernel.theta = mulfa.initial(device, seed)?;
        }
        let seed = seed as u32;
        let args = UniformArgs { value: field.table.ptr(), seed, stream: 0, range: FEATURE_RANGE };
        device.launch(&kernels::UNIFORM_PARAMETERS, &args, Items::items(field.table.len()))?;
        let mut first = 0;
        for (number, layer) in field.decoder.layers.iter().enumerate() {
            let range = (6.0 / f64::from(layer.n_in + layer.n_out)).sqrt() as f32;
            let value = field.weights.ptr_at(first);
            let args = UniformArgs { value, seed, stream: 1 + number as u32, range };
            device.launch(&kernels::UNIFORM_PARAMETERS, &args, Items::items(layer.n_weights()))?;
            first += layer.n_weights();
        }
        Ok(field)
    }

    pub fn n_parameters(&self) -> usize {
        self.table.len() + self.weights.len() + self.kernel.as_ref().map_or(0, |kernel| kernel.theta.len())
    }

    /// Brings the copies of features and weights up to date after the values were set from outside.
    pub fn refresh_copies(&mut self, device: &Device) -> Result<()> {
        if let Some(copy) = &mut self.table_copy {
            copy.set(&self.table)?;
        }
        self.prepare(device)
    }

    /// Brings what kernels multiply by up to date with the weights and the kernel function's parameters.
    pub fn prepare(&self, device: &Device) -> Result<()> {
        let args = PrepareWeightsArgs {
            network: self.decoder.layout(),
            weights: self.weights.ptr(),
            compute: self.weights_copy.ptr(),
        };
        device.launch(&kernels::PREPARE_WEIGHTS, &args, Items::items(self.weights.len()))?;
        let (Some(kernel), Some(mulfa)) = (&self.kernel, &self.grid.mulfa) else { return Ok(()) };
        let args = kernel.args(&self.grid);
        device.launch(&kernels::PREPARE_MULFA, &args, Items::items(mulfa.n_prepared().0))
    }

    /// Features as kernels gather them.
    pub fn table_ptr(&self) -> Ptr<'_, Compute> {
        match &self.table_copy {
            Some(copy) => copy.ptr(),
            None => self.table.ptr().cast(),
        }
    }

    /// Weights as kernels multiply them.
    pub fn weights_ptr(&self) -> Ptr<'_, Compute> {
        self.weights_copy.ptr()
    }
}

impl KernelParameters {
    fn zeros(device: &Device, mulfa: &Mulfa) -> Result<Self> {
        Ok(KernelParameters {
            theta: device.zeros(mulfa.n_parameters())?,
            prepared: ComputeBuffer::zeros(device, 2 * mulfa.n_prepared().0)?,
        })
    }

    pub fn prepared_ptr(&self) -> Ptr<'_, Compute> {
        self.prepared.ptr()
    }

    fn args(&self, grid: &Grid) -> PrepareMulfaArgs<'_> {
        PrepareMulfaArgs {
            grid: grid.layout(),
            theta: self.theta.ptr(),
            prepared: self.prepared.ptr(),
            dl_dprepared: Ptr::NULL,
            dl_dtheta: Ptr::NULL,
        }
    }

    /// Sets `dl_dtheta` from the gradients of what was prepared.
    pub fn gradient(
        &self,
        device: &Device,
        grid: &Grid,
        dl_dprepared: Ptr<'_, f32>,
        dl_dtheta: Ptr<'_, f32>,
    ) -> Result<()> {
        let args = PrepareMulfaArgs { dl_dprepared, dl_dtheta, ..self.args(grid) };
        device.launch(&kernels::MULFA_GRADIENT, &args, Items::items(self.theta.len()))
    }
}
