//! The parts of `eval.json` that all tasks share; each task adds its own figures.

use std::path::Path;

use serde::Serialize;

use crate::checkpoint::Header;
use crate::device::Device;
use crate::{COMMIT, VERSION};

/// The first keys, which match those of nerfstudio's `eval.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Experiment {
    /// Name of the scene, image or mesh.
    pub experiment_name: String,
    /// Name of the model.
    pub method_name: String,
    /// Path of the checkpoint.
    pub checkpoint: String,
}

impl Experiment {
    /// Describes the field in the file `checkpoint`.
    pub fn new(header: &Header, checkpoint: &Path) -> Self {
        Experiment {
            experiment_name: header.scene.clone(),
            method_name: header.config.model.name.as_str().to_owned(),
            checkpoint: checkpoint.to_string_lossy().into_owned(),
        }
    }
}

/// The information needed to repeat a training run and its evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    /// Seed of the training run.
    pub seed: u64,
    /// Number of training steps.
    pub step: u64,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Device of the evaluation.
    pub device: String,
    /// Version and commit of the gridfield that ran the evaluation.
    pub gridfield: &'static str,
    /// Commit of that gridfield.
    pub commit: &'static str,
}

impl Origin {
    /// Collects the origin of a checkpoint that was evaluated on `device`.
    pub fn new(header: &Header, device: &Device) -> Self {
        Origin {
            seed: header.config.train.seed,
            step: header.step,
            train_seconds: header.seconds,
            device: device.describe(),
            gridfield: VERSION,
            commit: COMMIT,
        }
    }
}
