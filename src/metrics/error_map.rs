//! An image that shows where a rendering is wrong.

use crate::media::colormap::INFERNO;

/// The absolute error (mean over the channels, of values in `[0, 1]`) that gets the brightest colour. It is small
/// because an error map is meant to show small errors.
pub const ERROR_AT_FULL_SCALE: f32 = 0.2;

/// Returns the absolute error of each pixel, magnified and coloured from black (none) to light yellow
/// ([`ERROR_AT_FULL_SCALE`] and above). Inputs are `[n, 3]` in `[0, 1]`; the result is 8-bit sRGB, `[n, 3]`.
///
/// # Panics
/// Panics if the lengths differ or are not a multiple of 3.
pub fn error_map(truth: &[f32], prediction: &[f32]) -> Vec<u8> {
    assert!(truth.len() == prediction.len() && truth.len().is_multiple_of(3), "images differ in size");
    let pixels = truth.chunks_exact(3).zip(prediction.chunks_exact(3));
    let error = |(a, b): (&[f32], &[f32])| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / 3.0;
    pixels.flat_map(|pixel| INFERNO.rgb8(error(pixel) / ERROR_AT_FULL_SCALE)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_brighten_and_saturate() {
        let map = error_map(&[0.0; 9], &[0.0, 0.0, 0.0, 0.1, 0.1, 0.1, 1.0, 1.0, 1.0]);
        assert_eq!(map[..3], INFERNO.rgb8(0.0));
        assert_eq!(map[3..6], INFERNO.rgb8(0.5));
        assert_eq!(map[6..], INFERNO.rgb8(1.0));
        assert!(map[..3].iter().all(|&v| v < 8) && map[6] > 240);
    }
}
