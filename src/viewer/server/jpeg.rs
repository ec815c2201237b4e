//! Encoding of images for browsers.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

/// Returns an image as a JPEG. `rgb` is `[height, width, 3]`, 8-bit sRGB.
///
/// # Panics
/// Panics if the number of bytes does not match the size, or if a side is 0 or longer than 65535 pixels.
pub fn encoded(rgb: &[u8], width: u32, height: u32, quality: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, quality);
    encoder.encode(rgb, width, height, ExtendedColorType::Rgb8).expect("the size is that of a JPEG");
    jpeg
}
