//! PNG files.

use crate::{Error, Result, atomic};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _, ImageResult};
use std::path::Path;

/// 8-bit sRGB pixels, row by row from the top.
#[derive(Clone, Copy)]
pub enum Pixels<'a> {
    /// `[height, width, 3]`
    Rgb8(&'a [u8]),
    /// `[height, width, 4]`, straight alpha.
    Rgba8(&'a [u8]),
}

/// Writes a PNG; an existing file is replaced only when the new one is complete.
///
/// # Errors
/// Returns an error if the folder of `path` is missing or not writable, or if the image has no pixels.
///
/// # Panics
/// Panics if the number of bytes does not match the size.
pub fn write_png(path: impl AsRef<Path>, width: u32, height: u32, pixels: Pixels) -> Result<()> {
    let path = path.as_ref();
    // Encode in memory: the encoder would turn the error of a full disk into text.
    let png = content_of_png(path, width, height, pixels)?;
    atomic::write(path, |file| file.write_all(&png))
}

/// Returns what [`write_png`] writes to `path`, which only its errors name.
///
/// # Errors
/// Returns an error if the image has no pixels.
///
/// # Panics
/// Panics if the number of bytes does not match the size.
pub(crate) fn content_of_png(path: &Path, width: u32, height: u32, pixels: Pixels) -> Result<Vec<u8>> {
    if width == 0 || height == 0 {
        return Err(Error::file(path, format!("an image of {width}×{height} has no pixels to write")));
    }
    encode_png(width, height, pixels).map_err(|e| Error::file(path, format!("cannot be written ({e})")))
}

/// Returns an image as the content of a PNG file.
///
/// # Errors
/// Returns an error if the image has no pixels.
///
/// # Panics
/// Panics if the number of bytes does not match the size.
pub(crate) fn encode_png(width: u32, height: u32, pixels: Pixels) -> ImageResult<Vec<u8>> {
    let (bytes, colour) = match pixels {
        Pixels::Rgb8(bytes) => (bytes, ExtendedColorType::Rgb8),
        Pixels::Rgba8(bytes) => (bytes, ExtendedColorType::Rgba8),
    };
    let mut png = Vec::new();
    PngEncoder::new(&mut png).write_image(bytes, width, height, colour)?;
    Ok(png)
}
