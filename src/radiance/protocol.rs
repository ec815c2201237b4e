//! Evaluation protocols: how both images are processed before they are compared.

use std::path::Path;

use crate::metrics::Lpips;
use crate::metrics::lpips::Backbone;
use crate::{Error, Result};

/// An evaluation protocol. `eval.json` names it beside the scores, since scores of different protocols are not
/// comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Protocol {
    /// Rendered and blended values as floats, without rounding
    #[default]
    Unrounded,
    /// Both pictures over white and truncated to 8 bits, LPIPS with VGG16, as in the tables of NerfBaselines
    Nerfbaselines,
}

impl Protocol {
    /// Returns the name used in `eval.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Unrounded => "unrounded",
            Protocol::Nerfbaselines => "nerfbaselines",
        }
    }

    /// Returns the background that both images are composited over (sRGB), if the protocol prescribes one.
    pub fn background(self) -> Option<[f32; 3]> {
        match self {
            Protocol::Unrounded => None,
            Protocol::Nerfbaselines => Some([1.0; 3]),
        }
    }

    /// Processes `rgb`, sRGB over the background, for the comparison. It may have any shape; values are in `[0, 1]`.
    ///
    /// NerfBaselines (Kulhánek and Sattler, 2024) says that it rounds to 8 bits, but its `convert_image_dtype`
    /// multiplies by 255 and casts, which truncates. Its published scores were computed this way, so both images are
    /// truncated here for comparable results.
    pub fn prepare(self, rgb: &mut [f32]) {
        match self {
            Protocol::Unrounded => {}
            Protocol::Nerfbaselines => rgb.iter_mut().for_each(|value| *value = cut_to_8_bits(*value)),
        }
    }

    /// Checks that the LPIPS network is the one that the protocol uses.
    ///
    /// # Errors
    /// Returns an error if the protocol uses another LPIPS network than that of the weights `lpips`, read from `path`.
    pub fn check_lpips(self, lpips: &Lpips, path: &Path) -> Result<()> {
        match (self, lpips.backbone) {
            (Protocol::Unrounded, _) | (Protocol::Nerfbaselines, Backbone::Vgg) => Ok(()),
            (Protocol::Nerfbaselines, Backbone::Alex) => Err(Error::file(
                path,
                "these are weights of AlexNet, and LPIPS of --protocol nerfbaselines is by VGG16",
            )),
        }
    }
}

/// Rounds `value` down to one of 0, 1/255 … 1. Values outside the range are clamped, and NaN becomes 0.
fn cut_to_8_bits(value: f32) -> f32 {
    // A cast from float to integer truncates, saturates, and maps NaN to 0.
    f32::from((value * 255.0) as u8) / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::psnr;

    fn prepared(protocol: Protocol, steps: &[f32]) -> Vec<f32> {
        let mut rgb: Vec<f32> = steps.iter().map(|step| step / 255.0).collect();
        protocol.prepare(&mut rgb);
        rgb
    }

    #[test]
    fn nerfbaselines_cuts_and_does_not_round() {
        let found = prepared(Protocol::Nerfbaselines, &[0.0, 0.9, 1.0, 127.6, 254.99, 255.0, 300.0, -4.0, f32::NAN]);
        let expected = [0.0, 0.0, 1.0, 127.0, 254.0, 255.0, 255.0, 0.0, 0.0].map(|step: f32| step / 255.0);
        assert_eq!(found, expected);
    }

    #[test]
    fn photographs_of_8_bits_stay_as_they_are() {
        let all: Vec<f32> = (0..=255u8).map(|value| f32::from(value) / 255.0).collect();
        let mut cut = all.clone();
        Protocol::Nerfbaselines.prepare(&mut cut);
        assert_eq!(cut, all);
    }

    #[test]
    fn the_figure_is_that_of_the_cut_values() {
        let (a, b) = ([10.9, 20.9, 30.0], [12.1, 20.1, 30.9]);
        let compared = |protocol| psnr(&prepared(protocol, &a), &prepared(protocol, &b));
        // After truncation only the first value differs, by two steps; as floats they differ by 1.2, 0.8 and 0.9 steps.
        let decibels = |squares: f64| -10.0 * (squares / 3.0 / 255.0 / 255.0).log10();
        assert!((compared(Protocol::Nerfbaselines) - decibels(4.0)).abs() < 1e-4);
        assert!((compared(Protocol::Unrounded) - decibels(1.44 + 0.64 + 0.81)).abs() < 1e-4);
    }

    #[test]
    fn images_within_the_same_steps_are_equal_by_nerfbaselines_alone() {
        let (a, b) = ([10.1, 200.6, 255.0], [10.9, 200.2, 255.0]);
        let compared = |protocol| psnr(&prepared(protocol, &a), &prepared(protocol, &b));
        assert_eq!(compared(Protocol::Nerfbaselines), f64::INFINITY);
        assert!(compared(Protocol::Unrounded).is_finite());
    }
}
