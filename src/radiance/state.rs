//! A field and its training as checkpoints hold them; `docs/formats.md` lists the tensors.

use std::ops::RangeInclusive;

use bytemuck::Pod;
use serde_json::{Map, Value, json};

use super::chunk::ChunkSize;
use super::field::Field;
use super::occupancy::Occupancy;
use super::photographs::Photographs;
use super::probe;
use super::renderer::Renderer;
use super::source::{FINGERPRINT, Fingerprint};
use super::trace::Tracer;
use super::trainer::Trainer;
use crate::device::{Buffer, Device};
use crate::grid::Source;
use crate::scene::Scene;
use crate::train::checkpoint::{Checkpoint, Element, Header, Tensor};
use crate::train::{Moments, TensorData};
use crate::{Error, Result};

const FEATURES: &str = "grid.features";
/// The resolution reached, where the configuration raises it on the way.
const BASE_RESOLUTION: &str = "grid.base_resolution";
const OCCUPANCY_VALUE: &str = "occupancy.value";
const OCCUPANCY_BITS: &str = "occupancy.bits";
/// What a field that is in no file is called.
const IN_TRAINING: &str = "the field in training";
/// What the optimiser keeps of the grid, of the networks, and of a member's parameters.
const OPTIMIZER: [&str; 3] = ["optimizer.grid", "optimizer.network", "optimizer.kernel"];
/// Numbers of the photographs.
const EXPOSURE: &str = "exposure";
const CORRECTION: &str = "camera_correction";

/// Rays or samples between two settings of the rays per step: no run counts so many, and sums have room above it.
const MOST_RECENT: u64 = 1 << 53;

/// Name of the weights of layer `number`.
fn layer_name(field: &Field, number: usize) -> String {
    let n_density = field.decoder.n_density_layers;
    if number < n_density {
        format!("density_network.{number}.weight")
    } else {
        format!("color_network.{}.weight", number - n_density)
    }
}

fn fill<T: Pod + Element>(buffer: &mut Buffer<T>, from: &Checkpoint, name: &str, shape: &[usize]) -> Result<()> {
    buffer.upload(0, from.get(name, shape)?)
}

impl Field {
    /// The field that a checkpoint renders.
    pub(super) fn from_checkpoint(device: &Device, checkpoint: &Checkpoint) -> Result<Self> {
        let model = checkpoint.header.config.model.after_upscales(upscales(checkpoint)?);
        let mut field = Field::open(device, &model, &Source::Saved(checkpoint))?;
        let shape = [field.grid.n_entries(), field.grid.n_features_per_level as usize];
        fill(&mut field.table, checkpoint, FEATURES, &shape)?;
        let mut first = 0;
        for number in 0..field.decoder.layers.len() {
            let layer = field.decoder.layers[number];
            let shape = [layer.n_out as usize, layer.n_in as usize];
            field.weights.upload(first, checkpoint.get(&layer_name(&field, number), &shape)?)?;
            first += layer.n_weights();
        }
        field.refresh_copies(device)?;
        Ok(field)
    }

    /// Features, weights and what the grid's member has, as tensors.
    fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let shape = [self.grid.n_entries(), self.grid.n_features_per_level as usize];
        let mut tensors = vec![Tensor::new(FEATURES, &shape, self.table.download()?)];
        let weights = self.weights.download()?;
        let mut first = 0;
        for (number, layer) in self.decoder.layers.iter().enumerate() {
            let shape = [layer.n_out as usize, layer.n_in as usize];
            let own = weights[first..first + layer.n_weights()].to_vec();
            tensors.push(Tensor::new(layer_name(self, number), &shape, own));
            first += layer.n_weights();
        }
        if let Some(member) = &self.member {
            tensors.extend(member.tensors()?);
        }
        Ok(tensors)
    }
}

/// Doublings of the grid's resolution behind.
fn upscales(checkpoint: &Checkpoint) -> Result<usize> {
    let grid = &checkpoint.header.config.model.grid;
    if grid.upscale_at.is_empty() {
        return Ok(0);
    }
    let reached: &[u32] = checkpoint.get(BASE_RESOLUTION, &[1])?;
    let stage = (0..=grid.upscale_at.len()).find(|&n| grid.after_upscales(n).base_resolution == reached[0]);
    stage.ok_or_else(|| {
        checkpoint.refuse(format!(
            "tensor `{BASE_RESOLUTION}` is {}, which its config does not lead to; the checkpoint is of another model",
            reached[0]
        ))
    })
}

impl Occupancy {
    fn shape(&self) -> [usize; 2] {
        [self.cascades as usize, (self.resolution as usize).pow(3)]
    }

