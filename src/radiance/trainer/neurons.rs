//! Counts the neurons of the networks that are active anywhere in what the training images show.

use super::Trainer;
use crate::Result;
use crate::decoder::LayerNeurons;
use crate::field::Field;
use crate::radiance::chunk::TrainingChunk;
use crate::radiance::volume_renderer::VolumeRenderer;

/// A sample counts as seen if its weight in a pixel is above this.
const LEAST_WEIGHT: f32 = 0.01;
/// Approximate number of samples examined.
const SAMPLES: usize = 1 << 18;

impl Trainer {
    /// Counts the neurons of `field` that are active at any visible sample, on rays drawn as in training. Overwrites
    /// the sample buffers of the training step.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(super) fn neurons(&mut self, field: &Field) -> Result<Vec<LayerNeurons>> {
        let volume = VolumeRenderer::new(&self.device, field, &self.occupancy, &self.march);
        let (n_chunks, n_rays) = (self.chunks.len(), self.rays_per_step.div_ceil(self.chunks.len()));
        let passes = SAMPLES.div_ceil(self.config.train.batch_samples as usize);
        let (training_images, train, workers, step) =
            (&self.training_images, &self.config.train, &self.workers, self.progress.step);
        let cameras = self
            .camera_optimizer
            .as_ref()
            .map_or(&training_images.cameras, |camera_optimizer| &camera_optimizer.cameras);
        let mut work: Vec<(&mut TrainingChunk, Vec<Vec<u32>>)> =
            self.chunks.iter_mut().map(|chunk| (chunk, Vec::new())).collect();
        self.device.for_each_chunk(&mut work, |worker, index, (training, counted)| {
            let (chunk, scratch) = (&mut training.chunk, &workers[worker]);
            chunk.n_rays = n_rays;
            for pass in 0..passes {
                training_images.draw(&volume, cameras, train, chunk, (pass * n_chunks + index) * n_rays, step)?;
                let rounds = volume.forward(chunk, scratch)?;
                volume.sample_weights(chunk, rounds)?;
                let (samples, weight) = (&chunk.samples, chunk.samples.dl_ddensity.ptr());
                let count = samples.count.ptr_at(rounds);
                counted.push(field.count_active(
                    volume.device,
                    scratch,
                    weight,
                    LEAST_WEIGHT,
                    count,
                    samples.capacity,
                )?);
            }
            Ok(())
        })?;
        Ok(field.neurons(work.iter().flat_map(|(_, counted)| counted)))
    }
}
