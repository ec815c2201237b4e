//! Rays through the field, chunk by chunk: march a round of samples, ask the field, composite, and so on until every ray
//! has left the box or is opaque; then, in training, the gradients on the backward pass.
//!
//! Rounds begin short, so that few samples behind a surface are ever asked for, and grow, so that even a ray of 1024
//! samples is done in a dozen.

use super::chunk::Chunk;
use super::occupancy::Occupancy;
use super::space;
use crate::Result;
use crate::config::MarchConfig;
use crate::device::args::{self, CompositeArgs, FieldArgs, MAX_ROUNDS, MarchArgs, RayLosses};
use crate::device::{Device, Kernel, LaunchDims, Ptr, kernels};
use crate::encoding::{Backward, Encode};
use crate::field::{Field, WorkerScratch};
use crate::scene::{Space, UnitCube};

/// How steps grow with distance (Instant-NGP, appendix E.1).
const CONE_ANGLE: f32 = 1.0 / 256.0;
/// In a contracted space, the distance from which on steps grow with its square, as contraction shrinks along the radius:
/// four radii of the ball that is left as it is.
const FAR: f32 = 2.0;
/// Where rays through a contracted space end: a thousand radii off, all that is beyond lies within a thousandth of the
/// field's rim.
const FARTHEST: f32 = 512.0;

/// How rays march: sizes in units of the unit cube.
#[derive(Clone, Debug)]
pub struct March {
    pub steps: args::Steps,
    pub space: args::Space,
    /// Distance from the camera at which rays begin.
    pub near: f32,
    /// Corners of the box that rays are marched in.
    pub box_min: [f32; 3],
    pub box_max: [f32; 3],
    /// Samples of a ray in each round.
    rounds: Vec<u32>,
    stop_transmittance: f32,
}

impl March {
    /// Through the box of all cascades.
    pub fn new(config: &MarchConfig) -> Self {
        let size = (3.0f64.sqrt() / 1024.0 * config.step_scale) as f32;
        let side = (1u32 << (config.cascades - 1)) as f32;
        March {
            steps: args::Steps {
                size,
                // Instant-NGP, appendix E.1: steps grow with distance only in scenes larger than the unit cube.
                cone_angle: if config.cascades > 1 { CONE_ANGLE } else { 0.0 },
                largest: size * side * (1024.0 / config.occupancy_resolution as f32),
                inverse_far: 0.0,
            },
            space: args::Space::default(),
            near: config.near as f32,
            box_min: [0.5 - 0.5 * side; 3],
            box_max: [0.5 + 0.5 * side; 3],
            rounds: rounds(config.max_samples_per_ray),
            stop_transmittance: config.stop_transmittance as f32,
        }
    }

    /// Through what a map of space makes of it; `unit_cube` is the unit cube's place in the scene.
    pub fn through(self, space: &Space, unit_cube: &UnitCube) -> Self {
        let device_space = space::device_space(space, unit_cube);
        match space {
            Space::Identity => self,
            Space::Ndc(_) => March { space: device_space, near: 0.0, box_min: [0.0; 3], box_max: [1.0; 3], ..self },
            Space::Contraction => {
                let scale = self.steps.size / (3.0f32.sqrt() / 1024.0);
                let steps = args::Steps {
                    cone_angle: CONE_ANGLE * scale,
                    largest: FARTHEST,
                    inverse_far: 1.0 / FAR,
                    ..self.steps
                };
                let (box_min, box_max) = ([0.5 - FARTHEST; 3], [0.5 + FARTHEST; 3]);
                March { steps, space: device_space, box_min, box_max, ..self }
            }
        }
    }
}

/// The first rounds of a ray: a surface is mostly met within few samples, and all of a round behind it are asked for in vain.
const FIRST_ROUNDS: [u32; 2] = [8, 8];

/// Lengths of the rounds, which add up to `max_samples`; each behind the first ones is as long as all before it.
fn rounds(max_samples: u32) -> Vec<u32> {
    let mut rounds: Vec<u32> = Vec::new();
    let mut left = max_samples;
    while left > 0 {
        let next = FIRST_ROUNDS.get(rounds.len()).copied().unwrap_or(max_samples - left);
        let is_last = rounds.len() + 1 == MAX_ROUNDS;
        let length = if is_last { left } else { next.min(left) };
        rounds.push(length);
        left -= length;
    }
    rounds
}

