//! Training: draws rays from the training images, renders them, and takes gradient descent steps.

mod checkpoint;
mod neurons;
mod statistics;
mod task;

use std::ops::RangeInclusive;

pub use statistics::Statistics;

use crate::config::{Config, TrainConfig};
use crate::decoder::Head;
use crate::device::args::{RayLosses, STATISTICS_PART, ScatterArgs, StatisticsArgs};
use crate::device::{Device, LaunchDims, Ptr, kernels};
use crate::encoding::{Backward, InitContext};
use crate::field::{Field, FieldOptimizer, WorkerScratch};
use crate::geometry::{Space, UnitCube};
use crate::radiance::camera_optimizer::CameraOptimizer;
use crate::radiance::chunk::{ChunkSize, TrainingChunk};
use crate::radiance::occupancy::Occupancy;
use crate::radiance::per_image::PerImage;
use crate::radiance::space::space_of;
use crate::radiance::training_images::TrainingImages;
use crate::radiance::volume_renderer::{Gradients, Loss, March, VolumeRenderer};
use crate::ranks::{Digest, Ranks};
use crate::scene::Scene;
use crate::train::{AdamStep, Progress, Task as _, same_program, schedule};
use crate::{Error, Result};

/// Samples expected per ray before any ray has been marched; this sets the number of rays in the first step.
const FIRST_SAMPLES_PER_RAY: usize = 512;

/// A field in training, with all its state on the device.
pub struct Trainer {
    device: Device,
    config: Config,
    scene: Scene,
    unit_cube: UnitCube,
    space: Space,
    field: Field,
    occupancy: Occupancy,
    training_images: TrainingImages,
    march: March,
    field_optimizer: FieldOptimizer,
    chunks: Vec<TrainingChunk>,
    /// None if all training images are assumed to have the same exposure.
    exposure: Option<PerImage>,
    /// None if the scene's cameras are used unchanged.
    camera_optimizer: Option<CameraOptimizer>,
    workers: Vec<WorkerScratch>,
    progress: Progress,
    rays_per_step: usize,
    occupancy_updates: u32,
    /// Sums since the last report.
    pub report: Statistics,
    /// Sums since the rays per step were last set.
    recent: Statistics,
    ranks: Ranks,
}

impl Trainer {
    /// Creates a trainer with a randomly initialized field.
    pub fn new(device: &Device, config: &Config, scene: &Scene, training_images: TrainingImages) -> Result<Self> {
        let context = InitContext {
            seed: config.train.seed,
            unit_cube: scene.unit_cube,
            box_side: (1u32 << (config.march.cascades - 1)) as f32,
        };
        let field = Field::random(device, &config.model.after_upscales(0), Head::Radiance, &context)?;
        let space = space_of(config, scene)?;
        Trainer::with_field(device, config, scene, space, training_images, field)
    }

    /// Creates a trainer at step 0 for an existing field.
    fn with_field(
        device: &Device,
        config: &Config,
        scene: &Scene,
        space: Space,
        training_images: TrainingImages,
        field: Field,
    ) -> Result<Self> {
        let device = &device.with_precision(config.train.precision)?;
        let size = ChunkSize::for_training(device, config.train.batch_samples as usize);
        let chunks = (0..size.n_chunks)
            .map(|_| TrainingChunk::new(device, size, &field, config.train.refine_cameras))
            .collect::<Result<Vec<_>>>()?;
        Ok(Trainer {
            device: device.clone(),
            config: config.clone(),
            scene: scene.clone(),
            unit_cube: scene.unit_cube,
            occupancy: Occupancy::full(device, &config.march)?,
            march: March::new(&config.march).through(&space, &scene.unit_cube),
            space,
            field_optimizer: FieldOptimizer::new(device, config, &field, size.n_chunks, 0)?,
            exposure: (config.train.exposure)
                .then(|| PerImage::new(device, training_images.cameras.len(), size.n_chunks))
                .transpose()?,
            camera_optimizer: (config.train.refine_cameras)
                .then(|| CameraOptimizer::new(device, &training_images.cameras, size.n_chunks))
                .transpose()?,
            workers: WorkerScratch::all(device, size.samples, &field, true)?,
            chunks,
            training_images,
            progress: Progress::default(),
            rays_per_step: (config.train.batch_samples as usize / FIRST_SAMPLES_PER_RAY).max(size.n_chunks),
            occupancy_updates: 0,
            report: Statistics::default(),
            recent: Statistics::default(),
            ranks: Ranks::alone(),
            field,
        })
    }

    /// Returns the trainer as one of `ranks`, which train the same field together: each draws rays of its own, and a
    /// step has `train.accumulate` batches on each. All ranks call this at the same step, and from then
    /// on advance, read statistics and make or join checkpoints together, as [`lead`](crate::train::lead) and
    /// [`follow`](crate::train::follow) do.
    ///
    /// # Errors
    /// Returns an error if the ranks differ in the program, the configuration, the training images or the field.
    pub fn among(mut self, ranks: &Ranks) -> Result<Self> {
        same_program(ranks, &self.config, &self.device)?;
        ranks.agree("scene", &format_args!("{} images, {:016x}", self.n_images(), self.training_images.digest()?))?;
        ranks.agree("starting point", &format_args!("step {}, {:016x}", self.progress.step, self.digest()?))?;
        self.ranks = ranks.clone();
        Ok(self)
    }

