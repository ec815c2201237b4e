//! Radiance field training as a task of a training session: steps, reports and evaluations.

use std::time::Instant;

use super::{Statistics, Trainer};
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::radiance::dataset::plain_background;
use crate::radiance::evaluate::{self, Summary};
use crate::radiance::occupancy::Occupancy;
use crate::radiance::protocol::Protocol;
use crate::render::Render;
use crate::train::event::{Evaluated, Started, StepReport};
use crate::train::{Progress, Task, schedule};

/// Maximum number of images in an evaluation during training.
const MOST_EVALUATED: usize = 10;

impl Task for Trainer {
    fn started(&self) -> Started {
        let (device, n_parameters) = (self.ranks.describe(&self.device), self.field.n_parameters());
        let n_images = Some(self.n_images() as u64);
        Started::new(&self.scene.name, &self.config, device, n_parameters, n_images, self.progress.step)
    }

    fn progress(&self) -> Progress {
        self.progress
    }

    fn train_step(&mut self) -> Result<()> {
        let begun = Instant::now();
        let completed = schedule::completed(&self.config.train, self.progress);
        self.field_optimizer.upscale(&self.device, &self.config, &mut self.field, completed)?;
        self.field.prepare(&self.device)?;
        if let Some(exposure) = &self.exposure {
            exposure.prepare(&self.device)?;
        }
        if let Some(camera_optimizer) = &self.camera_optimizer {
            camera_optimizer.prepare(&self.device, &self.training_images.cameras)?;
        }
        if self.progress.step.is_multiple_of(Occupancy::interval(self.progress.step)) {
            self.update_occupancy()?;
            self.adapt_rays()?;
        }
        self.clear_gradients()?;
        let mut n_rays = 0;
        for number in 0..self.config.train.accumulate as usize {
            n_rays += self.trace(number)?;
            self.scatter()?;
        }
        self.optimizer_step(n_rays)?;
        self.progress.count_step(begun);
        Ok(())
    }

    fn reads_each_step(&self) -> bool {
        self.device.is_host()
    }

    fn read_statistics(&mut self) -> Result<()> {
        let mut read = Statistics::default();
        for training in &mut self.chunks {
            let (sums, counts) = (training.sums.download()?, training.counts.download()?);
            read.add(&Statistics {
                loss: f64::from(sums[0]),
                squared_error: f64::from(sums[1]),
                rays: u64::from(counts[0]),
                samples: u64::from(counts[1]),
                dropped: u64::from(counts[2]),
                composited: u64::from(counts[3]),
            });
            training.sums.clear()?;
            training.counts.clear()?;
        }
        let read = read.over(&self.ranks);
        self.report.add(&read);
        self.recent.add(&read);
        Ok(())
    }

    fn set_seconds(&mut self, seconds: f64) {
        self.progress.seconds = seconds;
    }

    fn summed_loss(&self) -> f64 {
        self.report.loss
    }

    fn averages(&mut self, since: Instant) -> Option<StepReport> {
        if self.report.rays == 0 {
            return None;
        }
        let sums = std::mem::take(&mut self.report);
        let (rays, elapsed) = (sums.rays as f64, since.elapsed().as_secs_f64());
        Some(StepReport {
            loss: sums.loss / rays,
            psnr: Some(sums.psnr()),
            rays_per_second: Some(rays / elapsed),
            samples_per_second: sums.samples as f64 / elapsed,
            samples_per_ray: Some(sums.samples as f64 / rays),
            asked_per_composited: Some(sums.asked_per_composited()),
            ..StepReport::at(self.progress, &self.config)
        })
    }

    fn checkpoint(&mut self) -> Result<Checkpoint<'_>> {
        self.make_checkpoint()
    }

    fn join_checkpoint(&mut self) -> Result<()> {
        self.read_statistics()?;
        self.merge_occupancy()?;
        if self.ranks.is_alone() {
            return Ok(());
        }
        self.ranks.agree("field", &format_args!("{:016x} after step {}", self.digest()?, self.progress.step))
    }

    /// Scores the validation views, or the test views if there are none, up to `MOST_EVALUATED`.
    fn evaluate(&mut self) -> Result<Option<Evaluated>> {
        let splits = &self.scene.splits;
        let (split, views) = if splits.val.is_empty() { ("test", &splits.test) } else { ("val", &splits.val) };
        if views.is_empty() {
            return Ok(None);
        }
        let begun = Instant::now();
        let renderer = self.renderer()?;
        let downscale = self.config.scene.downscale;
        let background = plain_background(&self.config.train, &self.scene);
        let scores = views
            .iter()
            .take(MOST_EVALUATED)
            .map(|view| Ok(evaluate::compare(&renderer, view, downscale, background, Protocol::Unrounded)?.score))
            .collect::<Result<Vec<_>>>()?;
        let summary = Summary::of(&scores);
        Ok(Some(Evaluated {
            step: self.progress.step,
            split: split.to_owned(),
            n_images: Some(scores.len() as u64),
            psnr: Some(summary.psnr),
            ssim: summary.ssim,
            iou: None,
            seconds: begun.elapsed().as_secs_f64(),
        }))
    }

    fn snapshot(&self) -> Result<Option<Box<dyn Render>>> {
        Ok(Some(Box::new(self.renderer()?)))
    }
}
