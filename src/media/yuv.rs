//! Conversion of RGB to planar YUV 4:2:0, the pixel format that every H.264 player supports: BT.709 matrix, limited
//! range.

/// One frame. Its dimensions are even: an odd side of the RGB image is extended by repeating its last column or row.
pub(super) struct Yuv420 {
    pub width: usize,
    pub height: usize,
    /// The planes one after the other: `[height, width]`, then two of `[height / 2, width / 2]`.
    pub planes: Vec<u8>,
}

// ITU-R BT.709: luma weights and the ranges of the colour differences.
const RED: f32 = 0.2126;
const GREEN: f32 = 0.7152;
const BLUE: f32 = 0.0722;
const BLUE_DIFFERENCE: f32 = 2.0 * (1.0 - BLUE);
const RED_DIFFERENCE: f32 = 2.0 * (1.0 - RED);

// Limited range: luma in 16..=235, chroma in 16..=240 around 128.
const LUMA_SPAN: f32 = 219.0;
const CHROMA_SPAN: f32 = 224.0;

impl Yuv420 {
    /// Creates a frame for RGB images of `width × height`.
    pub fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        Self { width, height, planes: vec![0; width * height * 3 / 2] }
    }

    /// Returns the Y, U and V planes.
    pub fn split(&self) -> [&[u8]; 3] {
        let luma = self.width * self.height;
        let (y, chroma) = self.planes.split_at(luma);
        let (u, v) = chroma.split_at(luma / 4);
        [y, u, v]
    }

    /// Converts an 8-bit RGB frame `[rgb_height, rgb_width, 3]` of the size given to [`Yuv420::new`].
    pub fn convert(&mut self, rgb: &[u8], rgb_width: usize, rgb_height: usize) {
        let (width, luma) = (self.width, self.width * self.height);
        let (y_plane, chroma) = self.planes.split_at_mut(luma);
        let (u_plane, v_plane) = chroma.split_at_mut(luma / 4);
        let pixel = |x: usize, y: usize| -> [f32; 3] {
            let start = 3 * (y.min(rgb_height - 1) * rgb_width + x.min(rgb_width - 1));
            std::array::from_fn(|c| f32::from(rgb[start + c]) / 255.0)
        };
        for (i, (u, v)) in u_plane.iter_mut().zip(v_plane).enumerate() {
            let (x, y) = (2 * (i % (width / 2)), 2 * (i / (width / 2)));
            let mut mean = [0.0; 3];
            for (x, y) in [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)] {
                let rgb = pixel(x, y);
                y_plane[y * width + x] = (16.0 + LUMA_SPAN * luminance(rgb)).round() as u8;
                for (mean, value) in mean.iter_mut().zip(rgb) {
                    *mean += 0.25 * value;
                }
            }
            let [red, _, blue] = mean;
            *u = (128.0 + CHROMA_SPAN * (blue - luminance(mean)) / BLUE_DIFFERENCE).round() as u8;
            *v = (128.0 + CHROMA_SPAN * (red - luminance(mean)) / RED_DIFFERENCE).round() as u8;
        }
    }
}

fn luminance([red, green, blue]: [f32; 3]) -> f32 {
    RED * red + GREEN * green + BLUE * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(rgb: [u8; 3]) -> [u8; 3] {
        let mut frame = Yuv420::new(2, 2);
        frame.convert(&rgb.repeat(4), 2, 2);
        frame.split().map(|plane| plane[0])
    }

    #[test]
    fn primaries_have_the_values_of_the_standard() {
        assert_eq!(uniform([0, 0, 0]), [16, 128, 128]);
        assert_eq!(uniform([255, 255, 255]), [235, 128, 128]);
        assert_eq!(uniform([255, 0, 0]), [63, 102, 240]);
        assert_eq!(uniform([0, 255, 0]), [173, 42, 26]);
        assert_eq!(uniform([0, 0, 255]), [32, 240, 118]);
    }

    #[test]
    fn odd_sides_repeat_the_last_column_and_row() {
        let mut frame = Yuv420::new(3, 1);
        frame.convert(&[0, 0, 0, 0, 0, 0, 255, 255, 255], 3, 1);
        assert_eq!((frame.width, frame.height), (4, 2));
        let [y, u, v] = frame.split();
        assert_eq!(y, [16, 16, 235, 235, 16, 16, 235, 235]);
        assert_eq!((u, v), (&[128, 128][..], &[128, 128][..]));
    }
}