    pub(super) fn from_checkpoint(device: &Device, checkpoint: &Checkpoint) -> Result<Self> {
        let mut occupancy = Occupancy::full(device, &checkpoint.header.config.march)?;
        let shape = occupancy.shape();
        fill(&mut occupancy.value, checkpoint, OCCUPANCY_VALUE, &shape)?;
        let bytes: &[u8] = checkpoint.get(OCCUPANCY_BITS, &[shape[0], shape[1] / 8])?;
        occupancy.bits.upload(0, &bytemuck::pod_collect_to_vec::<u8, u64>(bytes))?;
        occupancy.renew_blocks(device)?;
        Ok(occupancy)
    }

    fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let shape = self.shape();
        let bytes: Vec<u8> = bytemuck::cast_slice(&self.bits.download()?).to_vec();
        Ok(vec![
            Tensor::new(OCCUPANCY_VALUE, &shape, self.value.download()?),
            Tensor::new(OCCUPANCY_BITS, &[shape[0], shape[1] / 8], bytes),
        ])
    }
}

/// The state of the optimiser under `prefix`: `value` (only where what renders is a moving average), `first_moment`,
/// `second_moment`, `updates`, and the average with the step it was brought up to.
fn optimizer_tensors(prefix: &str, value: &Buffer<f32>, moments: &Moments) -> Result<Vec<Tensor<'static>>> {
    let shape = [moments.steps.len(), moments.width];
    let named =
        |name: &str, shape: &[usize], data: TensorData<'static>| Tensor::new(format!("{prefix}.{name}"), shape, data);
    let mut tensors = vec![
        named("first_moment", &shape, moments.first.download()?.into()),
        named("second_moment", &shape, moments.second.download()?.into()),
        named("updates", &shape[..1], moments.steps.download()?.into()),
    ];
    if let Some((average, average_step)) = &moments.average {
        tensors.push(named("value", &shape, value.download()?.into()));
        tensors.push(named("average", &shape, average.download()?.into()));
        tensors.push(named("average_step", &shape[..1], average_step.download()?.into()));
    }
    Ok(tensors)
}

fn restore_optimizer(
    checkpoint: &Checkpoint,
    prefix: &str,
    value: &mut Buffer<f32>,
    moments: &mut Moments,
) -> Result<()> {
    let shape = [moments.steps.len(), moments.width];
    let name = |name: &str| format!("{prefix}.{name}");
    fill(&mut moments.first, checkpoint, &name("first_moment"), &shape)?;
    fill(&mut moments.second, checkpoint, &name("second_moment"), &shape)?;
    fill(&mut moments.steps, checkpoint, &name("updates"), &shape[..1])?;
    if let Some((average, average_step)) = &mut moments.average {
        fill(value, checkpoint, &name("value"), &shape)?;
        fill(average, checkpoint, &name("average"), &shape)?;
        fill(average_step, checkpoint, &name("average_step"), &shape[..1])?;
    }
    Ok(())
}

/// The trainer's count `name`, which kernels and sums rely on to be within `range`.
fn count(checkpoint: &Checkpoint, name: &str, range: RangeInclusive<u64>) -> Result<u64> {
    let value = checkpoint.trainer_state(name)?;
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = range.into_inner();
    Err(checkpoint.refuse(format!(
        "the trainer's `{name}` is {value} in the header, but must be from {least} to {most}; use an earlier checkpoint"
    )))
}

impl Trainer {
    /// Goes on where a checkpoint was written, with its configuration.
    ///
    /// # Errors
    /// Where the checkpoint holds no training state, or one that its configuration does not fit.
    pub fn resume(device: &Device, checkpoint: &Checkpoint, scene: &Scene, photographs: Photographs) -> Result<Self> {
        let field = Field::from_checkpoint(device, checkpoint)?;
        let header = &checkpoint.header;
        let config = &header.config;
        let mut trainer =
            Trainer::with_field(device, config, scene, header.space, photographs, field, upscales(checkpoint)?)?;
        trainer.occupancy = Occupancy::from_checkpoint(device, checkpoint)?;
        restore_optimizer(checkpoint, OPTIMIZER[0], &mut trainer.field.table, &mut trainer.table_moments)?;
        restore_optimizer(checkpoint, OPTIMIZER[1], &mut trainer.field.weights, &mut trainer.weight_moments)?;
        let parameters = trainer.field.member.as_mut().and_then(|member| member.parameters_mut());
        if let (Some(training), Some(parameters)) = (&mut trainer.member, parameters) {
            restore_optimizer(checkpoint, OPTIMIZER[2], parameters, &mut training.moments)?;
        }
        let corrections = trainer.refinement.as_mut().map(|refinement| &mut refinement.corrections);
        for (name, numbers) in [(EXPOSURE, trainer.exposure.as_mut()), (CORRECTION, corrections)] {
            let Some(numbers) = numbers else { continue };
            let shape = numbers.shape();
            fill(&mut numbers.value, checkpoint, name, &shape)?;
            restore_optimizer(checkpoint, &format!("optimizer.{name}"), &mut numbers.value, &mut numbers.moments)?;
        }
        trainer.field.refresh_copies(device)?;
        trainer.step = checkpoint.header.step;
        trainer.seconds = checkpoint.header.seconds;
        trainer.unit_cube = checkpoint.header.unit_cube;
        // Another device may have cut its work otherwise, and kept a few rays more or less than are possible here.
        let most = u64::from(trainer.config.train.batch_samples).next_multiple_of(ChunkSize::HOST_SAMPLES as u64);
        let rays = count(checkpoint, "rays_per_step", 1..=most)? as usize;
        let possible = trainer.possible_rays();
        trainer.rays_per_step = rays.clamp(*possible.start(), *possible.end());
        // No step refreshes the grid more than once.
        trainer.refreshes = count(checkpoint, "occupancy_refreshes", 0..=trainer.step.min(u64::from(u32::MAX)))? as u32;
        trainer.recent.rays = count(checkpoint, "recent_rays", 0..=MOST_RECENT)?;
        trainer.recent.samples = count(checkpoint, "recent_samples", 0..=MOST_RECENT)?;
        Ok(trainer)
    }

