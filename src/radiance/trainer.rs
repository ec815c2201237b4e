//! Training: draws rays from the photographs, traces them, and descends the gradient.

use std::ops::RangeInclusive;
use std::time::Instant;

use super::chunk::{ChunkSize, Lane, TrainingChunk};
use super::field::Field;
use super::occupancy::Occupancy;
use super::per_photograph::PerPhotograph;
use super::photographs::Photographs;
use super::refinement::Refinement;
use super::space::space_of;
use super::trace::{Gradients, Loss, March, Tracer};
use crate::config::{Background, Config, ModelConfig, TrainConfig};
use crate::device::args::{DrawRaysArgs, RayLosses, STATISTICS_PART, SUM_WIDTH, ScatterArgs, StatisticsArgs, SumArgs};
use crate::device::{Buffer, Device, Grid, Ptr, kernels};
use crate::grid::{self, Backward, Site};
use crate::scene::{Scene, Space, UnitCube};
use crate::train::{Adam, AdamStep, Moments, schedule};
use crate::{Error, Result};

/// Samples expected of a ray before any was marched: with this many rays begins the first step.
const FIRST_SAMPLES_PER_RAY: usize = 512;

/// A field in training, with all its state on the device.
pub struct Trainer {
    pub(super) device: Device,
    pub(super) config: Config,
    pub(super) scene: Scene,
    pub(super) unit_cube: UnitCube,
    pub(super) space: Space,
    pub(super) field: Field,
    pub(super) occupancy: Occupancy,
    photographs: Photographs,
    pub(super) march: March,
    pub(super) adam: Adam,
    pub(super) table_moments: Moments,
    pub(super) weight_moments: Moments,
    chunks: Vec<TrainingChunk>,
    /// `[n_chunks, n_weights]`
    weight_gradients: Buffer<f32>,
    pub(super) member: Option<MemberTraining>,
    /// None where all photographs are taken to be alike.
    pub(super) exposure: Option<PerPhotograph>,
    /// None where cameras are taken as they are.
    pub(super) refinement: Option<Refinement>,
    lanes: Vec<Lane>,
    /// Steps behind.
    pub step: u64,
    /// Seconds of training behind.
    pub seconds: f64,
    pub(super) rays_per_step: usize,
    pub(super) refreshes: u32,
    /// Doublings of the grid's resolution behind.
    pub(super) upscales: usize,
    /// Sums since the last report, and since the rays per step were last set.
    pub report: Statistics,
    pub(super) recent: Statistics,
}

/// What training keeps of a member's parameters.
pub(super) struct MemberTraining {
    pub moments: Moments,
    /// Gradients as the member collects them, `[n_chunks, n]`, and their sum.
    gradients: Buffer<f32>,
    gradient: Buffer<f32>,
}

/// Sums over the rays of some steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    pub loss: f64,
    pub squared_error: f64,
    pub rays: u64,
    pub samples: u64,
    /// Rays that found no room for their samples and were left out.
    pub dropped: u64,
}

impl Statistics {
    fn add(&mut self, other: &Statistics) {
        self.loss += other.loss;
        self.squared_error += other.squared_error;
        self.rays += other.rays;
        self.samples += other.samples;
        self.dropped += other.dropped;
    }

    /// dB over the rays counted.
    pub fn psnr(&self) -> f64 {
        -10.0 * (self.squared_error / (self.rays - self.dropped).max(1) as f64).log10()
    }
}

impl MemberTraining {
    /// None where the grid's features are all that is learned of it.
    fn new(device: &Device, field: &Field, n_chunks: usize, averaged: bool) -> Result<Option<Self>> {
        let (Some(member), Some(parameters)) = (&field.member, field.member_parameters()) else { return Ok(None) };
        Ok(Some(MemberTraining {
            moments: Moments::new(device, parameters, 1, averaged)?,
            gradients: device.zeros(n_chunks * member.n_gradients())?,
            gradient: device.zeros(member.n_gradients())?,
        }))
    }
}