    /// Returns a hash of all learned parameters, which is the same on all ranks after each step.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    #[doc(hidden)]
    pub fn digest(&self) -> Result<u64> {
        let mut digest = Digest::new();
        self.field.add_to(&mut digest)?;
        for (_, numbers) in self.per_image() {
            digest.add(&numbers.value.download()?);
        }
        Ok(digest.value())
    }

    /// Returns the sizes of the gradients that are summed over ranks in each step.
    #[doc(hidden)]
    pub fn summed_numbers(&mut self) -> Vec<usize> {
        let of_field: Vec<usize> = self.field_optimizer.summed().into_iter().map(|gradient| gradient.len()).collect();
        of_field.into_iter().chain(self.per_image().map(|(_, numbers)| numbers.value.len())).collect()
    }

    fn n_images(&self) -> usize {
        self.training_images.cameras.len()
    }

    /// Returns the map from space to the field.
    pub fn space(&self) -> &Space {
        &self.space
    }

    fn update_occupancy(&mut self) -> Result<()> {
        let volume = VolumeRenderer::new(&self.device, &self.field, &self.occupancy, &self.march);
        let (seed, number) = (self.config.train.seed, self.occupancy_updates);
        let finite = volume.update_occupancy(&mut self.chunks, &self.workers, seed, number, &self.ranks)?;
        self.merge_occupancy()?;
        self.occupancy.renew_bits(&self.device)?;
        self.occupancy_updates += 1;
        let [n_broken] = self.ranks.sum_counts([u64::from(!finite)]);
        if n_broken == 0 { Ok(()) } else { Err(self.not_finite()) }
    }

    /// Gives all ranks the same occupancy values: between updates, each rank has raised those of the cells that its own
    /// rays passed through.
    fn merge_occupancy(&mut self) -> Result<()> {
        self.ranks.max(&mut self.occupancy.value)
    }

    /// Returns the error for outputs that are not finite. The loss does not necessarily show them: it is computed
    /// before the update of its step, and once such a field has emptied the occupancy grid, rays only see the
    /// background.
    fn not_finite(&self) -> Error {
        Error::diverged(self.progress.step, "the field's densities or colours are no longer finite numbers")
    }

    /// Returns the possible numbers of rays in a step: at least one per chunk, and no more than the chunks have
    /// capacity for.
    fn possible_rays(&self) -> RangeInclusive<usize> {
        self.chunks.len()..=self.chunks.iter().map(|chunk| chunk.chunk.rays.capacity).sum()
    }

    /// Sets the rays of a batch to reach the configured number of samples, based on the recent number of samples per ray.
    /// All ranks set the same number.
    fn adapt_rays(&mut self) -> Result<()> {
        self.read_statistics()?;
        if self.recent.rays > 0 {
            let per_ray = self.recent.samples.max(1) as f64 / self.recent.rays as f64;
            let n_batches = self.ranks.size() * self.config.train.accumulate as usize;
            let wanted = n_batches as f64 * f64::from(self.config.train.batch_samples) / per_ray;
            let possible = self.possible_rays();
            // Rounded for all batches together, and then divided, so that their rays are those of a larger step.
            let each = (wanted as usize).div_ceil(n_batches);
            self.rays_per_step = each.clamp(*possible.start(), *possible.end());
        }
        self.recent = Statistics::default();
        Ok(())
    }

    /// Sets the gradients that chunks add to, to zero.
    fn clear_gradients(&mut self) -> Result<()> {
        self.field_optimizer.begin()?;
        if let Some(exposure) = &mut self.exposure {
            exposure.gradients.clear()?;
        }
        match &mut self.camera_optimizer {
            Some(camera_optimizer) => camera_optimizer.corrections.gradients.clear(),
            None => Ok(()),
        }
    }

