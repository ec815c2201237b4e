//! A training run from its first step to its last: reports, evaluations, checkpoints, and what ends it.

use std::time::Instant;

use super::evaluate::{self, Summary};
use super::trainer::Trainer;
use crate::scene::{Scene, View};
use crate::train::progress::{Evaluated, Finished, Started, StepReport};
use crate::train::{Run, RunControl, StopReason, TrainEvent, schedule};
use crate::{Error, Result};

/// Seconds between reports.
const REPORT_EVERY: f64 = 1.0;
/// Images of an evaluation during training.
const MOST_EVALUATED: usize = 10;

/// Receives what happens in a run.
pub type OnEvent<'a> = dyn FnMut(TrainEvent) -> Result<()> + 'a;

impl Trainer {
    /// Trains until the configured end or until `control` says stop; the last checkpoint is of the last step.
    ///
    /// # Errors
    /// Where the loss is no longer finite, a checkpoint cannot be written, or `on_event` fails.
    pub fn run(&mut self, run: &Run, scene: &Scene, control: &RunControl, on_event: &mut OnEvent) -> Result<()> {
        on_event(TrainEvent::Started(self.started()))?;
        let mut saved = None;
        let mut reported = Instant::now();
        let mut quiet_time = 0.0; // of evaluations and checkpoints since the last report
        let reason = loop {
            if let Some(reason) = self.stop_reason(control) {
                break reason;
            }
            self.step()?;
            self.check_loss(run)?;
            let elapsed = reported.elapsed().as_secs_f64() - quiet_time;
            if elapsed >= REPORT_EVERY {
                on_event(TrainEvent::Step(self.step_report(elapsed)?))?;
                (reported, quiet_time) = (Instant::now(), 0.0);
            }
            let begun = Instant::now();
            if due(self.step, self.config.train.save_every) {
                saved = Some(self.step);
                self.save(run, on_event)?;
            }
            if due(self.step, self.config.train.eval_every) {
                self.evaluate(scene, on_event)?;
            }
            quiet_time += begun.elapsed().as_secs_f64();
        };
        let elapsed = reported.elapsed().as_secs_f64() - quiet_time;
        if self.report.rays > 0 || elapsed > 0.0 {
            let report = self.step_report(elapsed)?;
            if report.rays_per_second > 0.0 {
                on_event(TrainEvent::Step(report))?;
            }
        }
        if saved != Some(self.step) {
            self.save(run, on_event)?;
        }
        on_event(TrainEvent::Finished(Finished { step: self.step, seconds: self.seconds, reason }))
    }

    fn started(&self) -> Started {
        let train = &self.config.train;
        Started {
            scene: self.scene_name.clone(),
            model: self.config.model.name.as_str().to_owned(),
            device: self.device.describe(),
            n_parameters: self.field.n_parameters() as u64,
            n_images: self.n_photographs() as u64,
            step: self.step,
            max_steps: train.max_steps,
            max_seconds: train.max_seconds,
        }
    }

    fn stop_reason(&self, control: &RunControl) -> Option<StopReason> {
        let train = &self.config.train;
        if self.step >= train.max_steps {
            Some(StopReason::MaxSteps)
        } else if train.max_seconds.is_some_and(|limit| self.seconds >= limit) {
            Some(StopReason::MaxSeconds)
        } else {
            control.stop_reason(self.step)
        }
    }

    /// Ends the run once the loss has left the finite numbers. Where reading it means to wait for the device, that is
    /// seen at the next report or refresh of the occupancy grid.
    fn check_loss(&mut self, run: &Run) -> Result<()> {
        if self.device.is_host() {
            self.read_statistics()?;
        }
        if self.report.loss.is_finite() {
            return Ok(());
        }
        let kept = match run.newest_checkpoint() {
            Ok(path) => format!("the last good checkpoint is {}", path.display()),
            Err(_) => "no checkpoint had been written yet".to_owned(),
        };
        Err(Error::Diverged { step: self.step, loss: self.report.loss, kept })
    }

    /// Averages since the last report, which took `elapsed` seconds of training.
    fn step_report(&mut self, elapsed: f64) -> Result<StepReport> {
        self.read_statistics()?;
        let sums = std::mem::take(&mut self.report);
        let progress = schedule::progress(&self.config.train, self.step, self.seconds);
        let rays = sums.rays.max(1) as f64;
        Ok(StepReport {
            step: self.step,
            loss: sums.loss / rays,
            psnr: sums.psnr(),
            learning_rate: self.learning_rate(),
            rays_per_second: sums.rays as f64 / elapsed,
            samples_per_second: sums.samples as f64 / elapsed,
            samples_per_ray: sums.samples as f64 / rays,
            seconds: self.seconds,
            eta_seconds: (progress > 0.0).then(|| self.seconds / progress * (1.0 - progress)),
        })
    }

    fn save(&mut self, run: &Run, on_event: &mut OnEvent) -> Result<()> {
        let path = run.save(&self.checkpoint()?)?;
        on_event(TrainEvent::Saved { step: self.step, path })
    }

    /// Scores the validation views, or the first test views where there are none.
    fn evaluate(&mut self, scene: &Scene, on_event: &mut OnEvent) -> Result<()> {
        let splits = &scene.splits;
        let (split, views): (_, &[View]) =
            if splits.val.is_empty() { ("test", &splits.test) } else { ("val", &splits.val) };
        if views.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let renderer = self.renderer()?;
        let downscale = self.config.scene.downscale;
        let scores = views
            .iter()
            .take(MOST_EVALUATED)
            .map(|view| Ok(evaluate::compare(&renderer, view, downscale, scene.background)?.score))
            .collect::<Result<Vec<_>>>()?;
        let summary = Summary::of(&scores);
        on_event(TrainEvent::Evaluated(Evaluated {
            step: self.step,
            split: split.to_owned(),
            n_images: scores.len() as u64,
            psnr: summary.psnr,
            ssim: summary.ssim.unwrap_or(f64::NAN),
            seconds: begun.elapsed().as_secs_f64(),
        }))
    }
}

fn due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
