//! Conversion of rendered values to 8-bit colours.

use super::colormap::VIRIDIS;

/// Converts sRGB values in `[0, 1]`, of any shape, to 8 bits by rounding; values outside are clamped and NaN becomes 0.
pub fn to_rgb8(values: &[f32]) -> Vec<u8> {
    // A cast from float to integer saturates and maps NaN to 0.
    values.iter().map(|value| (value * 255.0).round() as u8).collect()
}

/// Converts a value from sRGB to linear: the inverse of sRGB's transfer function (IEC 61966-2-1). Values outside of
/// [0, 1] are clamped.
pub fn linear(srgb: f32) -> f32 {
    let srgb = srgb.clamp(0.0, 1.0);
    if srgb <= 0.04045 { srgb / 12.92 } else { ((srgb + 0.055) / 1.055).powf(2.4) }
}

/// Converts depths along rays (`[n]`, any unit) to 8-bit sRGB `[n, 3]`: near is yellow, far is dark blue, and pixels
/// without a depth (not finite, or not above 0) are black.
///
/// `range` is the nearest and farthest depth to distinguish; by default, those of this image.
pub(crate) fn depth_rgb8(depths: &[f32], range: Option<(f32, f32)>) -> Vec<u8> {
    let (near, far) = range.unwrap_or_else(|| depth_range(depths));
    let span = (far - near).max(f32::MIN_POSITIVE);
    let colour = |&depth: &f32| match is_depth(depth) {
        true => VIRIDIS.rgb8((far - depth) / span),
        false => [0; 3],
    };
    depths.iter().flat_map(colour).collect()
}

fn depth_range(depths: &[f32]) -> (f32, f32) {
    let known = depths.iter().filter(|&&depth| is_depth(depth));
    known.fold((f32::INFINITY, 0.0), |(near, far), &depth| (near.min(depth), far.max(depth)))
}

fn is_depth(depth: f32) -> bool {
    depth.is_finite() && depth > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_rounded_and_clamped() {
        assert_eq!(to_rgb8(&[0.0, 0.5, 1.0, -1.0, 2.0, f32::NAN]), [0, 128, 255, 0, 255, 0]);
    }

    #[test]
    fn eight_bit_values_survive_the_way_to_floats_and_back() {
        let all: Vec<u8> = (0..=255).collect();
        let floats: Vec<f32> = all.iter().map(|&v| f32::from(v) / 255.0).collect();
        assert_eq!(to_rgb8(&floats), all);
    }

    #[test]
    fn near_is_bright_and_nothing_is_black() {
        let map = depth_rgb8(&[2.0, 4.0, f32::INFINITY, 0.0], None);
        assert_eq!(map[..3], VIRIDIS.rgb8(1.0));
        assert_eq!(map[3..6], VIRIDIS.rgb8(0.0));
        assert_eq!(map[6..], [0; 6]);
    }

    #[test]
    fn range_is_kept_across_images() {
        assert_eq!(depth_rgb8(&[3.0], Some((2.0, 4.0))), VIRIDIS.rgb8(0.5));
    }

    #[test]
    fn flat_and_empty_depths_are_coloured() {
        assert_eq!(depth_rgb8(&[3.0, 3.0], None).len(), 6);
        assert_eq!(depth_rgb8(&[f32::NAN], None), [0; 3]);
    }
}
