//! `eval.json`: the scores of a field on the images of a split; `docs/formats.md` lists the keys.

use std::path::Path;

use serde::Serialize;

use super::evaluate::{Summary, ViewScore};
use super::protocol::Protocol;
use crate::checkpoint::Header;
use crate::device::Device;
use crate::metrics::Lpips;
use crate::scene::Split;
use crate::train::{Experiment, Origin};

/// An evaluation, with everything needed to repeat it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was evaluated.
    #[serde(flatten)]
    pub experiment: Experiment,
    /// Scores over all views.
    pub results: Summary,
    /// Name of the evaluation protocol.
    pub protocol: &'static str,
    /// Name of the split.
    pub split: String,
    /// Number of views.
    pub n_images: usize,
    /// `white`, `black`, or three sRGB values.
    pub background: String,
    /// Colour space in which images are compared.
    pub color_space: &'static str,
    /// LPIPS network, `alex` or `vgg`; None if LPIPS was not measured.
    pub lpips_network: Option<&'static str>,
    /// Factor by which the images were downscaled.
    pub downscale: u32,
    /// How to repeat training and evaluation.
    #[serde(flatten)]
    pub origin: Origin,
    /// Scores of each view.
    pub per_image: Vec<ViewScore>,
}

/// Settings of an evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Evaluation protocol.
    pub protocol: Protocol,
    /// Views to evaluate.
    pub split: Split,
    /// Background of both images, sRGB.
    pub background: [f32; 3],
}

impl Report {
    /// Creates the report on the field in `checkpoint` from its scores, which were measured under `terms`.
    ///
    /// # Panics
    /// Panics if `scores` is empty.
    pub fn new(
        header: &Header,
        checkpoint: &Path,
        device: &Device,
        terms: Terms,
        lpips: Option<&Lpips>,
        scores: Vec<ViewScore>,
    ) -> Self {
        Report {
            experiment: Experiment::new(header, checkpoint),
            results: Summary::of(&scores),
            protocol: terms.protocol.as_str(),
            split: terms.split.as_str().to_owned(),
            n_images: scores.len(),
            background: color_name(terms.background),
            color_space: "sRGB",
            lpips_network: lpips.map(|lpips| lpips.backbone.as_str()),
            downscale: header.config.scene.downscale,
            origin: Origin::new(header, device),
            per_image: scores,
        }
    }
}

fn color_name(color: [f32; 3]) -> String {
    match color {
        [1.0, 1.0, 1.0] => "white".to_owned(),
        [0.0, 0.0, 0.0] => "black".to_owned(),
        [r, g, b] => format!("{r}, {g}, {b}"),
    }
}
