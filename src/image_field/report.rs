//! `eval.json` of a fitted image; `docs/formats.md` lists the keys.

use std::path::Path;

use serde::Serialize;

use super::compare::Comparison;
use super::picture::Picture;
use crate::device::Device;
use crate::train::{COMMIT, Header, VERSION};

/// How an image was fitted, with all that is needed to repeat it. The first keys are those of nerfstudio's `eval.json`.
#[derive(Clone, Debug, Serialize)]
pub struct ImageReport {
    pub experiment_name: String,
    pub method_name: String,
    pub checkpoint: String,
    pub results: ImageResults,
    pub width: u32,
    pub height: u32,
    pub n_channels: u32,
    pub seed: u64,
    pub step: u64,
    pub train_seconds: f64,
    pub device: String,
    /// Version and commit of the program that evaluated.
    pub gridfield: &'static str,
    pub commit: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub struct ImageResults {
    /// dB
    pub psnr: f64,
    pub ssim: Option<f64>,
    /// Of images of a high dynamic range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_mse: Option<f64>,
    pub n_parameters: usize,
    /// Bytes of the image's pixels over those of the parameters, 4 each.
    pub compression_ratio: f64,
}

impl ImageReport {
    pub fn new(
        header: &Header,
        checkpoint: &Path,
        device: &Device,
        picture: &Picture,
        comparison: &Comparison,
        n_parameters: usize,
    ) -> Self {
        let config = &header.config;
        ImageReport {
            experiment_name: header.scene.clone(),
            method_name: config.model.name.as_str().to_owned(),
            checkpoint: checkpoint.to_string_lossy().into_owned(),
            results: ImageResults {
                psnr: comparison.psnr,
                ssim: comparison.ssim,
                relative_mse: picture.is_hdr().then_some(comparison.relative_mse),
                n_parameters,
                compression_ratio: picture.n_bytes() as f64 / (4 * n_parameters) as f64,
            },
            width: picture.width,
            height: picture.height,
            n_channels: picture.n_channels,
            seed: config.train.seed,
            step: header.step,
            train_seconds: header.seconds,
            device: device.describe(),
            gridfield: VERSION,
            commit: COMMIT,
        }
    }
}
