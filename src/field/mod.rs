//! A field on a device: the parameters of a grid and its networks, the copies that kernels compute with, and their use
//! in training and checkpoints. What the outputs mean is up to the tasks.

mod neurons;
mod optimizer;
mod quasirandom;
mod scratch;
mod tensors;

use std::any::Any;

use crate::Result;
use crate::config::ModelConfig;
use crate::decoder::{Decoder, Head};
use crate::device::args::{Compute, PrepareWeightsArgs, UniformArgs};
use crate::device::{Buffer, ComputeBuffer, Device, LaunchDims, Ptr, kernels};
use crate::encoding::{self, Encode, Encoding, Grid, Init, InitContext};
use crate::ranks::Digest;

pub use optimizer::{ChunkGradients, FieldOptimizer};
pub(crate) use quasirandom::quasirandom;
pub use scratch::WorkerScratch;
pub(crate) use tensors::{fill, layer_name, optimizer_tensors, restore_optimizer};

/// Features are initialized uniformly in ±1e-4, as in Instant-NGP (section 4).
const FEATURE_RANGE: f32 = 1e-4;

/// Grid features and network weights.
pub struct Field {
    pub grid: Grid,
    pub decoder: Decoder,
    /// Features, `[n_entries, n_features_per_level]`.
    pub table: Buffer<f32>,
    /// Weights of all layers, each `[n_out, n_in]`, concatenated.
    pub weights: Buffer<f32>,
    /// fp16 copy of the features; None if kernels compute in fp32.
    pub table_copy: Option<ComputeBuffer>,
    weights_copy: ComputeBuffer,
    /// The grid's encoding, if it has its own kernels.
    pub encoding: Option<Box<dyn Encoding>>,
}

impl Field {
    /// Creates a field with all parameters zero.
    pub fn zeros(device: &Device, config: &ModelConfig, head: Head) -> Result<Self> {
        Field::open(device, config, head, &Init::Blank)
    }

    /// Creates a field with features and weights zero; the encoding's own parameters come from `init`.
    fn open(device: &Device, config: &ModelConfig, head: Head, init: &Init) -> Result<Self> {
        let (grid, encoding) = encoding::open(device, &config.grid, head, init)?;
        let decoder = match &encoding {
            Some(encoding) if encoding.gives_values() => Decoder::none(),
            _ => Decoder::new(config, head, grid.n_features()),
        };
        Field::with(device, grid, decoder, encoding)
    }

    fn with(device: &Device, grid: Grid, decoder: Decoder, encoding: Option<Box<dyn Encoding>>) -> Result<Self> {
        Ok(Field {
            table: device.zeros(grid.n_parameters())?,
            weights: device.zeros(decoder.n_weights())?,
            table_copy: copy_of_table(device, &grid)?,
            // On the CPU, this holds the weights and their transposes.
            weights_copy: ComputeBuffer::zeros(device, 2 * decoder.n_weights())?,
            encoding,
            grid,
            decoder,
        })
    }

    /// Creates a field of the same shape and nodes, with parameters of its own.
    fn new_like(&self, device: &Device) -> Result<Self> {
        let encoding = self.encoding.as_ref().map(|encoding| encoding.new_like(device)).transpose()?;
        Field::with(device, self.grid.clone(), self.decoder.clone(), encoding)
    }

    /// Creates a randomly initialized field: features near zero, weights as in Glorot and Bengio (2010): uniform in
    /// ±√(6 / (n_in + n_out)).
    pub fn random(device: &Device, config: &ModelConfig, head: Head, context: &InitContext) -> Result<Self> {
        let mut field = Field::open(device, config, head, &Init::New(context))?;
        let seed = context.seed as u32;
        let args = UniformArgs { value: field.table.ptr(), seed, stream: 0, range: FEATURE_RANGE };
        device.launch(&kernels::UNIFORM_PARAMETERS, &args, LaunchDims::items(field.table.len()))?;
        let mut first = 0;
        for (number, layer) in field.decoder.layers.iter().enumerate() {
            let range = (6.0 / f64::from(layer.n_in + layer.n_out)).sqrt() as f32;
            let value = field.weights.ptr_at(first);
            let args = UniformArgs { value, seed, stream: 1 + number as u32, range };
            device.launch(&kernels::UNIFORM_PARAMETERS, &args, LaunchDims::items(layer.n_weights()))?;
            first += layer.n_weights();
        }
        field.refresh_copies(device)?;
        Ok(field)
    }

