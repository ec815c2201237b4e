//! A radiance field as a task of a training session: stretches of steps with their reports, and evaluations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::evaluate::{self, Summary};
use super::source::plain_background;
use super::trainer::Trainer;
use crate::train::progress::{Evaluated, Started, StepReport};
use crate::train::session::Task;
use crate::train::{Checkpoint, schedule};
use crate::{Error, Result};

/// Seconds between reports.
const REPORT_EVERY: f64 = 1.0;
/// Images of an evaluation during training.
const MOST_EVALUATED: usize = 10;

impl Task for Trainer {
    fn started(&self) -> Started {
        let train = &self.config.train;
        Started {
            scene: self.scene.name.clone(),
            model: self.config.model.name.as_str().to_owned(),
            device: self.device.describe(),
            n_parameters: self.field.n_parameters() as u64,
            n_images: Some(self.n_photographs() as u64),
            step: self.step,
            max_steps: train.max_steps,
            max_seconds: train.max_seconds,
        }
    }

    fn step(&self) -> u64 {
        self.step
    }

    fn seconds(&self) -> f64 {
        self.seconds
    }

    fn train_until(
        &mut self,
        step: u64,
        interrupted: &AtomicBool,
        report: &mut dyn FnMut(StepReport) -> Result<()>,
    ) -> Result<()> {
        let mut reported = Instant::now();
        while self.step < step && !self.out_of_time() && !interrupted.load(Ordering::Relaxed) {
            self.step()?;
            self.check_loss()?;
            if reported.elapsed().as_secs_f64() >= REPORT_EVERY {
                report(self.step_report(reported)?)?;
                reported = Instant::now();
            }
        }
        self.read_statistics()?;
        self.check_loss()?;
        if self.report.rays > 0 { report(self.step_report(reported)?) } else { Ok(()) }
    }

    fn checkpoint(&mut self) -> Result<Checkpoint<'_>> {
        self.make_checkpoint()
    }

    /// Scores the validation views, or the first test views where there are none.
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
            .map(|view| Ok(evaluate::compare(&renderer, view, downscale, background)?.score))
            .collect::<Result<Vec<_>>>()?;
        let summary = Summary::of(&scores);
        Ok(Some(Evaluated {
            step: self.step,
            split: split.to_owned(),
            n_images: scores.len() as u64,
            psnr: summary.psnr,
            ssim: summary.ssim,
            seconds: begun.elapsed().as_secs_f64(),
        }))
    }
}

impl Trainer {
    fn out_of_time(&self) -> bool {
        self.config.train.max_seconds.is_some_and(|limit| self.seconds >= limit)
    }

    /// An error once the loss has left the finite numbers. Where reading it means to wait for the device, that is seen
    /// when the occupancy grid is refreshed or at the next report.
    fn check_loss(&mut self) -> Result<()> {
        if self.device.is_host() {
            self.read_statistics()?;
        }
        if self.report.loss.is_finite() {
            return Ok(());
        }
        Err(Error::diverged(self.step, format!("the loss became {}", self.report.loss)))
    }

    /// Averages since the last report.
    fn step_report(&mut self, since: Instant) -> Result<StepReport> {
        self.read_statistics()?;
        let elapsed = since.elapsed().as_secs_f64();
        let sums = std::mem::take(&mut self.report);
        let progress = schedule::progress(&self.config.train, self.step, self.seconds);
        let rays = sums.rays.max(1) as f64;
        Ok(StepReport {
            step: self.step,
            loss: sums.loss / rays,
            psnr: Some(sums.psnr()),
            learning_rate: self.learning_rate(),
            rays_per_second: Some(sums.rays as f64 / elapsed),
            samples_per_second: sums.samples as f64 / elapsed,
            samples_per_ray: Some(sums.samples as f64 / rays),
            seconds: self.seconds,
            eta_seconds: (progress > 0.0).then(|| self.seconds / progress * (1.0 - progress)),
        })
    }
}
