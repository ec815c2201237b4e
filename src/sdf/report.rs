//! `eval.json` of a fitted distance field. `docs/formats.md` lists its keys.

use std::path::Path;

use serde::Serialize;

use super::evaluate::SdfScore;
use crate::checkpoint::Header;
use crate::device::Device;
use crate::train::{Experiment, Origin};

/// Results of fitting a field to a mesh, with everything needed to reproduce them.
#[derive(Clone, Debug, Serialize)]
pub struct SdfReport {
    /// What was evaluated.
    #[serde(flatten)]
    pub experiment: Experiment,
    /// Scores of the field.
    pub results: SdfScore,
    /// Number of learned parameters.
    pub n_parameters: usize,
    /// Number of cells per axis at which the field's surface was extracted.
    pub resolution: usize,
    /// Number of edges of the target mesh with only one triangle.
    pub boundary_edges: usize,
    /// How to repeat training and evaluation.
    #[serde(flatten)]
    pub origin: Origin,
}

impl SdfReport {
    /// Assembles the report of an evaluation.
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
            experiment: Experiment::new(header, checkpoint),
            results,
            n_parameters,
            resolution,
            boundary_edges,
            origin: Origin::new(header, device),
        }
    }
}
