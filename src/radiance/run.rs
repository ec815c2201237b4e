//! Radiance field training as a task of a training session: steps, reports and evaluations.

use std::time::Instant;

use super::dataset::plain_background;
use super::evaluate::{self, Summary};
use super::protocol::Protocol;
use super::trainer::Trainer;
use crate::checkpoint::Checkpoint;
use crate::train::progress::{Evaluated, Started, StepReport};
use crate::train::schedule;
use crate::train::session::Task;
use crate::{Error, Result};

/// Maximum number of images in an evaluation during training.
const MOST_EVALUATED: usize = 10;

impl Task for Trainer {
    fn started(&self) -> Started {
        let (device, n_parameters) = (self.device.describe(), self.field.n_parameters());
        let n_images = Some(self.n_images() as u64);
        Started::new(&self.scene.name, &self.config, device, n_parameters, n_images, self.step)
    }

    fn step(&self) -> u64 {
        self.step
    }

    fn seconds(&self) -> f64 {
        self.seconds
    }

    fn advance(&mut self) -> Result<()> {
        self.step()?;
        if self.device.is_host() {
            self.read_statistics()?;
        }
        self.check_loss()
    }

    fn report(&mut self, since: Instant) -> Result<Option<StepReport>> {
        self.read_statistics()?;
        self.check_loss()?;
        Ok((self.report.rays > 0).then(|| self.step_report(since)))
    }

    fn checkpoint(&mut self) -> Result<Checkpoint<'_>> {
        self.make_checkpoint()
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
            step: self.step,
            split: split.to_owned(),
            n_images: Some(scores.len() as u64),
            psnr: Some(summary.psnr),
            ssim: summary.ssim,
            iou: None,
            seconds: begun.elapsed().as_secs_f64(),
        }))
    }
}

impl Trainer {
    /// Returns an error if the loss, as far as it has been read, is not finite.
    fn check_loss(&self) -> Result<()> {
        if self.report.loss.is_finite() {
            return Ok(());
        }
        Err(Error::diverged(self.step, format!("the loss became {}", self.report.loss)))
    }

    /// Returns the averages since the last report, and resets the sums.
    fn step_report(&mut self, since: Instant) -> StepReport {
        let elapsed = since.elapsed().as_secs_f64();
        let sums = std::mem::take(&mut self.report);
        let rays = sums.rays.max(1) as f64;
        StepReport {
            step: self.step,
            loss: sums.loss / rays,
            psnr: Some(sums.psnr()),
            learning_rate: self.learning_rate(),
            rays_per_second: Some(sums.rays as f64 / elapsed),
            samples_per_second: sums.samples as f64 / elapsed,
            samples_per_ray: Some(sums.samples as f64 / rays),
            asked_per_composited: Some(sums.asked_per_composited()),
            seconds: self.seconds,
            eta_seconds: schedule::seconds_left(&self.config.train, self.step, self.seconds),
        }
    }
}