    /// Changes the resolution of a dense grid to that of `config`. The new features are the old ones interpolated at
    /// the new nodes.
    fn resample(&mut self, device: &Device, config: &ModelConfig) -> Result<()> {
        let grid = Grid::new(&config.grid, self.grid.dimensions);
        self.table = encoding::resample(device, &self.grid, &grid, &self.table)?;
        self.table_copy = copy_of_table(device, &grid)?;
        self.grid = grid;
        self.refresh_copies(device)
    }

    /// Returns whether the grid's encoding outputs the values itself, without a decoder.
    pub fn encoding_gives_values(&self) -> bool {
        self.encoding.as_ref().is_some_and(|encoding| encoding.gives_values())
    }

    pub fn n_parameters(&self) -> usize {
        self.table.len() + self.weights.len() + self.encoding.as_ref().map_or(0, |encoding| encoding.n_parameters())
    }

    /// Adds all learned parameters to a hash.
    pub(crate) fn add_to(&self, digest: &mut Digest) -> Result<()> {
        digest.add(&self.table.download()?);
        digest.add(&self.weights.download()?);
        self.encoding_parameters().map_or(Ok(()), |parameters| {
            digest.add(&parameters.download()?);
            Ok(())
        })
    }

    /// Returns the learned parameters of the encoding besides the table.
    pub fn encoding_parameters(&self) -> Option<&Buffer<f32>> {
        self.encoding.as_ref()?.parameters()
    }

    /// Returns the encoding if it is an `M`.
    pub fn encoding_as<M: Encoding>(&self) -> Option<&M> {
        let encoding: &dyn Any = self.encoding.as_deref()?;
        encoding.downcast_ref()
    }

    pub fn encoding_as_mut<M: Encoding>(&mut self) -> Option<&mut M> {
        let encoding: &mut dyn Any = self.encoding.as_deref_mut()?;
        encoding.downcast_mut()
    }

    /// Updates the compute copies of features and weights after the values were set from outside.
    pub fn refresh_copies(&mut self, device: &Device) -> Result<()> {
        if let Some(copy) = &mut self.table_copy {
            copy.set(&self.table)?;
        }
        self.prepare(device)
    }

    /// Updates what kernels compute with from the weights and the encoding's parameters.
    pub fn prepare(&self, device: &Device) -> Result<()> {
        let args = PrepareWeightsArgs {
            network: self.decoder.layout(),
            weights: self.weights.ptr(),
            compute: self.weights_copy.ptr(),
        };
        device.launch(&kernels::PREPARE_WEIGHTS, &args, LaunchDims::items(self.weights.len()))?;
        self.encoding.as_ref().map_or(Ok(()), |encoding| encoding.prepare(device, &self.grid))
    }

    /// Returns whether separate kernels compute the features before the decoder's kernel runs: those of an encoding, or
    /// on a GPU one pass per level, so that the level's table stays in the cache. The CPU computes the features in the
    /// decoder's kernel, tile by tile.
    pub fn encodes_first(&self, device: &Device) -> bool {
        self.encoding.is_some() || (!device.is_host() && !self.grid.is_averaged())
    }

    /// Computes the features of a round's samples if this happens before the decoder's kernel; `most` is an upper bound
    /// on the number of samples.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()> {
        match &self.encoding {
            Some(encoding) => encoding.encode(device, work, most),
            None if self.encodes_first(device) => encoding::encode_levels(device, work, 0, most),
            None => Ok(()),
        }
    }

    /// Returns the features in the precision that kernels read.
    pub fn table_ptr(&self) -> Ptr<'_, Compute> {
        match &self.table_copy {
            Some(copy) => copy.ptr(),
            None => self.table.ptr().cast(),
        }
    }

    /// Returns the weights in the form that kernels read.
    pub fn weights_ptr(&self) -> Ptr<'_, Compute> {
        self.weights_copy.ptr()
    }
}

fn copy_of_table(device: &Device, grid: &Grid) -> Result<Option<ComputeBuffer>> {
    device.computes_in_fp16().then(|| ComputeBuffer::zeros(device, grid.n_parameters())).transpose()
}
