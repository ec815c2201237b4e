//! A field on a device: the parameters of a grid and the networks behind it, the copies that kernels compute with, and what
//! training and checkpoints do with them. What the numbers that come out mean is the tasks' business.

mod lane;
mod learner;
mod neurons;
mod spread;
mod tensors;

use std::any::Any;

use crate::Result;
use crate::config::ModelConfig;
use crate::decoder::{Decoder, Head};
use crate::device::args::{Compute, PrepareWeightsArgs, UniformArgs};
use crate::device::{Buffer, ComputeBuffer, Device, Grid as Items, Ptr, kernels};
use crate::grid::{self, Encode, Grid, Member, Site, Source};

pub use lane::Lane;
pub use learner::{ChunkGradients, Learner};
pub(crate) use spread::spread;
pub(crate) use tensors::{fill, layer_name, optimizer_tensors, restore_optimizer};

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
    /// What a member of the family with an encoding of its own needs beside the table.
    pub member: Option<Box<dyn Member>>,
}

impl Field {
    /// All parameters zero.
    pub fn zeros(device: &Device, config: &ModelConfig, head: Head) -> Result<Self> {
        Field::open(device, config, head, &Source::Blank)
    }

    /// Features and weights zero, and the member's own from `source`.
    fn open(device: &Device, config: &ModelConfig, head: Head, source: &Source) -> Result<Self> {
        let (grid, member) = grid::open(device, &config.grid, head, source)?;
        let decoder = match &member {
            Some(member) if member.gives_values() => Decoder::none(),
            _ => Decoder::new(config, head, grid.n_features()),
        };
        Field::with(device, grid, decoder, member)
    }

    fn with(device: &Device, grid: Grid, decoder: Decoder, member: Option<Box<dyn Member>>) -> Result<Self> {
        Ok(Field {
            table: device.zeros(grid.n_parameters())?,
            weights: device.zeros(decoder.n_weights())?,
            table_copy: copy_of_table(device, &grid)?,
            // On the host: the weights and their transposes.
            weights_copy: ComputeBuffer::zeros(device, 2 * decoder.n_weights())?,
            member,
            grid,
            decoder,
        })
    }

    /// A field of the same shape and nodes, with parameters of its own.
    fn twin(&self, device: &Device) -> Result<Self> {
        let member = self.member.as_ref().map(|member| member.twin(device)).transpose()?;
        Field::with(device, self.grid.clone(), self.decoder.clone(), member)
    }

    /// Features near zero, weights by Glorot and Bengio (2010): uniform in ±√(6 / (n_in + n_out)).
    pub fn random(device: &Device, config: &ModelConfig, head: Head, site: &Site) -> Result<Self> {
        let mut field = Field::open(device, config, head, &Source::New(site))?;
        let seed = site.seed as u32;
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
        field.refresh_copies(device)?;
        Ok(field)
    }

    /// Takes the resolution of another configuration of the same dense grid: the features are those that the field has had at
    /// the new nodes.
    fn resample(&mut self, device: &Device, config: &ModelConfig) -> Result<()> {
        let grid = Grid::new(&config.grid, self.grid.dimensions);
        self.table = grid::resample(device, &self.grid, &grid, &self.table)?;
        self.table_copy = copy_of_table(device, &grid)?;
        self.grid = grid;
        self.refresh_copies(device)
    }

    /// Whether the grid's member gives the values by itself, so that no decoder stands behind it.
    pub fn member_gives_values(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.gives_values())
    }

    pub fn n_parameters(&self) -> usize {
        self.table.len() + self.weights.len() + self.member_parameters().map_or(0, Buffer::len)
    }

    /// Learned numbers of the member beside the table.
    pub fn member_parameters(&self) -> Option<&Buffer<f32>> {
        self.member.as_ref()?.parameters()
    }

    /// The member, where it is an `M`.
    pub fn member_as<M: Member>(&self) -> Option<&M> {
        let member: &dyn Any = self.member.as_deref()?;
        member.downcast_ref()
    }

    pub fn member_as_mut<M: Member>(&mut self) -> Option<&mut M> {
        let member: &mut dyn Any = self.member.as_deref_mut()?;
        member.downcast_mut()
    }

    /// Brings the copies of features and weights up to date after the values were set from outside.
    pub fn refresh_copies(&mut self, device: &Device) -> Result<()> {
        if let Some(copy) = &mut self.table_copy {
            copy.set(&self.table)?;
        }
        self.prepare(device)
    }

    /// Brings what kernels multiply by up to date with the weights and the member's parameters.
    pub fn prepare(&self, device: &Device) -> Result<()> {
        let args = PrepareWeightsArgs {
            network: self.decoder.layout(),
            weights: self.weights.ptr(),
            compute: self.weights_copy.ptr(),
        };
        device.launch(&kernels::PREPARE_WEIGHTS, &args, Items::items(self.weights.len()))?;
        self.member.as_ref().map_or(Ok(()), |member| member.prepare(device, &self.grid))
    }

    /// Whether kernels of their own make the features, before the decoder's: those of a member, or on a GPU one for each
    /// level, whose table then stays in the cache. A host makes them in the decoder's kernel, tile by tile.
    pub fn encodes_first(&self, device: &Device) -> bool {
        self.member.is_some() || (!device.is_host() && !self.grid.is_averaged())
    }

    /// The features of a round's samples, at most `most`, where they are made before the decoder's kernel.
    ///
    /// # Errors
    /// Of the device.
    pub fn encode(&self, device: &Device, work: &Encode, most: usize) -> Result<()> {
        match &self.member {
            Some(member) => member.encode(device, work, most),
            None if self.encodes_first(device) => grid::encode_levels(device, work, 0, most),
            None => Ok(()),
        }
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

fn copy_of_table(device: &Device, grid: &Grid) -> Result<Option<ComputeBuffer>> {
    device.computes_in_fp16().then(|| ComputeBuffer::zeros(device, grid.n_parameters())).transpose()
}
