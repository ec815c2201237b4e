//! The parts of `eval.json` that all tasks share; each task adds its own figures.

use std::path::Path;

use serde::Serialize;

use crate::checkpoint::Header;
use crate::device::Device;
use crate::{COMMIT, VERSION};

/// The first keys, which match those of nerfstudio's `eval.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Experiment {
    pub experiment_name: String,
    pub method_name: String,
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
    pub seed: u64,
    pub step: u64,
    pub train_seconds: f64,
    /// Device of the evaluation.
    pub device: String,
    /// Version and commit of the gridfield that ran the evaluation.
    pub gridfield: &'static str,
    pub commit: &'static str,
}

impl Origin {
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