impl Trainer {
    /// A field that has seen nothing yet.
    pub fn new(device: &Device, config: &Config, scene: &Scene, photographs: Photographs) -> Result<Self> {
        let site = Site {
            seed: config.train.seed,
            unit_cube: scene.unit_cube,
            box_side: (1u32 << (config.march.cascades - 1)) as f32,
        };
        let field = Field::random(device, &config.model.after_upscales(0), &site)?;
        let space = space_of(config, scene)?;
        Trainer::with_field(device, config, scene, space, photographs, field, 0)
    }

    /// A trainer that has not made a step, of a field whose resolution was doubled `upscales` times.
    pub(super) fn with_field(
        device: &Device,
        config: &Config,
        scene: &Scene,
        space: Space,
        photographs: Photographs,
        field: Field,
        upscales: usize,
    ) -> Result<Self> {
        let averaged = config.train.ema_decay > 0.0;
        let size = ChunkSize::for_training(device, config.train.batch_samples as usize);
        let chunks = (0..size.n_chunks)
            .map(|_| TrainingChunk::new(device, size, &field, config.train.refine_cameras))
            .collect::<Result<Vec<_>>>()?;
        let width = field.grid.n_features_per_level as usize;
        Ok(Trainer {
            device: device.clone(),
            config: config.clone(),
            scene: scene.clone(),
            unit_cube: scene.unit_cube,
            occupancy: Occupancy::full(device, &config.march)?,
            march: March::new(device, &config.march).through(&space, &scene.unit_cube),
            space,
            adam: Adam::new(device, &config.optimizer, config.train.ema_decay)?,
            table_moments: Moments::new(device, &field.table, width, averaged)?,
            weight_moments: Moments::new(device, &field.weights, 1, averaged)?,
            weight_gradients: device.zeros(size.n_chunks * field.decoder.n_weights())?,
            exposure: (config.train.exposure)
                .then(|| PerPhotograph::new(device, photographs.cameras.len(), size.n_chunks))
                .transpose()?,
            refinement: (config.train.refine_cameras)
                .then(|| Refinement::new(device, &photographs.cameras, size.n_chunks))
                .transpose()?,
            member: MemberTraining::new(device, &field, size.n_chunks, averaged)?,
            lanes: Lane::all(device, size, &field, true)?,
            chunks,
            photographs,
            step: 0,
            seconds: 0.0,
            rays_per_step: (config.train.batch_samples as usize / FIRST_SAMPLES_PER_RAY).max(size.n_chunks),
            refreshes: 0,
            upscales,
            report: Statistics::default(),
            recent: Statistics::default(),
            field,
        })
    }

    pub(super) fn n_photographs(&self) -> usize {
        self.photographs.cameras.len()
    }

    /// How space lies in the field.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// One training step.
    pub fn step(&mut self) -> Result<()> {
        let begun = Instant::now();
        self.upscale()?;
        self.field.prepare(&self.device)?;
        if let Some(exposure) = &self.exposure {
            exposure.prepare(&self.device)?;
        }
        if let Some(refinement) = &self.refinement {
            refinement.prepare(&self.device, &self.photographs.cameras)?;
        }
        if self.step.is_multiple_of(Occupancy::interval(self.step)) {
            self.refresh_occupancy()?;
            self.adapt_rays()?;
        }
        let n_rays = self.trace()?;
        self.scatter()?;
        self.descend(n_rays)?;
        self.step += 1;
        self.seconds += begun.elapsed().as_secs_f64();
        Ok(())
    }

    /// The model as it is now: with the resolution that has been reached.
    pub(super) fn model(&self) -> ModelConfig {
        self.config.model.after_upscales(self.upscales)
    }

