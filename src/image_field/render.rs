//! Rendering of fitted images at any size, in whole or in part.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat};

use super::image::shown_rgb;
use crate::device::args::PixelCentersArgs;
use crate::device::{LaunchDims, kernels};
use crate::fit::{FitChunk, Predictor};
use crate::media::{Pixels, to_rgb8, write_png};
use crate::{Error, Result, atomic, names};

/// A rectangle of the image, in [0, 1] along each axis, and the resolution at which to render it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Upper left corner, x and y.
    pub origin: [f32; 2],
    /// Width and height.
    pub extent: [f32; 2],
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Part {
    /// Returns the whole image at `width × height` pixels.
    pub fn whole(width: u32, height: u32) -> Self {
        Part { origin: [0.0; 2], extent: [1.0; 2], width, height }
    }
}

/// Evaluates the field at the centres of the part's pixels: `[height, width, n_channels]`.
///
/// # Errors
/// Returns an error if the device fails, or if the field gives a value that is not finite.
pub fn render(predictor: &Predictor, part: &Part) -> Result<Vec<f32>> {
    let step = [part.extent[0] / part.width as f32, part.extent[1] / part.height as f32];
    let place = |chunk: &mut FitChunk, first: usize| {
        let args = PixelCentersArgs {
            position: chunk.position.ptr(),
            first_pixel: first as u32,
            width: part.width,
            height: part.height,
            origin: part.origin,
            step,
        };
        predictor.device().launch_chunk(&kernels::PIXEL_CENTERS, &args, LaunchDims::items(chunk.n))
    };
    predictor.values(part.width as usize * part.height as usize, place)
}

/// Writes values `[height, width, n_channels]` in the format that the file's extension selects: `.png` as displayed
/// (sRGB RGBA keeps its alpha), `.exr` unchanged.
///
/// # Errors
/// Returns an error if the extension is a different one, or if the file cannot be written.
pub fn write_image(path: &Path, size: (u32, u32), values: &[f32], n_channels: u32, is_hdr: bool) -> Result<()> {
    let (width, height) = size;
    match names::extension(path).as_str() {
        "png" if n_channels == 4 && !is_hdr => write_png(path, width, height, Pixels::Rgba8(&to_rgb8(values))),
        "png" => write_png(path, width, height, Pixels::Rgb8(&to_rgb8(&shown_rgb(values, n_channels, is_hdr)))),
        "exr" => write_exr(path, size, values, n_channels),
        _ => Err(Error::file(path, "a picture is written as .png or .exr; choose such a name")),
    }
}

/// Writes an OpenEXR file, as RGB or RGBA; grey is repeated three times.
fn write_exr(path: &Path, (width, height): (u32, u32), values: &[f32], n_channels: u32) -> Result<()> {
    let n = n_channels as usize;
    let of = |pixel: &[f32]| match n {
        1 => vec![pixel[0]; 3],
        2 => vec![pixel[0], pixel[0], pixel[0], pixel[1]],
        _ => pixel.to_vec(),
    };
    let wide: Vec<f32> = values.chunks_exact(n).flat_map(of).collect();
    let image = if n.is_multiple_of(2) {
        image::Rgba32FImage::from_raw(width, height, wide).map(DynamicImage::from)
    } else {
        image::Rgb32FImage::from_raw(width, height, wide).map(DynamicImage::from)
    };
    let mut encoded = Cursor::new(Vec::new());
    image
        .expect("as many values as pixels and channels")
        .write_to(&mut encoded, ImageFormat::OpenExr)
        .map_err(|e| Error::file(path, format!("cannot be written ({e})")))?;
    atomic::write(path, |file| file.write_all(encoded.get_ref()))
}