/// The field and the space it fills, as a chunk's work needs them.
#[derive(Clone, Copy)]
pub struct VolumeRenderer<'a> {
    pub device: &'a Device,
    pub field: &'a Field,
    pub occupancy: &'a Occupancy,
    pub march: &'a March,
}

/// Where [`VolumeRenderer::backward`] leaves gradients.
#[derive(Clone, Copy)]
pub struct Gradients<'a> {
    /// As the weights, added to.
    pub dl_dweights: Ptr<'a, f32>,
    /// As the exposures, added to; null where there are none.
    pub dl_dexposure: Ptr<'a, f32>,
    /// `[S, 3]` by the viewing directions, set; null where it is not wanted.
    pub dl_dview: Ptr<'a, f32>,
    /// By the features, set; and what the grid's encoding needs.
    pub of_grid: Backward<'a>,
}

/// What rays are to come to.
#[derive(Clone, Copy)]
pub struct Loss<'a> {
    pub huber_delta: f32,
    /// Beside the colour's.
    pub beside: RayLosses,
    /// `[n_images, 6]`; null where all are alike.
    pub exposure: Ptr<'a, f32>,
}

impl VolumeRenderer<'_> {
    /// Marches and composites the chunk's rays to their ends; returns the number of rounds. A scratch for training keeps the
    /// layers' inputs for [`VolumeRenderer::backward`].
    pub fn forward(&self, chunk: &Chunk, scratch: &WorkerScratch) -> Result<usize> {
        let rays = LaunchDims::items(chunk.n_rays);
        for (round, &max_steps) in self.march.rounds.iter().enumerate() {
            self.device.launch_chunk(&kernels::MARCH_RAYS, &self.march_args(chunk, round, max_steps), rays)?;
            let count = |at| self.device.peek(&chunk.samples.count, at);
            if count(round).is_some() && count(round) == count(round + 1) {
                return Ok(round);
            }
            let most = (chunk.n_rays * max_steps as usize).min(chunk.samples.capacity);
            self.field_forward(chunk, scratch, &self.field_args(chunk, scratch, round), most)?;
            self.device.launch_chunk(&kernels::COMPOSITE_RAYS, &self.composite_args(chunk, round), rays)?;
        }
        Ok(self.march.rounds.len())
    }

    /// The field at the samples of a round, at most `most`.
    fn field_forward(&self, chunk: &Chunk, scratch: &WorkerScratch, args: &FieldArgs, most: usize) -> Result<()> {
        self.field.encode(self.device, &self.encode_args(chunk, scratch, args), most)?;
        self.device.launch_chunk(self.forward_kernel(), args, LaunchDims::tiles(most))
    }

    /// Loss and gradients of the chunk's rays after `rounds` rounds, summed over rays.
    pub fn backward(
        &self,
        chunk: &Chunk,
        scratch: &WorkerScratch,
        rounds: usize,
        loss: &Loss,
        gradients: &Gradients,
    ) -> Result<()> {
        let composite = CompositeArgs {
            huber_delta: loss.huber_delta,
            losses: loss.beside,
            exposure: loss.exposure,
            dl_dexposure: gradients.dl_dexposure,
            ..self.composite_args(chunk, rounds)
        };
        self.device.launch_chunk(&kernels::COMPOSITE_BACKWARD, &composite, LaunchDims::items(chunk.n_rays))?;
        if rounds == 0 {
            return Ok(());
        }
        let Gradients { dl_dweights, dl_dview, of_grid, .. } = gradients;
        let args = FieldArgs {
            dl_dfeatures: of_grid.dl_dfeatures,
            dl_dweights: *dl_dweights,
            dl_dview: *dl_dview,
            ..self.field_args(chunk, scratch, rounds - 1)
        };
        let most = chunk.samples.capacity;
        self.device.launch_chunk(self.backward_kernel(), &args, LaunchDims::tiles(most))?;
        let Some(encoding) = &self.field.encoding else { return Ok(()) };
        encoding.backward(self.device, &self.encode_args(chunk, scratch, &args), of_grid, most)
    }

    /// Each sample's share of its finished ray's pixel after `rounds` rounds, in the place of its gradient by density.
    pub fn sample_weights(&self, chunk: &Chunk, rounds: usize) -> Result<()> {
        let args = self.composite_args(chunk, rounds);
        self.device.launch_chunk(&kernels::SAMPLE_WEIGHTS, &args, LaunchDims::items(chunk.n_rays))
    }

    /// Densities alone, at positions that the chunk's samples hold already.
    pub fn densities(&self, chunk: &Chunk, scratch: &WorkerScratch, n: usize) -> Result<()> {
        let args = FieldArgs { density_only: 1, activations: Ptr::NULL, ..self.field_args(chunk, scratch, 0) };
        self.field_forward(chunk, scratch, &args, n)
    }

    /// Densities and colours at positions that the chunk's samples hold already, seen along its rays.
    pub fn outputs(&self, chunk: &Chunk, scratch: &WorkerScratch, n: usize) -> Result<()> {
        self.field_forward(
            chunk,
            scratch,
            &FieldArgs { activations: Ptr::NULL, ..self.field_args(chunk, scratch, 0) },
            n,
        )
    }

    /// The grid's features of all samples of the chunk after `rounds` rounds once more, where the field's kernel makes them:
    /// for measurements.
    pub fn encode_again(&self, chunk: &Chunk, scratch: &WorkerScratch, rounds: usize) -> Result<()> {
        if rounds == 0 || self.field.encodes_first(self.device) {
            return Ok(());
        }
        let args = self.field_args(chunk, scratch, rounds - 1);
        self.device.launch_chunk(&kernels::ENCODE_SAMPLES, &args, LaunchDims::tiles(chunk.samples.capacity))
    }

    fn forward_kernel(&self) -> &'static Kernel<args::FieldArgs<'static>> {
        if self.field.decoder.width() <= 64 { &kernels::FIELD_FORWARD_64 } else { &kernels::FIELD_FORWARD_128 }
    }

    fn backward_kernel(&self) -> &'static Kernel<args::FieldArgs<'static>> {
        if self.field.decoder.width() <= 64 { &kernels::FIELD_BACKWARD_64 } else { &kernels::FIELD_BACKWARD_128 }
    }

    fn march_args<'c>(&'c self, chunk: &'c Chunk, round: usize, max_steps: u32) -> MarchArgs<'c> {
        MarchArgs {
            rays: chunk.ray_args(),
            samples: chunk.samples.args(),
            occupancy: self.occupancy.bits.ptr(),
            occupied_blocks: self.occupancy.blocks.ptr(),
            resolution: self.occupancy.resolution,
            cascades: self.occupancy.cascades,
            round: round as u32,
            max_steps,
            steps: self.march.steps,
            space: self.march.space,
        }
    }

    fn field_args<'c>(&'c self, chunk: &'c Chunk, scratch: &'c WorkerScratch, round: usize) -> FieldArgs<'c> {
        FieldArgs {
            grid: self.field.grid.layout(),
            network: self.field.decoder.layout(),
            table: self.field.table_ptr(),
            weights: self.field.weights_ptr(),
            features: scratch.features(),
            samples: chunk.samples.args(),
            rays: chunk.ray_args(),
            activations: scratch.activations(),
            dl_dfeatures: Ptr::NULL,
            dl_dweights: Ptr::NULL,
            round: round as u32,
            density_only: 0,
            dl_dview: Ptr::NULL,
        }
    }

    /// Where an encoding before the field's kernel finds the samples of a launch of it.
    fn encode_args<'c>(&'c self, chunk: &'c Chunk, scratch: &'c WorkerScratch, field: &FieldArgs<'c>) -> Encode<'c> {
        Encode {
            grid: field.grid,
            samples: chunk.samples.args(),
            table: field.table,
            features: field.features,
            saved_activations: scratch.saved_activations(),
            values: Ptr::NULL,
            n_in: self.field.decoder.n_in(),
            round: field.round,
        }
    }

    fn composite_args<'c>(&'c self, chunk: &'c Chunk, round: usize) -> CompositeArgs<'c> {
        CompositeArgs {
            rays: chunk.ray_args(),
            samples: chunk.samples.args(),
            round: round as u32,
            stop_transmittance: self.march.stop_transmittance,
            huber_delta: 0.0,
            losses: RayLosses::default(),
            space: self.march.space,
            exposure: Ptr::NULL,
            dl_dexposure: Ptr::NULL,
        }
    }
}