    /// Doubles the resolution of a dense grid as often as the share of the run that is over asks for. Adam begins anew: its
    /// moments were of other nodes.
    fn upscale(&mut self) -> Result<()> {
        let progress = schedule::progress(&self.config.train, self.step, self.seconds);
        let due = self.config.model.grid.upscale_at.iter().filter(|&&at| progress >= at).count();
        if due <= self.upscales {
            return Ok(());
        }
        self.upscales = due;
        let model = self.model();
        self.field.resample(&self.device, &model)?;
        let (width, averaged) = (self.table_moments.width, self.table_moments.average.is_some());
        self.table_moments = Moments::new(&self.device, &self.field.table, width, averaged)?;
        Ok(())
    }

    fn refresh_occupancy(&mut self) -> Result<()> {
        let tracer =
            Tracer { device: &self.device, field: &self.field, occupancy: &self.occupancy, march: &self.march };
        let (seed, number) = (self.config.train.seed, self.refreshes);
        let finite = self.occupancy.refresh(&tracer, &mut self.chunks, &self.lanes, seed, number)?;
        self.refreshes += 1;
        if finite { Ok(()) } else { Err(self.not_finite()) }
    }

    /// The error where the field gives numbers that are not finite. The loss need not tell: it comes before the update
    /// of its step, and where such a field empties the occupancy grid, only the background is left of it.
    pub(super) fn not_finite(&self) -> Error {
        Error::diverged(self.step, "the field's densities or colours are no longer finite numbers")
    }

    /// How many rays a step may have: each chunk at least one, and no more than it has room for.
    pub(super) fn possible_rays(&self) -> RangeInclusive<usize> {
        self.chunks.len()..=self.chunks.iter().map(|chunk| chunk.chunk.rays.capacity).sum()
    }

    /// Sets the rays per step so that a step holds the wanted number of samples, from what rays held lately.
    fn adapt_rays(&mut self) -> Result<()> {
        self.read_statistics()?;
        if self.recent.rays > 0 {
            let per_ray = self.recent.samples.max(1) as f64 / self.recent.rays as f64;
            let wanted = f64::from(self.config.train.batch_samples) / per_ray;
            let possible = self.possible_rays();
            self.rays_per_step = (wanted as usize).clamp(*possible.start(), *possible.end());
        }
        self.recent = Statistics::default();
        Ok(())
    }

