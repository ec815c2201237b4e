//! Training data from an image.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value};

use super::compare::compare;
use super::image::{Image, Texels};
use super::plane::ImagePlane;
use super::shape::{SHAPE, Shape};
use crate::Result;
use crate::config::{Config, ImageLoss};
use crate::decoder::Head;
use crate::device::args::{DrawPixelsArgs, PixelFormat};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};
use crate::fit::{Data, FitChunk, FitLoss, Predictor};
use crate::geometry::UnitCube;
use crate::ranks::Digest;
use crate::render::Render;
use crate::train::event::Evaluated;

/// An image's pixels on a device, from which training samples are drawn.
pub struct ImageData {
    name: String,
    image: Arc<Image>,
    pixels: Pixels,
    loss: FitLoss,
    seed: u32,
    /// Strata of a training step: number of columns and rows.
    strata: (u32, u32),
}

enum Pixels {
    U8(Buffer<u8>),
    U16(Buffer<u16>),
    F32(Buffer<f32>),
}

impl ImageData {
    /// Uploads the image to the device.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(device: &Device, config: &Config, name: &str, image: Arc<Image>) -> Result<Self> {
        let pixels = match &image.texels {
            Texels::U8(texels) => Pixels::U8(device.upload(texels)?),
            Texels::U16(texels) => Pixels::U16(device.upload(texels)?),
            Texels::F32(texels) => Pixels::F32(device.upload(texels)?),
        };
        let loss = match config.image.loss {
            ImageLoss::Auto if image.is_hdr() => FitLoss::RelativeL2,
            ImageLoss::Auto | ImageLoss::L2 => FitLoss::L2,
            ImageLoss::RelativeL2 => FitLoss::RelativeL2,
        };
        let strata = strata(config.train.batch_samples, image.width, image.height);
        Ok(ImageData { name: name.to_owned(), image, pixels, loss, seed: config.train.seed as u32, strata })
    }

    /// Returns the image that the field is fitted to.
    pub fn image(&self) -> &Image {
        &self.image
    }
}

/// Returns the numbers of columns and rows of nearly square strata. Their product is at most `samples`, and close to
/// it.
fn strata(samples: u32, width: u32, height: u32) -> (u32, u32) {
    let columns = (f64::from(samples) * f64::from(width) / f64::from(height)).sqrt().round();
    let columns = columns.clamp(1.0, f64::from(samples)) as u32;
    (columns, samples / columns)
}

impl Data for ImageData {
    fn name(&self) -> &str {
        &self.name
    }

    fn head(&self) -> Head {
        Shape::of(&self.image).head()
    }

    fn loss(&self) -> FitLoss {
        self.loss
    }

    /// Returns the identity: images have no coordinates other than those of the unit square.
    fn unit_cube(&self) -> UnitCube {
        UnitCube::new(1.0, [0.0; 3])
    }

    fn set_samples(&mut self, n: usize) {
        self.strata = strata(n as u32, self.image.width, self.image.height);
    }

    fn digest(&self) -> Result<u64> {
        let Image { width, height, n_channels, .. } = *self.image;
        let mut digest = Digest::new();
        digest.add(&[width, height, n_channels]);
        match &self.image.texels {
            Texels::U8(texels) => digest.add(texels),
            Texels::U16(texels) => digest.add(texels),
            Texels::F32(texels) => digest.add(texels),
        }
        Ok(digest.value())
    }

    fn draw(&self, device: &Device, chunk: &FitChunk, first: usize, step: u64) -> Result<()> {
        let (pixels, format): (Ptr<c_void>, PixelFormat) = match &self.pixels {
            Pixels::U8(pixels) => (pixels.ptr().cast(), PixelFormat::U8),
            Pixels::U16(pixels) => (pixels.ptr().cast(), PixelFormat::U16),
            Pixels::F32(pixels) => (pixels.ptr().cast(), PixelFormat::F32),
        };
        let args = DrawPixelsArgs {
            pixels,
            position: chunk.position.ptr(),
            target: chunk.target.ptr(),
            format: format as u32,
            n_channels: self.image.n_channels,
            width: self.image.width,
            height: self.image.height,
            columns: self.strata.0,
            rows: self.strata.1,
            first_sample: first as u32,
            seed: self.seed,
            step: step as u32,
        };
        device.launch_chunk(&kernels::DRAW_PIXELS, &args, LaunchDims::items(chunk.n_with_target))
    }

    fn evaluate(&self, predictor: &Predictor, step: u64) -> Result<Option<Evaluated>> {
        let begun = Instant::now();
        let comparison = compare(predictor, &self.image)?;
        Ok(Some(Evaluated {
            step,
            split: "whole".to_owned(),
            n_images: Some(1),
            psnr: Some(comparison.psnr),
            ssim: comparison.ssim,
            iou: None,
            seconds: begun.elapsed().as_secs_f64(),
        }))
    }

    fn renderer(&self, predictor: Predictor) -> Option<Box<dyn Render>> {
        let (shape, original) = (Shape::of(&self.image), Some(self.image.clone()));
        Some(Box::new(ImagePlane::new(predictor, shape, original)))
    }

    fn scalars(&self) -> Map<String, Value> {
        let value = serde_json::to_value(Shape::of(&self.image)).expect("a shape is plain numbers");
        [(SHAPE.to_owned(), value)].into_iter().collect()
    }

    fn has_psnr(&self) -> bool {
        !self.image.is_hdr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strata_are_nearly_square_and_no_more_than_samples() {
        assert_eq!(strata(1 << 16, 1000, 1000), (256, 256));
        for (samples, width, height) in [(1000, 4000, 3000), (128, 10_000, 1), (128, 1, 10_000)] {
            let (columns, rows) = strata(samples, width, height);
            assert!(columns >= 1 && columns * rows <= samples && columns * rows > samples / 2, "{columns} {rows}");
        }
    }
}
