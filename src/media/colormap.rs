//! Perceptually uniform colormaps, as small tables.
//!
//! The tables are 33 evenly spaced samples of matplotlib's maps of the same names (by Nathaniel Smith, Stéfan van der
//! Walt and Eric Firing, dedicated to the public domain under CC0), with linear interpolation in between.

const KNOTS: usize = 33;

/// A map from `[0, 1]` to 8-bit sRGB.
pub struct Colormap([[u8; 3]; KNOTS]);

impl Colormap {
    /// Returns the colour at `t`, clamped to `[0, 1]`; NaN counts as 0.
    pub fn rgb8(&self, t: f32) -> [u8; 3] {
        let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) };
        let at = t * (KNOTS - 1) as f32;
        let below = (at as usize).min(KNOTS - 2);
        let (low, high, share) = (self.0[below], self.0[below + 1], at - below as f32);
        std::array::from_fn(|c| {
            let (low, high) = (f32::from(low[c]), f32::from(high[c]));
            (low + (high - low) * share).round() as u8
        })
    }
}

/// Black through purple and orange to light yellow: for errors.
pub const INFERNO: Colormap = Colormap([
    [0, 0, 4],
    [4, 3, 18],
    [11, 7, 36],
    [21, 11, 55],
    [33, 12, 74],
    [46, 10, 90],
    [60, 9, 101],
    [74, 12, 107],
    [87, 16, 109],
    [99, 20, 110],
    [112, 25, 110],
    [125, 30, 109],
    [137, 34, 106],
    [150, 39, 102],
    [163, 43, 97],
    [175, 49, 92],
    [187, 55, 85],
    [198, 62, 77],
    [209, 70, 68],
    [219, 79, 59],
    [227, 89, 50],
    [235, 101, 40],
    [241, 113, 30],
    [246, 127, 20],
    [249, 141, 10],
    [251, 156, 6],
    [252, 171, 15],
    [251, 186, 31],
    [249, 202, 50],
    [245, 217, 73],
    [242, 232, 101],
    [243, 245, 134],
    [252, 255, 164],
]);

/// Dark blue through green to yellow: for depth.
pub const VIRIDIS: Colormap = Colormap([
    [68, 1, 84],
    [71, 13, 96],
    [72, 24, 106],
    [72, 35, 116],
    [71, 45, 123],
    [69, 54, 129],
    [66, 64, 134],
    [63, 73, 137],
    [59, 82, 139],
    [55, 90, 141],
    [51, 99, 141],
    [47, 106, 142],
    [44, 114, 142],
    [41, 122, 142],
    [38, 129, 142],
    [35, 137, 142],
    [33, 144, 140],
    [31, 152, 139],
    [31, 159, 136],
    [33, 166, 133],
    [40, 174, 128],
    [49, 181, 123],
    [62, 188, 116],
    [76, 194, 108],
    [93, 201, 99],
    [110, 206, 88],
    [130, 211, 76],
    [150, 216, 63],
    [171, 220, 50],
    [192, 223, 36],
    [213, 226, 26],
    [234, 229, 26],
    [253, 231, 37],
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_middle_are_those_of_the_published_maps() {
        assert_eq!(INFERNO.rgb8(0.0), [0, 0, 4]);
        assert_eq!(INFERNO.rgb8(1.0), [252, 255, 164]);
        assert_eq!(VIRIDIS.rgb8(0.0), [68, 1, 84]);
        assert_eq!(VIRIDIS.rgb8(1.0), [253, 231, 37]);
        assert_eq!(VIRIDIS.rgb8(0.5), [33, 144, 140]);
    }

    #[test]
    fn values_outside_are_clamped() {
        assert_eq!(INFERNO.rgb8(-3.0), INFERNO.rgb8(0.0));
        assert_eq!(INFERNO.rgb8(7.0), INFERNO.rgb8(1.0));
        assert_eq!(INFERNO.rgb8(f32::NAN), INFERNO.rgb8(0.0));
    }
}