    /// Everything needed to render the field and to go on training it.
    pub(super) fn make_checkpoint(&mut self) -> Result<Checkpoint<'static>> {
        self.read_statistics()?;
        let mut header =
            Header::new(self.config.clone(), self.scene.name.clone(), self.unit_cube, self.step, self.seconds);
        header.space = self.space;
        header.trainer = self.scalars();
        let mut tensors = self.averaged_field()?.tensors()?;
        if !self.config.model.grid.upscale_at.is_empty() {
            tensors.push(Tensor::new(BASE_RESOLUTION, &[1], vec![self.model().grid.base_resolution]));
        }
        tensors.extend(self.occupancy.tensors()?);
        tensors.extend(self.optimizer_tensors()?);
        if tensors.iter().any(|tensor| tensor.data.first_not_finite().is_some()) {
            return Err(Error::diverged(self.step, "parameters of the field became NaN or infinite"));
        }
        Ok(Checkpoint::new(header, tensors))
    }

    fn optimizer_tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let mut tensors = optimizer_tensors(OPTIMIZER[0], &self.field.table, &self.table_moments)?;
        tensors.extend(optimizer_tensors(OPTIMIZER[1], &self.field.weights, &self.weight_moments)?);
        if let (Some(training), Some(parameters)) = (&self.member, self.field.member_parameters()) {
            tensors.extend(optimizer_tensors(OPTIMIZER[2], parameters, &training.moments)?);
        }
        let corrections = self.refinement.as_ref().map(|refinement| &refinement.corrections);
        for (name, numbers) in [(EXPOSURE, self.exposure.as_ref()), (CORRECTION, corrections)] {
            let Some(numbers) = numbers else { continue };
            let shape = numbers.shape();
            let mut values = numbers.value.download()?;
            values.truncate(shape[0] * shape[1]);
            tensors.push(Tensor::new(name, &shape, values));
            tensors.extend(optimizer_tensors(&format!("optimizer.{name}"), &numbers.value, &numbers.moments)?);
        }
        Ok(tensors)
    }

    fn scalars(&self) -> Map<String, Value> {
        let values = [
            ("rays_per_step", json!(self.rays_per_step)),
            ("occupancy_refreshes", json!(self.refreshes)),
            ("recent_rays", json!(self.recent.rays)),
            ("recent_samples", json!(self.recent.samples)),
            (FINGERPRINT, json!(Fingerprint::of(&self.scene.splits, self.config.scene.downscale))),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The field that renders: the moving average where there is one.
    ///
    /// # Errors
    /// [`Error::Diverged`] where it gives numbers that are not finite.
    fn averaged_field(&self) -> Result<Field> {
        let mut field = self.field.twin(&self.device)?;
        let (device, adam) = (&self.device, &self.adam);
        adam.average(device, self.step, &self.field.table, &self.table_moments, &mut field.table)?;
        adam.average(device, self.step, &self.field.weights, &self.weight_moments, &mut field.weights)?;
        let averaged = field.member.as_mut().and_then(|member| member.parameters_mut());
        if let (Some(training), Some(own), Some(averaged)) = (&self.member, self.field.member_parameters(), averaged) {
            adam.average(device, self.step, own, &training.moments, averaged)?;
        }
        field.refresh_copies(device)?;
        let tracer = Tracer { device, field: &field, occupancy: &self.occupancy, march: &self.march };
        if probe::is_finite(&tracer)? { Ok(field) } else { Err(self.not_finite()) }
    }

    /// Draws the field as it is now.
    pub fn renderer(&self) -> Result<Renderer> {
        let mut occupancy = Occupancy::full(&self.device, &self.config.march)?;
        occupancy.bits.upload(0, &self.occupancy.bits.download()?)?;
        occupancy.renew_blocks(&self.device)?;
        Renderer::new(
            &self.device,
            &self.config,
            self.unit_cube,
            &self.space,
            self.averaged_field()?,
            occupancy,
            IN_TRAINING.as_ref(),
        )
    }
}
