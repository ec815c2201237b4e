//! 8-bit images as decoded from disk, and their reduction by integer factors.

/// An 8-bit sRGB image with straight (not premultiplied) alpha, row by row from the top: `rgba` is
/// `[height, width, 4]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Image8 {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Red, green, blue and alpha of each pixel, row by row.
    pub rgba: Vec<u8>,
}

impl std::fmt::Debug for Image8 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Image8 {{ {}×{} }}", self.width, self.height)
    }
}

impl Image8 {
    /// Returns whether any pixel is not fully opaque.
    pub fn has_alpha(&self) -> bool {
        self.rgba.chunks_exact(4).any(|pixel| pixel[3] != u8::MAX)
    }

    /// Returns pixel `(x, y)` as RGBA.
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 4] {
        let start = 4 * (y as usize * self.width as usize + x as usize);
        std::array::from_fn(|channel| self.rgba[start + channel])
    }

    /// Composites the image over a uniform background (sRGB in `[0, 1]`), blending in sRGB as the NeRF literature does.
    /// Returns `[height, width, 3]` in `[0, 1]`.
    pub fn over(&self, background: [f32; 3]) -> Vec<f32> {
        let blend = |pixel: &[u8]| -> [f32; 3] {
            let alpha = f32::from(pixel[3]) / 255.0;
            std::array::from_fn(|c| f32::from(pixel[c]) / 255.0 * alpha + background[c] * (1.0 - alpha))
        };
        self.rgba.chunks_exact(4).flat_map(blend).collect()
    }

    /// Averages blocks of `factor × factor` pixels, with colours weighted by alpha; a factor of 1 returns the image
    /// unchanged. The columns and rows beyond the last whole block are dropped, so that every pixel of the result
    /// covers the same area and [`Camera::downscaled`](crate::geometry::Camera::downscaled) describes it exactly.
    ///
    /// # Panics
    /// Panics if `factor` is 0 or more than the width or height.
    pub fn downscaled(self, factor: u32) -> Self {
        assert!(factor >= 1 && factor <= self.width.min(self.height), "factor {factor} on {self:?}");
        if factor == 1 {
            return self;
        }
        let (width, height) = (self.width / factor, self.height / factor);
        let blocks = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgba = blocks.flat_map(|(x, y)| self.block_mean(x, y, factor)).collect();
        Self { width, height, rgba }
    }

    fn block_mean(&self, x: u32, y: u32, factor: u32) -> [u8; 4] {
        let (row_bytes, block_bytes) = (4 * self.width as usize, 4 * factor as usize);
        let first = (y * factor) as usize * row_bytes + x as usize * block_bytes;
        let (mut colour, mut alpha) = ([0u64; 3], 0u64);
        for row in 0..factor as usize {
            let start = first + row * row_bytes;
            for pixel in self.rgba[start..start + block_bytes].chunks_exact(4) {
                let weight = u64::from(pixel[3]);
                alpha += weight;
                for (sum, &value) in colour.iter_mut().zip(pixel) {
                    *sum += u64::from(value) * weight;
                }
            }
        }
        let [r, g, b] = colour.map(|sum| rounded_ratio(sum, alpha));
        [r, g, b, rounded_ratio(alpha, u64::from(factor).pow(2))]
    }
}

/// Returns `sum / weight` rounded to the nearest integer, or 0 if the weight is 0 (a transparent block has no colour).
fn rounded_ratio(sum: u64, weight: u64) -> u8 {
    (sum + weight / 2).checked_div(weight).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: u32, height: u32, pixels: &[[u8; 4]]) -> Image8 {
        Image8 { width, height, rgba: pixels.concat() }
    }

    #[test]
    fn factor_one_is_the_identity() {
        let original = image(2, 1, &[[1, 2, 3, 4], [5, 6, 7, 255]]);
        assert_eq!(original.clone().downscaled(1), original);
    }

    #[test]
    fn opaque_blocks_are_averaged() {
        let original = image(2, 2, &[[10, 0, 0, 255], [20, 0, 0, 255], [30, 0, 0, 255], [41, 4, 0, 255]]);
        assert_eq!(original.downscaled(2).rgba, [25, 1, 0, 255]);
    }

    #[test]
    fn transparent_pixels_lend_no_colour() {
        let original = image(2, 2, &[[200, 100, 0, 255], [0, 0, 255, 0], [0, 0, 255, 0], [0, 0, 255, 0]]);
        assert_eq!(original.downscaled(2).rgba, [200, 100, 0, 64]);
    }

    #[test]
    fn remainder_columns_and_rows_are_dropped() {
        let mut pixels = [[9, 9, 9, 255]; 15];
        pixels[4] = [255; 4]; // the fifth column
        pixels[10] = [255; 4]; // the third row
        let half = image(5, 3, &pixels).downscaled(2);
        assert_eq!((half.width, half.height), (2, 1));
        assert_eq!(half.rgba, [9, 9, 9, 255, 9, 9, 9, 255]);
    }

    #[test]
    fn wholly_transparent_block_is_black_and_clear() {
        assert_eq!(image(2, 2, &[[7, 7, 7, 0]; 4]).downscaled(2).rgba, [0; 4]);
    }

    #[test]
    fn alpha_is_found() {
        assert!(!image(1, 1, &[[0, 0, 0, 255]]).has_alpha());
        assert!(image(1, 2, &[[0, 0, 0, 255], [0, 0, 0, 254]]).has_alpha());
    }

    #[test]
    fn compositing_shows_the_background_through() {
        assert_eq!(
            image(2, 1, &[[255, 0, 0, 255], [255, 0, 0, 0]]).over([0.0, 0.5, 1.0]),
            [1.0, 0.0, 0.0, 0.0, 0.5, 1.0]
        );
    }
}
