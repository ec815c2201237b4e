//! Saves a field and its training state to checkpoints and restores them; `docs/formats.md` lists the tensors.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::Trainer;
use crate::Result;
use crate::checkpoint::{Checkpoint, Header, Tensor};
use crate::decoder::Head;
use crate::device::Device;
use crate::field::{Field, FieldOptimizer, fill, optimizer_tensors, restore_optimizer};
use crate::radiance::chunk::ChunkSize;
use crate::radiance::dataset::{FINGERPRINT, Fingerprint};
use crate::radiance::finite_check;
use crate::radiance::occupancy::Occupancy;
use crate::radiance::per_image::PerImage;
use crate::radiance::renderer::Renderer;
use crate::radiance::training_images::TrainingImages;
use crate::radiance::volume_renderer::VolumeRenderer;
use crate::scene::Scene;
use crate::train::{IN_TRAINING, Progress, Task as _};

/// Names of the tensors with the per-image parameters.
const EXPOSURE: &str = "exposure";
const CORRECTION: &str = "camera_correction";

/// Largest accepted count of rays or samples since the rays per step were last set. No run counts that many, and adding
/// to such a count cannot overflow.
const MOST_RECENT: u64 = 1 << 53;

/// Reads the trainer's counter `name`, which must be within `range`: kernels and sums rely on it.
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
    /// Resumes training from a checkpoint, with the checkpoint's configuration.
    ///
    /// # Errors
    /// Returns an error if the checkpoint holds no training state, or one that does not match its configuration.
    pub fn resume(
        device: &Device,
        checkpoint: &Checkpoint,
        scene: &Scene,
        training_images: TrainingImages,
    ) -> Result<Self> {
        let field = Field::from_checkpoint(device, checkpoint, Head::Radiance)?;
        let header = &checkpoint.header;
        let config = &header.config;
        let mut trainer = Trainer::with_field(device, config, scene, header.space, training_images, field)?;
        trainer.occupancy = Occupancy::from_checkpoint(device, checkpoint)?;
        trainer.field_optimizer =
            FieldOptimizer::from_checkpoint(device, checkpoint, &mut trainer.field, trainer.chunks.len())?;
        for (name, numbers) in trainer.per_image_mut() {
            let shape = numbers.shape();
            fill(&mut numbers.value, checkpoint, name, &shape)?;
            restore_optimizer(checkpoint, &format!("optimizer.{name}"), &mut numbers.value, &mut numbers.moments)?;
        }
        trainer.progress = Progress::of(&checkpoint.header);
        trainer.unit_cube = checkpoint.header.unit_cube;
        // Another device may have divided its work into chunks differently, and its number of rays may be slightly out
        // of range here.
        let most = u64::from(trainer.config.train.batch_samples).next_multiple_of(ChunkSize::HOST_SAMPLES as u64);
        let rays = count(checkpoint, "rays_per_step", 1..=most)? as usize;
        let possible = trainer.possible_rays();
        trainer.rays_per_step = rays.clamp(*possible.start(), *possible.end());
        // No step updates the grid more than once.
        trainer.occupancy_updates =
            count(checkpoint, "occupancy_refreshes", 0..=trainer.progress.step.min(u64::from(u32::MAX)))? as u32;
        trainer.recent.rays = count(checkpoint, "recent_rays", 0..=MOST_RECENT)?;
        trainer.recent.samples = count(checkpoint, "recent_samples", 0..=MOST_RECENT)?;
        Ok(trainer)
    }

    /// Returns a checkpoint with everything needed to render the field and to resume its training.
    pub(super) fn make_checkpoint(&mut self) -> Result<Checkpoint<'static>> {
        self.join_checkpoint()?;
        let Progress { step, seconds } = self.progress;
        let mut header = Header::new(self.config.clone(), self.scene.name.clone(), self.unit_cube, step, seconds);
        header.space = self.space;
        header.trainer = self.scalars();
        let field = self.averaged_field()?;
        header.neurons = self.neurons(&field)?;
        let mut tensors = field.tensors()?;
        tensors.extend(self.occupancy.tensors()?);
        tensors.extend(self.field_optimizer.tensors(&self.config, &self.field)?);
        tensors.extend(self.per_image_tensors()?);
        Checkpoint::of_training(header, tensors)
    }

    /// Returns the per-image parameters with the names of their tensors.
    pub(super) fn per_image(&self) -> impl Iterator<Item = (&'static str, &PerImage)> {
        let corrections = self.camera_optimizer.as_ref().map(|camera_optimizer| &camera_optimizer.corrections);
        [(EXPOSURE, self.exposure.as_ref()), (CORRECTION, corrections)]
            .into_iter()
            .filter_map(|(name, numbers)| Some((name, numbers?)))
    }

    /// Returns the per-image parameters with the names of their tensors, as mutable references.
    fn per_image_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut PerImage)> {
        let corrections = self.camera_optimizer.as_mut().map(|camera_optimizer| &mut camera_optimizer.corrections);
        [(EXPOSURE, self.exposure.as_mut()), (CORRECTION, corrections)]
            .into_iter()
            .filter_map(|(name, numbers)| Some((name, numbers?)))
    }

    /// Returns the per-image parameters and their Adam state as tensors.
    fn per_image_tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let mut tensors = Vec::new();
        for (name, numbers) in self.per_image() {
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
            ("occupancy_refreshes", json!(self.occupancy_updates)),
            ("recent_rays", json!(self.recent.rays)),
            ("recent_samples", json!(self.recent.samples)),
            (FINGERPRINT, json!(Fingerprint::of(&self.scene.splits, self.config.scene.downscale))),
        ];
        values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Returns the field to render: the moving average if there is one.
    ///
    /// # Errors
    /// Returns [`Error::Diverged`] if the field's outputs are not finite.
    fn averaged_field(&self) -> Result<Field> {
        let device = &self.device;
        let field = self.field_optimizer.averaged(device, &self.field, self.progress.step)?;
        let volume = VolumeRenderer::new(device, &field, &self.occupancy, &self.march);
        if finite_check::is_finite(&volume)? { Ok(field) } else { Err(self.not_finite()) }
    }

    /// Returns a renderer of the field in its current state.
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
