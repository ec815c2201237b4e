//! A fitted image as a plane in space, so that what shows fields in space shows it: panning and zooming are moves of the
//! camera.

use std::sync::Arc;

use super::image::{Image, shown_rgb};
use super::shape::Shape;
use crate::fit::{FitChunk, Predictor};
use crate::geometry::Camera;
use crate::metrics::error_map;
use crate::render::{Channel, Frame, Layer, Render, RenderOptions};
use crate::{Error, Result};

/// A fitted image in the plane z = 0: its middle is the origin, x points right, y up, and it is 1 unit high.
pub struct ImagePlane {
    predictor: Predictor,
    shape: Shape,
    original: Option<Arc<Image>>,
}

/// Where a camera's rays meet the image.
#[derive(Default)]
struct Hits {
    /// Numbers of the pixels of the camera, in ascending order.
    pixels: Vec<usize>,
    /// Coordinates in the image, from 0 to 1, y down: `[n, 2]`.
    positions: Vec<[f32; 2]>,
    /// Distances from the camera.
    distances: Vec<f32>,
}

impl ImagePlane {
    /// The channels of which pictures can be made, if the original is at hand.
    pub const CHANNELS: &'static [Channel] = &[Channel::Rgb, Channel::Original, Channel::Error];

    /// Creates the plane of a field; `original` is the image that it was fitted to, if that is at hand.
    pub fn new(predictor: Predictor, shape: Shape, original: Option<Arc<Image>>) -> Self {
        ImagePlane { predictor, shape, original }
    }

    /// Returns the image's width divided by its height.
    fn aspect(&self) -> f32 {
        self.shape.width as f32 / self.shape.height as f32
    }

    fn hits(&self, camera: &Camera) -> Hits {
        let (width, height) = (camera.intrinsics.width as usize, camera.intrinsics.height as usize);
        let mut hits = Hits::default();
        for pixel in 0..width * height {
            let (origin, direction) = camera.ray((pixel % width) as f32 + 0.5, (pixel / width) as f32 + 0.5);
            let distance = -origin[2] / direction[2];
            let [x, y] = [0, 1].map(|k| origin[k] + distance * direction[k]);
            let position = [0.5 + x / self.aspect(), 0.5 - y];
            if distance > 0.0 && distance.is_finite() && position.iter().all(|p| (0.0..1.0).contains(p)) {
                hits.pixels.push(pixel);
                hits.positions.push(position);
                hits.distances.push(distance);
            }
        }
        hits
    }

    /// Returns the fitted image at these positions, as displayed: `[n, 3]`.
    fn fitted(&self, positions: &[[f32; 2]]) -> Result<Vec<f32>> {
        let place = |chunk: &mut FitChunk, first: usize| {
            let of_chunk = &positions[first..first + chunk.n];
            chunk.position.upload(0, of_chunk.as_flattened())
        };
        let values = self.predictor.values(positions.len(), place)?;
        Ok(shown_rgb(&values, self.shape.n_channels, self.shape.is_hdr))
    }

    /// Returns the pixels of the original that contain these positions, as displayed: `[n, 3]`.
    fn original(&self, positions: &[[f32; 2]]) -> Result<Vec<f32>> {
        let image = self.original.as_ref().ok_or_else(|| {
            Error::config(
                "the image that the field was fitted to cannot be read, so that there is nothing to compare with",
            )
        })?;
        let along = |p: f32, n: u32| ((p * n as f32) as u32).min(n - 1) as usize;
        let pixels = positions.iter().map(|&[u, v]| [along(u, image.width), along(v, image.height)]);
        let values: Vec<f32> = pixels.flat_map(|[x, y]| image.pixel(x, y)).collect();
        Ok(shown_rgb(&values, image.n_channels, image.is_hdr()))
    }
}

impl Render for ImagePlane {
    fn render(&self, camera: &Camera, options: &RenderOptions) -> Result<Frame> {
        let (width, height) = (camera.intrinsics.width as usize, camera.intrinsics.height as usize);
        let hits = self.hits(camera);
        let colors = match options.layer {
            Layer::Field => self.fitted(&hits.positions)?,
            Layer::Original => self.original(&hits.positions)?,
            Layer::Error => {
                let map = error_map(&self.original(&hits.positions)?, &self.fitted(&hits.positions)?);
                map.into_iter().map(|value| f32::from(value) / 255.0).collect()
            }
            Layer::Occupancy => return Err(Error::config("a fitted image has no occupancy grid")),
        };
        let n = width * height;
        let rgb = (0..n).flat_map(|_| options.background).collect();
        let mut frame = Frame { width, height, rgb, depth: vec![0.0; n], opacity: vec![0.0; n] };
        for ((&pixel, color), &distance) in hits.pixels.iter().zip(colors.chunks_exact(3)).zip(&hits.distances) {
            frame.rgb[3 * pixel..][..3].copy_from_slice(color);
            (frame.depth[pixel], frame.opacity[pixel]) = (distance, 1.0);
        }
        Ok(frame)
    }

    fn channels(&self) -> &'static [Channel] {
        if self.original.is_some() { ImagePlane::CHANNELS } else { &[Channel::Rgb] }
    }
}
