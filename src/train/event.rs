//! Events of a training run, which the command line displays and that are recorded in `metrics.jsonl`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Serialize, Serializer};

use super::{Progress, schedule};
use crate::config::Config;
use crate::decoder::LayerNeurons;

/// One event of a run. As JSON, each event is one object whose `event` field names its kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrainEvent {
    /// The run begins.
    Started(Started),
    /// Progress of training.
    Step(StepReport),
    /// A part of the data was evaluated.
    Evaluated(Evaluated),
    /// A checkpoint was written.
    Saved {
        /// Number of completed steps.
        step: u64,
        /// Path of the checkpoint.
        #[serde(serialize_with = "as_text")]
        path: PathBuf,
    },
    /// The run ended.
    Finished(Finished),
    /// Something the user should know that does not end the run.
    Warning {
        /// Text for the user.
        message: String,
    },
}

/// Serializes a path as text. JSON holds only text, so a path that is not valid Unicode is converted lossily.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// Description of the run that is about to start.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Started {
    /// Name of the scene, image or mesh.
    pub scene: String,
    /// Name of the model, as [`crate::config::ModelName::as_str`] gives it.
    pub model: String,
    /// Description of the device, such as `CPU, 2 threads, x86-64-v4`.
    pub device: String,
    /// Number of learned parameters: features and weights.
    pub n_parameters: u64,
    /// Number of training images; None for tasks that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_images: Option<u64>,
    /// Number of steps already completed; above 0 if the run is resumed.
    pub step: u64,
    /// Step at which the run ends.
    pub max_steps: u64,
    /// Seconds of training after which the run ends; None without a limit.
    pub max_seconds: Option<f64>,
}

impl Started {
    /// Describes a run of `config` on the scene named `scene`, from step `step` on.
    pub fn new(
        scene: &str,
        config: &Config,
        device: String,
        n_parameters: usize,
        n_images: Option<u64>,
        step: u64,
    ) -> Started {
        Started {
            scene: scene.to_owned(),
            model: config.model.name.as_str().to_owned(),
            device,
            n_parameters: n_parameters as u64,
            n_images,
            step,
            max_steps: config.train.max_steps,
            max_seconds: config.train.max_seconds,
        }
    }
}

/// Progress of training, averaged since the previous report.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Number of completed steps, including this one.
    pub step: u64,
    /// Training loss.
    pub loss: f64,
    /// PSNR in dB over the training pixels; None if the values have no peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psnr: Option<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Rays processed per second; None for tasks without rays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rays_per_second: Option<f64>,
    /// Samples processed per second.
    pub samples_per_second: f64,
    /// Mean number of samples per ray; None for tasks without rays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples_per_ray: Option<f64>,
    /// Number of samples at which the field was evaluated per composited sample; the others lay behind a surface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_per_composited: Option<f64>,
    /// Seconds of training so far, excluding loading and saving.
    pub seconds: f64,
    /// Estimated seconds of training left; None until the speed is known.
    pub eta_seconds: Option<f64>,
}

impl StepReport {
    /// Returns a report at `progress` without any averages yet.
    pub fn at(progress: Progress, config: &Config) -> StepReport {
        StepReport {
            step: progress.step,
            loss: 0.0,
            psnr: None,
            learning_rate: schedule::learning_rate(config, progress),
            rays_per_second: None,
            samples_per_second: 0.0,
            samples_per_ray: None,
            asked_per_composited: None,
            seconds: progress.seconds,
            eta_seconds: schedule::seconds_left(&config.train, progress),
        }
    }
}

/// An evaluation during training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluated {
    /// Number of completed steps.
    pub step: u64,
    /// What was evaluated.
    pub split: String,
    /// Number of evaluated images; None for tasks that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_images: Option<u64>,
    /// PSNR in dB, averaged over the images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psnr: Option<f64>,
    /// SSIM, averaged over the images; None if an image is smaller than the window of the SSIM.
    pub ssim: Option<f64>,
    /// Intersection over union of the interiors, for distance fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iou: Option<f64>,
    /// Seconds that the evaluation took.
    pub seconds: f64,
}

/// The end of a run that did not fail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finished {
    /// Number of completed steps.
    pub step: u64,
    /// Seconds of training, excluding loading and saving.
    pub seconds: f64,
    /// Why the run ended.
    pub reason: StopReason,
    /// Which neurons of the field are alive; empty if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neurons: Vec<LayerNeurons>,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All steps were completed.
    MaxSteps,
    /// The configured training time is over.
    MaxSeconds,
    /// The requested early end was reached.
    StopAfter,
    /// The user interrupted the run.
    Interrupted,
    /// The user ended the run from a viewer.
    Requested,
}

/// Reasons to end a run before its configured limits, without shortening its schedule.
#[derive(Clone, Copy, Debug)]
pub struct RunControl<'a> {
    /// Stop after this many completed steps.
    pub stop_after: Option<u64>,
    /// Set by a signal handler; the run ends after the current step.
    pub interrupted: &'a AtomicBool,
}

impl RunControl<'_> {
    /// Returns why the run should end after `step` completed steps, if it should.
    pub(super) fn stop_reason(&self, step: u64) -> Option<StopReason> {
        if self.interrupted.load(Ordering::Relaxed) {
            Some(StopReason::Interrupted)
        } else if self.stop_after.is_some_and(|last| step >= last) {
            Some(StopReason::StopAfter)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_flat_json_objects_that_say_which_they_are() {
        let finished = TrainEvent::Finished(Finished {
            step: 7,
            seconds: 1.5,
            reason: StopReason::StopAfter,
            neurons: Vec::new(),
        });
        let json = serde_json::to_string(&finished).unwrap();
        assert_eq!(json, r#"{"event":"finished","step":7,"seconds":1.5,"reason":"stop_after"}"#);
    }

    #[test]
    fn an_interrupt_goes_before_a_planned_stop() {
        let interrupted = AtomicBool::new(false);
        let control = RunControl { stop_after: Some(10), interrupted: &interrupted };
        assert_eq!(control.stop_reason(9), None);
        assert_eq!(control.stop_reason(10), Some(StopReason::StopAfter));
        interrupted.store(true, Ordering::Relaxed);
        assert_eq!(control.stop_reason(10), Some(StopReason::Interrupted));
    }
}
