//! `eval.json`: how a field scored on the images of a split; `docs/formats.md` lists the keys.

use std::path::Path;

use serde::Serialize;

use super::evaluate::{Summary, ViewScore};
use crate::device::Device;
use crate::metrics::Lpips;
use crate::train::{COMMIT, Header, VERSION};

/// An evaluation, with all that is needed to repeat it. The first keys are those of nerfstudio's `eval.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub experiment_name: String,
    pub method_name: String,
    pub checkpoint: String,
    pub results: Summary,
    pub split: String,
    pub n_images: usize,
    /// `white`, `black`, or three sRGB values.
    pub background: String,
    pub color_space: &'static str,
    /// The network of LPIPS, `alex` or `vgg`, where there was one.
    pub lpips_network: Option<&'static str>,
    /// The images were reduced so many times.
    pub downscale: u32,
    pub seed: u64,
    pub step: u64,
    pub train_seconds: f64,
    /// On which the images were rendered.
    pub device: String,
    /// Version and commit of the program that evaluated.
    pub gridfield: &'static str,
    pub commit: &'static str,
    pub per_image: Vec<ViewScore>,
}

impl Report {
    /// Of `scores` on images of `split` over `background` (sRGB), by the field in `checkpoint`.
    ///
    /// # Panics
    /// Where there is no score.
    pub fn new(
        header: &Header,
        checkpoint: &Path,
        device: &Device,
        split: &str,
        background: [f32; 3],
        lpips: Option<&Lpips>,
        scores: Vec<ViewScore>,
    ) -> Self {
        let config = &header.config;
        Report {
            experiment_name: header.scene.clone(),
            method_name: config.model.name.as_str().to_owned(),
            checkpoint: checkpoint.to_string_lossy().into_owned(),
            results: Summary::of(&scores),
            split: split.to_owned(),
            n_images: scores.len(),
            background: color_name(background),
            color_space: "sRGB",
            lpips_network: lpips.map(|lpips| lpips.backbone.as_str()),
            downscale: config.scene.downscale,
            seed: config.train.seed,
            step: header.step,
            train_seconds: header.seconds,
            device: device.describe(),
            gridfield: VERSION,
            commit: COMMIT,
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
