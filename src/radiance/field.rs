//! The parameters of a radiance field on a device, and the copies that kernels compute with.

use crate::Result;
use crate::config::ModelConfig;
use crate::decoder::Decoder;
use crate::device::args::{Compute, PrepareWeightsArgs, UniformArgs};
use crate::device::{Buffer, ComputeBuffer, Device, Grid as Items, Ptr, kernels};
use crate::grid::Grid;

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
            grid,
            decoder,
        })
    }

    /// Features near zero, weights by Glorot and Bengio (2010): uniform in ±√(6 / (n_in + n_out)).
    pub fn random(device: &Device, config: &ModelConfig, seed: u64) -> Result<Self> {
        let field = Field::zeros(device, config)?;
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
        self.table.len() + self.weights.len()
    }

    /// Brings the copies of features and weights up to date after the values were set from outside.
    pub fn refresh_copies(&mut self, device: &Device) -> Result<()> {
        if let Some(copy) = &mut self.table_copy {
            copy.set(&self.table)?;
        }
        self.prepare_weights(device)
    }

    /// Brings the copy of the weights up to date.
    pub fn prepare_weights(&self, device: &Device) -> Result<()> {
        let args = PrepareWeightsArgs {
            network: self.decoder.layout(),
            weights: self.weights.ptr(),
            compute: self.weights_copy.ptr(),
        };
        device.launch(&kernels::PREPARE_WEIGHTS, &args, Items::items(self.weights.len()))
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