    /// Runs the forward and backward passes of all chunks, for batch `number` of the step's `train.accumulate`, and
    /// returns the number of rays of all ranks.
    fn trace(&mut self, number: usize) -> Result<usize> {
        let volume = VolumeRenderer::new(&self.device, &self.field, &self.occupancy, &self.march);
        let n_rays = self.rays_per_step.div_ceil(self.chunks.len());
        let (device, config, training_images) = (&self.device, &self.config, &self.training_images);
        let (field_optimizer, workers, step) = (&self.field_optimizer, &self.workers, self.progress.step);
        let (exposure, camera_optimizer) = (self.exposure.as_ref(), self.camera_optimizer.as_ref());
        let loss = loss_of(&self.config.train, &self.space, exposure);
        // Chunks are numbered through all ranks and batches: together they draw the rays of one larger step.
        let before = (self.ranks.rank() * config.train.accumulate as usize + number) * self.chunks.len();
        device.for_each_chunk(&mut self.chunks, |worker, index, training| {
            training.chunk.n_rays = n_rays;
            let chunk = &training.chunk;
            let cameras =
                camera_optimizer.map_or(&training_images.cameras, |camera_optimizer| &camera_optimizer.cameras);
            training_images.draw(&volume, cameras, &config.train, chunk, (before + index) * n_rays, step)?;
            let scratch = &workers[worker];
            training.rounds = volume.forward(chunk, scratch)?;
            volume.accumulate_samples(chunk, training.rounds)?;
            let own = field_optimizer.gradients_of(index);
            let gradients = Gradients {
                dl_dweights: own.dl_dweights,
                dl_dexposure: exposure.map_or(Ptr::NULL, |exposure| exposure.gradients_of(index)),
                dl_dview: camera_optimizer.map_or(Ptr::NULL, |_| training.dl_dview.ptr()),
                of_grid: Backward {
                    dl_dfeatures: training.dl_dfeatures.ptr(),
                    dl_dvalues: Ptr::NULL,
                    dl_dparameters: own.dl_dparameters,
                    scatter_weights: training.scatter_weights.ptr(),
                },
            };
            volume.backward(chunk, scratch, training.rounds, &loss, &gradients)?;
            if let Some(camera_optimizer) = camera_optimizer {
                camera_optimizer.add_gradient(&volume, training, index)?;
            }
            let args = StatisticsArgs {
                rays: chunk.ray_args(),
                samples: chunk.samples.args(),
                round: training.rounds as u32,
                sums: training.sums.ptr(),
                counts: training.counts.ptr(),
            };
            device.launch_chunk(&kernels::RAY_STATISTICS, &args, LaunchDims::items(n_rays.div_ceil(STATISTICS_PART)))
        })?;
        Ok(n_rays * self.chunks.len() * self.ranks.size())
    }

    /// Encodes the samples of the last step once more, if the field's kernel does the encoding. Changes nothing; used
    /// for measurements.
    pub fn encode_again(&mut self) -> Result<()> {
        let volume = VolumeRenderer::new(&self.device, &self.field, &self.occupancy, &self.march);
        let workers = &self.workers;
        self.device.for_each_chunk(&mut self.chunks, |worker, _, training| {
            volume.encode_again(&training.chunk, &workers[worker], training.rounds)
        })
    }

    /// Scatters the gradients with respect to the features into the table's gradient, level by level.
    fn scatter(&mut self) -> Result<()> {
        let launches: Vec<_> = self
            .chunks
            .iter()
            .map(|training| {
                let samples = &training.chunk.samples;
                let args = ScatterArgs {
                    grid: self.field.grid.layout(),
                    position: samples.position.ptr(),
                    dl_dfeatures: training.dl_dfeatures.ptr(),
                    phi: training.scatter_weights.ptr_or_null(),
                    count: samples.count.ptr_at(training.rounds),
                    gradient: self.field_optimizer.table_gradient(),
                    capacity: samples.capacity as u32,
                };
                let known = self.device.peek(&samples.count, training.rounds);
                (args, LaunchDims::tiles(known.map_or(samples.capacity, |count| count as usize)))
            })
            .collect();
        self.field_optimizer.scatter(&self.device, &self.field, &launches)
    }

    /// Takes an Adam step on features, weights, the encoding's parameters and the per-image parameters, with gradients
    /// that are summed over the `n_rays` rays of all ranks.
    fn optimizer_step(&mut self, n_rays: usize) -> Result<()> {
        self.field_optimizer.sum_gradients(&self.device, &self.ranks)?;
        let (rate, step) = (schedule::learning_rate(&self.config, self.progress), self.progress.step + 1);
        self.field_optimizer.optimizer_step(&self.device, &self.config, &self.field, step, rate, n_rays as f64)?;
        let optimizer = &self.config.optimizer;
        let corrections = self.camera_optimizer.as_mut().map(|camera_optimizer| &mut camera_optimizer.corrections);
        for (numbers, own_rate) in
            [(self.exposure.as_mut(), optimizer.exposure_learning_rate), (corrections, optimizer.camera_learning_rate)]
        {
            let Some(PerImage { value, gradients, moments, .. }) = numbers else { continue };
            let learning_rate = rate * own_rate / optimizer.learning_rate;
            let now = AdamStep { step, learning_rate, gradient_scale: 1.0 / n_rays as f64 };
            let (device, ranks) = (&self.device, &self.ranks);
            self.field_optimizer.optimizer_step_extra(device, ranks, &now, value, gradients, moments)?;
        }
        Ok(())
    }
}

fn loss_of<'a>(train: &TrainConfig, space: &Space, exposure: Option<&'a PerImage>) -> Loss<'a> {
    // In normalized device coordinates, rays begin at a near plane and not at their cameras.
    let near = if matches!(space, Space::Ndc(_)) { 0.0 } else { train.scale_gradients_within };
    let beside =
        RayLosses { distortion: train.distortion_loss as f32, depth: train.depth_loss as f32, near: near as f32 };
    let exposure = exposure.map_or(Ptr::NULL, |exposure| exposure.centred.ptr());
    Loss { huber_delta: train.huber_delta as f32, beside, exposure }
}
