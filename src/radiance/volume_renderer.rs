//! Volume rendering, chunk by chunk: marches a round of samples, evaluates the field, composites, and repeats until
//! every ray has left the box or is opaque. In training, the backward pass then computes the gradients.
//!
//! Rounds start short, so that few samples behind a surface are ever evaluated, and grow, so that even a ray of 1024
//! samples is finished in a few dozen rounds.

use super::chunk::Chunk;
use super::occupancy::Occupancy;
use super::space;
use crate::Result;
use crate::config::MarchConfig;
use crate::device::args::{self, CompositeArgs, FieldArgs, MAX_ROUNDS, MarchArgs, RayLosses};
use crate::device::{Device, Kernel, LaunchDims, Ptr, kernels};
use crate::encoding::{Backward, Encode};
use crate::field::{Field, WorkerScratch};
use crate::geometry::{Space, UnitCube};

/// How steps grow with distance (Instant-NGP, appendix E.1).
const CONE_ANGLE: f32 = 1.0 / 256.0;
/// In a contracted space, steps farther away than this grow with the square of their distance, just as contraction
/// shrinks lengths along the radius. It is four radii of the ball that contraction leaves unchanged.
const FAR: f32 = 2.0;
/// Distance at which rays through a contracted space end: about a thousand radii. Everything farther away lies within a
/// thousandth of the field's rim.
const FARTHEST: f32 = 512.0;

/// Ray marching settings; lengths are in units of the unit cube.
#[derive(Clone, Debug)]
pub struct March {
    /// Lengths of the steps.
    pub steps: args::Steps,
    /// Map from space to the field.
    pub space: args::Space,
    /// Distance from the camera at which rays start.
    pub near: f32,
    /// Minimum corner of the box in which rays are marched.
    pub box_min: [f32; 3],
    /// Maximum corner of that box.
    pub box_max: [f32; 3],
    /// Maximum number of samples per ray in each round on the host.
    host_rounds: Vec<u32>,
    /// The same on a GPU.
    gpu_rounds: Vec<u32>,
    stop_transmittance: f32,
}

impl March {
    /// Returns the settings for marching through the box of all cascades.
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
            host_rounds: rounds(config.max_samples_per_ray, HOST_ROUNDS),
            gpu_rounds: rounds(config.max_samples_per_ray, GPU_ROUNDS),
            stop_transmittance: config.stop_transmittance as f32,
        }
    }

    /// Adapts the settings to a map of space; `unit_cube` is the map from the scene to the unit cube.
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

/// How the lengths of a ray's rounds grow. Samples of a round that lie behind a surface are evaluated in vain; in
/// training they also take up capacity that other rays could use.
#[derive(Clone, Copy)]
struct Growth {
    /// Length of the first rounds.
    shortest: u32,
    /// A round is as long as all rounds before it together, divided by this.
    share: u32,
}

/// A CPU core processes the samples of a round by itself, so rounds can be many and short: 28 for 1024 samples. On
/// lego, 1.10 samples are evaluated for each that is composited.
const HOST_ROUNDS: Growth = Growth { shortest: 4, share: 4 };

/// A GPU launches the kernels of all rounds in every step, whether or not samples are left, so rounds are few and long:
/// 8 for 1024 samples. On lego, 1.34 samples are evaluated for each that is composited.
const GPU_ROUNDS: Growth = Growth { shortest: 8, share: 1 };

/// Returns the lengths of the rounds, powers of two except for the last, which add up to `max_samples`.
fn rounds(max_samples: u32, growth: Growth) -> Vec<u32> {
    let mut rounds: Vec<u32> = Vec::new();
    let mut left = max_samples;
    while left > 0 {
        let before = (max_samples - left) / growth.share;
        let next = growth.shortest.max(before.checked_ilog2().map_or(0, |power| 1 << power));
        let is_last = rounds.len() + 1 == MAX_ROUNDS;
        let length = if is_last { left } else { next.min(left) };
        rounds.push(length);
        left -= length;
    }
    rounds
}

/// A field with the occupancy grid and the marching settings to render it.
#[derive(Clone, Copy)]
pub struct VolumeRenderer<'a> {
    pub(super) device: &'a Device,
    pub(super) field: &'a Field,
    pub(super) occupancy: &'a Occupancy,
    pub(super) march: &'a March,
}

/// Buffers for the gradients of [`VolumeRenderer::backward`].
#[derive(Clone, Copy)]
pub struct Gradients<'a> {
    /// Gradients with respect to the weights, laid out like them; accumulated.
    pub dl_dweights: Ptr<'a, f32>,
    /// Gradients with respect to the exposures, laid out like them; accumulated. Null without exposures.
    pub dl_dexposure: Ptr<'a, f32>,
    /// Gradients with respect to the viewing directions, `[S, 3]`, overwritten; null if not needed.
    pub dl_dview: Ptr<'a, f32>,
    /// Gradients with respect to the features, overwritten, and what the backward pass of the grid's encoding needs.
    pub of_grid: Backward<'a>,
}

