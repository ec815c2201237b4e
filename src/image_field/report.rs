//! `eval.json` of a fitted image. `docs/formats.md` lists its keys.

use std::path::Path;

use serde::Serialize;

use super::compare::Comparison;
use super::image::Image;
use crate::checkpoint::Header;
use crate::device::Device;
use crate::train::{Experiment, Origin};

/// Results of fitting a field to an image, with everything needed to reproduce them.
#[derive(Clone, Debug, Serialize)]
pub struct ImageReport {
    /// What was evaluated.
    #[serde(flatten)]
    pub experiment: Experiment,
    /// Scores of the fitted image.
    pub results: ImageResults,
    /// Width of the image in pixels.
    pub width: u32,
    /// Height of the image in pixels.
    pub height: u32,
    /// Number of channels of the image.
    pub n_channels: u32,
    /// How to repeat training and evaluation.
    #[serde(flatten)]
    pub origin: Origin,
}

#[derive(Clone, Debug, Serialize)]
pub struct ImageResults {
    /// PSNR in dB.
    pub psnr: f64,
    pub ssim: Option<f64>,
    /// Relative mean squared error; only for HDR images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relative_mse: Option<f64>,
    pub n_parameters: usize,
    /// Size of the image's pixels divided by that of the parameters, at 4 bytes per parameter.
    pub compression_ratio: f64,
}

impl ImageReport {
    /// Assembles the report of an evaluation.
    pub fn new(
        header: &Header,
        checkpoint: &Path,
        device: &Device,
        image: &Image,
        comparison: &Comparison,
        n_parameters: usize,
    ) -> Self {
        ImageReport {
            experiment: Experiment::new(header, checkpoint),
            results: ImageResults {
                psnr: comparison.psnr,
                ssim: comparison.ssim,
                relative_mse: image.is_hdr().then_some(comparison.relative_mse),
                n_parameters,
                compression_ratio: image.n_bytes() as f64 / (4 * n_parameters) as f64,
            },
            width: image.width,
            height: image.height,
            n_channels: image.n_channels,
            origin: Origin::new(header, device),
        }
    }
}
