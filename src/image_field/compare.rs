//! Comparison of a fitted image with the original.

use std::path::Path;

use super::image::{Image, shown_rgb};
use super::render::{Part, render};
use crate::Result;
use crate::fit::Predictor;
use crate::media::{Pixels, to_rgb8, write_png};
use crate::metrics::{error_map, mse, psnr, ssim};

/// How well a field reproduces an image, measured over all of its pixels.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// PSNR in dB with peak 1. For images in [0, 1] it covers all channels; for HDR images it compares the images
    /// as displayed.
    pub psnr: f64,
    /// SSIM of the images as displayed. None if a side is shorter than the 11 pixels of the SSIM window.
    pub ssim: Option<f64>,
    /// Mean of `(y − t)² / (t² + 0.01)`. It is meant for HDR images, whose PSNR only covers the displayed range.
    pub relative_mse: f64,
    /// Values predicted by the field, `[h, w, n_channels]`.
    pub values: Vec<f32>,
    /// The original as displayed, sRGB `[h, w, 3]`.
    pub truth: Vec<f32>,
    /// The fitted image as displayed, sRGB `[h, w, 3]`.
    pub fitted: Vec<f32>,
}

/// Evaluates the field at all pixels of `image` and compares the two.
///
/// # Errors
/// Returns an error if the device fails, or if the field gives a value that is not finite.
pub fn compare(predictor: &Predictor, image: &Image) -> Result<Comparison> {
    let values = render(predictor, &Part::whole(image.width, image.height))?;
    let (n_channels, is_hdr) = (image.n_channels, image.is_hdr());
    let truth = image.values();
    let relative: f64 =
        values.iter().zip(&truth).map(|(&y, &t)| f64::from((y - t).powi(2) / (t * t + 0.01))).sum::<f64>();
    let relative_mse = relative / values.len() as f64;
    let (shown_truth, fitted) = (shown_rgb(&truth, n_channels, is_hdr), shown_rgb(&values, n_channels, is_hdr));
    let psnr = if is_hdr {
        psnr(&fitted, &shown_truth)
    } else {
        let clamped: Vec<f32> = values.iter().map(|value| value.clamp(0.0, 1.0)).collect();
        -10.0 * mse(&clamped, &truth).log10()
    };
    let ssim = ssim(&fitted, &shown_truth, image.width as usize, image.height as usize);
    Ok(Comparison { psnr, ssim, relative_mse, values, truth: shown_truth, fitted })
}

/// Writes the original, the fitted image and the error map side by side. Each is reduced by an integer factor to at
/// most `most` pixels in width and height.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn side_by_side(path: &Path, comparison: &Comparison, width: u32, height: u32, most: u32) -> Result<()> {
    let error = error_map(&comparison.truth, &comparison.fitted);
    write_row(path, &[to_rgb8(&comparison.truth), to_rgb8(&comparison.fitted), error], width, height, most)
}

/// Writes 8-bit images `[height, width, 3]` side by side.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(super) fn write_row(path: &Path, images: &[Vec<u8>], width: u32, height: u32, most: u32) -> Result<()> {
    let factor = width.max(height).div_ceil(most).max(1);
    let reduced: Vec<Vec<u8>> = images.iter().map(|rgb| reduce(rgb, width as usize, factor as usize)).collect();
    let (w, h) = ((width / factor).max(1) as usize, (height / factor).max(1) as usize);
    let rows = (0..h).flat_map(|y| reduced.iter().flat_map(move |rgb| rgb[3 * w * y..3 * w * (y + 1)].iter().copied()));
    write_png(path, (images.len() * w) as u32, h as u32, Pixels::Rgb8(&rows.collect::<Vec<u8>>()))
}

/// Reduces an 8-bit image by `factor`, averaging blocks. Columns and rows after the last complete block are dropped.
fn reduce(rgb: &[u8], width: usize, factor: usize) -> Vec<u8> {
    let height = rgb.len() / 3 / width;
    // An image thinner than a block is averaged over its whole width or height.
    let (across, down) = (factor.min(width), factor.min(height));
    let (w, h) = (width / across, height / down);
    let mut reduced = Vec::with_capacity(3 * w * h);
    for (y, x, c) in (0..h).flat_map(|y| (0..w).flat_map(move |x| (0..3).map(move |c| (y, x, c)))) {
        let block = (0..down).flat_map(|j| (0..across).map(move |i| (y * down + j, x * across + i)));
        let sum: usize = block.map(|(row, column)| usize::from(rgb[3 * (row * width + column) + c])).sum();
        reduced.push(((sum + across * down / 2) / (across * down)) as u8);
    }
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduction_averages_blocks_and_drops_the_rest() {
        let grey = |values: &[u8]| values.iter().flat_map(|&v| [v; 3]).collect::<Vec<u8>>();
        assert_eq!(reduce(&grey(&[0, 2, 9, 4, 6, 9]), 3, 2), grey(&[3]));
        assert_eq!(reduce(&grey(&[7, 8]), 2, 1), grey(&[7, 8]));
        assert_eq!(reduce(&grey(&[2, 4]), 2, 8), grey(&[3]));
    }
}