    /// Forward and backward of all chunks; returns the number of rays.
    fn trace(&mut self) -> Result<usize> {
        let tracer =
            Tracer { device: &self.device, field: &self.field, occupancy: &self.occupancy, march: &self.march };
        let n_rays = self.rays_per_step.div_ceil(self.chunks.len());
        let n_weights = self.field.decoder.n_weights();
        self.weight_gradients.clear()?;
        if let Some(member) = &mut self.member {
            member.gradients.clear()?;
        }
        if let Some(exposure) = &mut self.exposure {
            exposure.gradients.clear()?;
        }
        if let Some(refinement) = &mut self.refinement {
            refinement.corrections.gradients.clear()?;
        }
        let (device, config, photographs) = (&self.device, &self.config, &self.photographs);
        let (weight_gradients, lanes, step) = (&self.weight_gradients, &self.lanes, self.step);
        let (member, exposure, refinement) = (self.member.as_ref(), self.exposure.as_ref(), self.refinement.as_ref());
        let loss = loss_of(&self.config.train, &self.space, exposure);
        device.for_each_chunk(&mut self.chunks, |lane, index, training| {
            training.chunk.n_rays = n_rays;
            let chunk = &training.chunk;
            let args = DrawRaysArgs {
                rays: chunk.ray_args(),
                samples_count: chunk.samples.count.ptr(),
                cameras: refinement.map_or(photographs.cameras.ptr(), |refinement| refinement.cameras.ptr()),
                pixels: photographs.pixels.ptr(),
                n_cameras: photographs.cameras.len() as u32,
                seed: config.train.seed as u32,
                step: step as u32,
                first_ray: (index * n_rays) as u32,
                background: match config.train.background {
                    Background::Black => 0,
                    Background::White => 1,
                    Background::Random => 2,
                },
                box_min: tracer.march.box_min,
                box_max: tracer.march.box_max,
                step_size: tracer.march.steps.size,
                space: tracer.march.space,
                near: tracer.march.near,
                depths: photographs.depths_ptr(),
                drawn_pixels: photographs.drawn_pixels_ptr(),
                drawn_begin: photographs.drawn_begin.ptr(),
            };
            device.launch_chunk(&kernels::DRAW_RAYS, &args, Grid::items(n_rays))?;
            let lane = &lanes[lane];
            training.rounds = tracer.forward(chunk, lane)?;
            let dl_dparameters =
                member.map_or(Ptr::NULL, |member| member.gradients.ptr_at(index * member.gradient.len()));
            let gradients = Gradients {
                dl_dweights: weight_gradients.ptr_at(index * n_weights),
                dl_dexposure: exposure
                    .map_or(Ptr::NULL, |exposure| exposure.gradients.ptr_at(index * exposure.value.len())),
                dl_dview: refinement.map_or(Ptr::NULL, |_| training.dl_dview.ptr()),
                of_grid: Backward {
                    dl_dfeatures: training.dl_dfeatures.ptr(),
                    dl_dparameters,
                    kept: training.kept.ptr(),
                },
            };
            tracer.backward(chunk, lane, training.rounds, &loss, &gradients)?;
            if let Some(refinement) = refinement {
                refinement.add_gradient(&tracer, training, index)?;
            }
            let chunk = &training.chunk;
            let args = StatisticsArgs {
                rays: chunk.ray_args(),
                samples: chunk.samples.args(),
                round: training.rounds as u32,
                sums: training.sums.ptr(),
                counts: training.counts.ptr(),
            };
            device.launch_chunk(&kernels::RAY_STATISTICS, &args, Grid::items(n_rays.div_ceil(STATISTICS_PART)))
        })?;
        Ok(n_rays * self.chunks.len())
    }

    /// Encodes the samples of the last step once more, which changes nothing: for measurements.
    pub fn encode_again(&mut self) -> Result<()> {
        let tracer =
            Tracer { device: &self.device, field: &self.field, occupancy: &self.occupancy, march: &self.march };
        let lanes = &self.lanes;
        self.device.for_each_chunk(&mut self.chunks, |lane, _, training| {
            tracer.encode(&training.chunk, &lanes[lane], training.rounds)
        })
    }

