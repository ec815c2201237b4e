//! What training reports while it runs: typed events, drawn by the command line and recorded as `metrics.jsonl`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Serialize, Serializer};

use crate::config::Config;
use crate::decoder::LayerNeurons;

/// One thing that happened in a run. As JSON each is one object whose `event` says which.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum TrainEvent {
    Started(Started),
    Step(StepReport),
    Evaluated(Evaluated),
    Saved {
        step: u64,
        #[serde(serialize_with = "as_text")]
        path: PathBuf,
    },
    Finished(Finished),
    /// Something the user should know that does not end the run.
    Warning {
        message: String,
    },
}

/// JSON holds text only; a path that is none is shown as well as it can be.
fn as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// What is about to be trained, on what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Started {
    pub scene: String,
    /// As [`crate::config::ModelName::as_str`].
    pub model: String,
    /// The device in words, as `CPU, 2 threads, x86-64-v4`.
    pub device: String,
    /// Learned numbers: features and weights.
    pub n_parameters: u64,
    /// TrainingImages trained on; None of tasks that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_images: Option<u64>,
    /// Steps already behind; above 0 where a run is resumed.
    pub step: u64,
    pub max_steps: u64,
    pub max_seconds: Option<f64>,
}

impl Started {
    /// A run of `config` on what is called `scene`, from step `step` on.
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

/// How training goes, averaged since the report before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Steps behind, this one included.
    pub step: u64,
    pub loss: f64,
    /// dB, over the pixels trained on; None where values have no peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psnr: Option<f64>,
    pub learning_rate: f64,
    /// None of tasks without rays, as `samples_per_ray`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rays_per_second: Option<f64>,
    pub samples_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples_per_ray: Option<f64>,
    /// Samples that the field was asked for, to each that had a part in its ray; the others lay behind a surface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_per_composited: Option<f64>,
    /// Seconds of training behind, loading and saving not counted.
    pub seconds: f64,
    /// Seconds of training to go; None until the speed is known.
    pub eta_seconds: Option<f64>,
}

/// An evaluation during training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluated {
    pub step: u64,
    pub split: String,
    /// None of tasks that have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_images: Option<u64>,
    /// dB, the mean over images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psnr: Option<f64>,
    /// None where an image is smaller than its window.
    pub ssim: Option<f64>,
    /// Intersection over union of the insides, of distance fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iou: Option<f64>,
    /// Seconds the evaluation took.
    pub seconds: f64,
}

/// The end of a run that did not fail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finished {
    pub step: u64,
    /// Seconds of training, loading and saving not counted.
    pub seconds: f64,
    pub reason: StopReason,
    /// Which neurons of the field are alive; empty where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub neurons: Vec<LayerNeurons>,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    MaxSteps,
    MaxSeconds,
    StopAfter,
    Interrupted,
}

/// What may end a run before its configured limits, without shortening its schedule.
#[derive(Clone, Copy, Debug)]
pub struct RunControl<'a> {
    /// Stop when this many steps are behind.
    pub stop_after: Option<u64>,
    /// Set from a signal handler; the run ends after the step it is in.
    pub interrupted: &'a AtomicBool,
}

impl RunControl<'_> {
    /// Whether the run should end now that `step` steps are behind.
    pub fn stop_reason(&self, step: u64) -> Option<StopReason> {
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
