//! `eval.json` of a fitted distance field; `docs/formats.md` lists the keys.

use std::path::Path;

use serde::Serialize;

use super::evaluate::SdfScore;
use crate::device::Device;
use crate::train::{COMMIT, Header, VERSION};

/// How a mesh was fitted, with all that is needed to repeat it. The first keys are those of nerfstudio's `eval.json`.
#[derive(Clone, Debug, Serialize)]
pub struct SdfReport {
    pub experiment_name: String,
    pub method_name: String,
    pub checkpoint: String,
    pub results: SdfScore,
    pub n_parameters: usize,
    /// At which the field's surface was extracted.
    pub resolution: usize,
    pub boundary_edges: usize,
    pub seed: u64,
    pub step: u64,
    pub train_seconds: f64,
    pub device: String,
    /// Version and commit of the program that evaluated.
    pub gridfield: &'static str,
    pub commit: &'static str,
}

impl SdfReport {
    pub fn new(
        header: &Header,
        checkpoint: &Path,
        device: &Device,
        results: SdfScore,
        n_parameters: usize,
        resolution: usize,
        boundary_edges: usize,
    ) -> Self {
        SdfReport {
            experiment_name: header.scene.clone(),
            method_name: header.config.model.name.as_str().to_owned(),
            checkpoint: checkpoint.to_string_lossy().into_owned(),
            results,
            n_parameters,
            resolution,
            boundary_edges,
            seed: header.config.train.seed,
            step: header.step,
            train_seconds: header.seconds,
            device: device.describe(),
            gridfield: VERSION,
            commit: COMMIT,
        }
    }
}