    /// Gradients by the features into the table, level by level.
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
                    phi: if training.kept.is_empty() { Ptr::NULL } else { training.kept.ptr() },
                    count: samples.count.ptr_at(training.rounds),
                    gradient: self.table_moments.gradient.ptr(),
                    capacity: samples.capacity as u32,
                };
                let known = self.device.peek(&samples.count, training.rounds);
                (args, Grid::tiles(known.map_or(samples.capacity, |count| count as usize)))
            })
            .collect();
        let n_levels = self.field.grid.levels.len();
        match &self.field.member {
            Some(member) => member.scatter(&self.device, &launches, n_levels),
            None => self.device.launch_rows(&kernels::GRID_SCATTER, &launches, n_levels),
        }
    }

    /// Adam on features, weights and the member's parameters.
    fn descend(&mut self, n_rays: usize) -> Result<()> {
        let (optimizer, device, field) = (&self.config.optimizer, &self.device, &self.field);
        self.sum_chunks(&self.weight_gradients, &self.weight_moments.gradient)?;
        let now =
            AdamStep { step: self.step + 1, learning_rate: self.learning_rate(), gradient_scale: 1.0 / n_rays as f64 };
        let copy = field.table_copy.as_ref().map_or(Ptr::NULL, |copy| copy.ptr());
        if optimizer.total_variation > 0.0 {
            // Gradients are sums over rays until Adam divides them.
            let (gradient, weight) = (self.table_moments.gradient.ptr(), optimizer.total_variation * n_rays as f64);
            grid::add_total_variation(device, &field.grid, &field.table, gradient, weight)?;
        }
        self.adam.update(device, &now, &field.table, &self.table_moments, 0.0, copy)?;
        self.adam.update(device, &now, &field.weights, &self.weight_moments, optimizer.l2_reg, Ptr::NULL)?;
        let corrections = self.refinement.as_ref().map(|refinement| &refinement.corrections);
        for (numbers, learning_rate) in
            [(self.exposure.as_ref(), optimizer.exposure_learning_rate), (corrections, optimizer.camera_learning_rate)]
        {
            let Some(numbers) = numbers else { continue };
            self.sum_chunks(&numbers.gradients, &numbers.moments.gradient)?;
            let now = self.scaled(&now, learning_rate);
            self.adam.update(device, &now, &numbers.value, &numbers.moments, 0.0, Ptr::NULL)?;
        }
        let (Some(training), Some(member)) = (&self.member, &field.member) else { return Ok(()) };
        let Some(parameters) = member.parameters() else { return Ok(()) };
        self.sum_chunks(&training.gradients, &training.gradient)?;
        member.gradient(device, &field.grid, training.gradient.ptr(), training.moments.gradient.ptr())?;
        let now = self.scaled(&now, optimizer.kernel_learning_rate);
        self.adam.update(device, &now, parameters, &training.moments, 0.0, Ptr::NULL)
    }

    /// The step of parameters with a learning rate of their own, under the same schedule.
    fn scaled(&self, now: &AdamStep, learning_rate: f64) -> AdamStep {
        AdamStep { learning_rate: now.learning_rate * learning_rate / self.config.optimizer.learning_rate, ..*now }
    }

    /// The sum of the chunks' gradients, `[n_chunks, n]`, in their order.
    fn sum_chunks(&self, parts: &Buffer<f32>, sum: &Buffer<f32>) -> Result<()> {
        let args =
            SumArgs { parts: parts.ptr(), sum: sum.ptr(), n_parts: self.chunks.len() as u32, n: sum.len() as u32 };
        self.device.launch(&kernels::SUM_PARTS, &args, Grid::items(sum.len() / SUM_WIDTH))
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        let optimizer = &self.config.optimizer;
        let progress = schedule::progress(&self.config.train, self.step, self.seconds);
        optimizer.learning_rate * schedule::factor(&optimizer.schedule, progress, self.step)
    }

    /// Brings what the device has counted into `report` and `recent`.
    pub fn read_statistics(&mut self) -> Result<()> {
        let mut read = Statistics::default();
        for training in &mut self.chunks {
            let (sums, counts) = (training.sums.download()?, training.counts.download()?);
            read.add(&Statistics {
                loss: f64::from(sums[0]),
                squared_error: f64::from(sums[1]),
                rays: u64::from(counts[0]),
                samples: u64::from(counts[1]),
                dropped: u64::from(counts[2]),
            });
            training.sums.clear()?;
            training.counts.clear()?;
        }
        self.report.add(&read);
        self.recent.add(&read);
        Ok(())
    }
}

fn loss_of<'a>(train: &TrainConfig, space: &Space, exposure: Option<&'a PerPhotograph>) -> Loss<'a> {
    // In normalised device coordinates, rays begin at a near plane and not at their cameras.
    let near = if matches!(space, Space::Ndc(_)) { 0.0 } else { train.scale_gradients_within };
    let beside =
        RayLosses { distortion: train.distortion_loss as f32, depth: train.depth_loss as f32, near: near as f32 };
    let exposure = exposure.map_or(Ptr::NULL, |exposure| exposure.centred.ptr());
    Loss { huber_delta: train.huber_delta as f32, beside, exposure }
}
