//! Learned perceptual image patch similarity (Zhang et al. 2018, arXiv 1801.03924), version 0.1: the distance of two
//! images in the features of a network trained for image classification. The user must provide the weights.
//!
//! `d(a, b) = Σ_l mean_{h,w} Σ_c w_lc (â_lhwc − b̂_lhwc)²` (equation 1), where â are the activations of layer l with
//! each pixel's features normalized to length 1, and w are the learned weights of the layer's channels.

mod convolution;
mod network;
mod weights;

use std::path::Path;

use rayon::prelude::*;

use crate::Result;
use convolution::{Convolution, Features};
pub use network::Backbone;
use weights::Weights;

/// Means and standard deviations of the channels, for images in `[−1, 1]`, that the networks were trained with.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// Added to the length of a pixel's features before dividing by it.
const LEAST_LENGTH: f32 = 1e-10;

/// Number of pixels per task.
const PIECE: usize = 4096;

/// A network with its weights.
pub struct Lpips {
    /// The network whose activations are compared.
    pub backbone: Backbone,
    convolutions: Vec<Convolution>,
    /// Channel weights of each compared layer, `[n_out]`.
    channel_weights: Vec<Vec<f32>>,
}

impl Lpips {
    /// Reads weights in the format that `docs/formats.md` describes. The network is recognized by the names and shapes
    /// of the tensors.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is truncated, or if a tensor is missing or has the wrong shape or
    /// type.
    pub fn read(path: &Path) -> Result<Self> {
        let Weights { backbone, convolutions, channel_weights } = Weights::read(path)?;
        Ok(Lpips { backbone, convolutions, channel_weights })
    }

    /// Returns the smallest side of an image for which every layer has at least one pixel.
    pub fn least_side(&self) -> usize {
        (1..).find(|&side| self.output_side(side).is_some()).expect("a large image leaves pixels")
    }

    fn output_side(&self, side: usize) -> Option<usize> {
        let (pool, pool_stride) = self.backbone.pooling();
        self.backbone.layers().iter().try_fold(side, |side, layer| {
            let side = if layer.pooled_before { side.checked_sub(pool)? / pool_stride + 1 } else { side };
            Some((side + 2 * layer.padding).checked_sub(layer.side)? / layer.stride + 1)
        })
    }

    /// Returns the distance of two sRGB images `[height, width, 3]` in `[0, 1]`: 0 for equal images, and below 1 for
    /// most. Returns `None` if a side is shorter than [`Lpips::least_side`].
    ///
    /// # Panics
    /// Panics if an image does not have the given size.
    pub fn distance(&self, a: &[f32], b: &[f32], width: usize, height: usize) -> Option<f64> {
        let size = 3 * width * height;
        assert!(a.len() == size && b.len() == size, "images of {} and {} values, not {size}", a.len(), b.len());
        if self.output_side(width).is_none() || self.output_side(height).is_none() {
            return None;
        }
        let [mut a, mut b] = [a, b].map(|image| normalized(image, width, height));
        let mut distance = 0.0;
        let mut channel_weights = self.channel_weights.iter();
        for (layer, convolution) in self.backbone.layers().iter().zip(&self.convolutions) {
            [a, b] = [a, b].map(|features| {
                let pooled = if layer.pooled_before { pool(&features, self.backbone.pooling()) } else { features };
                convolution.apply(&pooled)
            });
            if layer.compared {
                let weights = channel_weights.next().expect("weights for each compared layer");
                distance += layer_distance(&a, &b, weights);
            }
        }
        Some(distance)
    }
}

fn normalized(image: &[f32], width: usize, height: usize) -> Features {
    let channel = |(i, &value): (usize, &f32)| (2.0 * value - 1.0 - SHIFT[i % 3]) / SCALE[i % 3];
    Features { height, width, channels: 3, values: image.iter().enumerate().map(channel).collect() }
}

/// Applies max pooling without padding: no window extends over the edge.
fn pool(features: &Features, (side, stride): (usize, usize)) -> Features {
    let (height, width) = ((features.height - side) / stride + 1, (features.width - side) / stride + 1);
    let channels = features.channels;
    let mut values = vec![f32::NEG_INFINITY; height * width * channels];
    values.par_chunks_mut(width * channels).enumerate().for_each(|(y, row)| {
        for (x, pixel) in row.chunks_mut(channels).enumerate() {
            for (dy, dx) in (0..side * side).map(|k| (k / side, k % side)) {
                let from = ((y * stride + dy) * features.width + x * stride + dx) * channels;
                let found = &features.values[from..from + channels];
                pixel.iter_mut().zip(found).for_each(|(most, value)| *most = most.max(*value));
            }
        }
    });
    Features { height, width, channels, values }
}

/// Returns the mean over pixels of Σ w (â − b̂)².
fn layer_distance(a: &Features, b: &Features, weights: &[f32]) -> f64 {
    let channels = a.channels;
    let length = |pixel: &[f32]| pixel.iter().map(|x| x * x).sum::<f32>().sqrt() + LEAST_LENGTH;
    let pixel = |(a, b): (&[f32], &[f32])| {
        let (length_a, length_b) = (length(a), length(b));
        let terms = a.iter().zip(b).zip(weights).map(|((a, b), w)| w * (a / length_a - b / length_b).powi(2));
        f64::from(terms.sum::<f32>())
    };
    let piece = |(a, b): (&[f32], &[f32])| a.chunks(channels).zip(b.chunks(channels)).map(pixel).sum::<f64>();
    let pieces = a.values.par_chunks(PIECE * channels).zip(b.values.par_chunks(PIECE * channels)).map(piece);
    pieces.collect::<Vec<f64>>().iter().sum::<f64>() / (a.height * a.width) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_takes_the_largest_of_each_channel() {
        let values = (0..2 * 5 * 4).map(|i| ((i * 7) % 23) as f32).collect();
        let pooled = pool(&Features { height: 4, width: 5, channels: 2, values }, (3, 2));
        assert_eq!((pooled.height, pooled.width), (1, 2));
        let largest = |x0: usize, channel: usize| {
            let places = (0..9).map(|k| 2 * ((k / 3) * 5 + x0 + k % 3) + channel);
            places.map(|i| ((i * 7) % 23) as f32).fold(0.0, f32::max)
        };
        assert_eq!(pooled.values, [largest(0, 0), largest(0, 1), largest(2, 0), largest(2, 1)]);
    }

    #[test]
    fn a_layers_distance_is_that_of_directions() {
        let features = |values: [f32; 4]| Features { height: 1, width: 2, channels: 2, values: values.into() };
        // The direction (1, 0) against (0, 1), and a vector against a multiple of itself.
        let distance = layer_distance(&features([2.0, 0.0, 3.0, 4.0]), &features([0.0, 5.0, 6.0, 8.0]), &[0.5, 0.25]);
        assert!((distance - (0.5 + 0.25) / 2.0).abs() < 1e-6, "{distance}");
    }
}
