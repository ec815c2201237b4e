//! What every `eval.json` says beside its figures; the rest is the tasks'.

use std::path::Path;

use serde::Serialize;

use super::{COMMIT, Header, VERSION};
use crate::device::Device;

/// The first keys, which are those of nerfstudio's `eval.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Experiment {
    pub experiment_name: String,
    pub method_name: String,
    pub checkpoint: String,
}

impl Experiment {
    /// Of the field in the file `checkpoint`.
    pub fn new(header: &Header, checkpoint: &Path) -> Self {
        Experiment {
            experiment_name: header.scene.clone(),
            method_name: header.config.model.name.as_str().to_owned(),
            checkpoint: checkpoint.to_string_lossy().into_owned(),
        }
    }
}

/// What is needed to repeat a training and its evaluation.
#[derive(Clone, Debug, Serialize)]
pub struct Origin {
    pub seed: u64,
    pub step: u64,
    pub train_seconds: f64,
    /// On which it was evaluated.
    pub device: String,
    /// Version and commit of the program that evaluated.
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