/// Training loss settings.
#[derive(Clone, Copy)]
pub struct Loss<'a> {
    /// Error (of a colour or a depth) at which the Huber loss becomes linear.
    pub huber_delta: f32,
    /// Settings of the losses besides the colour loss.
    pub beside: RayLosses,
    /// Exposures, `[n_images, 6]`; null if all images have the same exposure.
    pub exposure: Ptr<'a, f32>,
}

impl<'a> VolumeRenderer<'a> {
    /// Returns a renderer of `field` that skips the empty cells of `occupancy`.
    pub fn new(device: &'a Device, field: &'a Field, occupancy: &'a Occupancy, march: &'a March) -> Self {
        VolumeRenderer { device, field, occupancy, march }
    }

    /// Marches and composites the chunk's rays to their ends, and returns the number of rounds. If the scratch buffers
    /// are for training, they keep the layers' inputs for [`VolumeRenderer::backward`].
    pub fn forward(&self, chunk: &Chunk, scratch: &WorkerScratch) -> Result<usize> {
        let rays = LaunchDims::items(chunk.n_rays);
        let rounds = if self.device.is_host() { &self.march.host_rounds } else { &self.march.gpu_rounds };
        for (round, &max_steps) in rounds.iter().enumerate() {
            self.device.launch_chunk(&kernels::MARCH_RAYS, &self.march_args(chunk, round, max_steps), rays)?;
            let count = |at| self.device.peek(&chunk.samples.count, at);
            if count(round).is_some() && count(round) == count(round + 1) {
                return Ok(round);
            }
            let most = (chunk.n_rays * max_steps as usize).min(chunk.samples.capacity);
            self.field_forward(chunk, scratch, &self.field_args(chunk, scratch, round), most)?;
            self.device.launch_chunk(&kernels::COMPOSITE_RAYS, &self.composite_args(chunk, round), rays)?;
        }
        Ok(rounds.len())
    }

    /// Evaluates the field at the samples of a round; `most` is an upper bound on their number.
    fn field_forward(&self, chunk: &Chunk, scratch: &WorkerScratch, args: &FieldArgs, most: usize) -> Result<()> {
        self.field.encode(self.device, &self.encode_args(chunk, scratch, args), most)?;
        self.device.launch_chunk(self.forward_kernel(), args, LaunchDims::tiles(most))
    }

    /// Computes the loss and the gradients of the chunk's rays after `rounds` rounds, summed over rays.
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

    /// Computes each sample's compositing weight in its finished ray after `rounds` rounds. The weights overwrite the
    /// samples' gradients with respect to density.
    pub fn sample_weights(&self, chunk: &Chunk, rounds: usize) -> Result<()> {
        let args = self.composite_args(chunk, rounds);
        self.device.launch_chunk(&kernels::SAMPLE_WEIGHTS, &args, LaunchDims::items(chunk.n_rays))
    }

    /// Computes only the densities, at the positions already stored in the chunk's samples.
    pub fn densities(&self, chunk: &Chunk, scratch: &WorkerScratch, n: usize) -> Result<()> {
        let args = FieldArgs { density_only: 1, activations: Ptr::NULL, ..self.field_args(chunk, scratch, 0) };
        self.field_forward(chunk, scratch, &args, n)
    }

    /// Computes densities and colours at the positions already stored in the chunk's samples, viewed along its rays.
    pub fn outputs(&self, chunk: &Chunk, scratch: &WorkerScratch, n: usize) -> Result<()> {
        self.field_forward(
            chunk,
            scratch,
            &FieldArgs { activations: Ptr::NULL, ..self.field_args(chunk, scratch, 0) },
            n,
        )
    }

    /// Encodes all samples of the chunk after `rounds` rounds once more, if the field's kernel does the encoding. Used
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

    pub(super) fn march_args<'c>(&'c self, chunk: &'c Chunk, round: usize, max_steps: u32) -> MarchArgs<'c> {
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

    /// Returns the arguments of the encoding kernels that run before the field's kernel on the same samples.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_begin_short_and_take_all_samples() {
        assert_eq!(rounds(1024, GPU_ROUNDS), [8, 8, 16, 32, 64, 128, 256, 512]);
        let host = rounds(1024, HOST_ROUNDS);
        assert_eq!(host[..14], [4, 4, 4, 4, 4, 4, 4, 4, 8, 8, 8, 8, 16, 16]);
        assert_eq!((host.len(), host[27]), (28, 128));
        for (max_samples, growth) in [(1, HOST_ROUNDS), (37, HOST_ROUNDS), (65_536, HOST_ROUNDS), (65_536, GPU_ROUNDS)]
        {
            let rounds = rounds(max_samples, growth);
            assert_eq!(rounds.iter().sum::<u32>(), max_samples);
            assert!(rounds.len() <= MAX_ROUNDS, "{}", rounds.len());
        }
    }
}
