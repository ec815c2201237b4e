//! A convolution with bias and ReLU, computed as matrix products.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::network::Layer;

/// Approximate number of values in the matrix of one task: 4 MiB, so that it stays in a core's cache.
const PATCH_NUMBERS: usize = 1 << 20;

/// Features of an image: `[height, width, channels]`.
pub(super) struct Features {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub values: Vec<f32>,
}

pub(super) struct Convolution {
    side: usize,
    stride: usize,
    padding: usize,
    n_in: usize,
    n_out: usize,
    /// `[n_out, side, side, n_in]`
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Convolution {
    /// Creates a convolution from `weights` in PyTorch's layout: `[n_out, n_in, side, side]`.
    pub fn new(layer: &Layer, weights: &[f32], bias: Vec<f32>) -> Self {
        let Layer { side, stride, padding, n_in, n_out, .. } = *layer;
        let area = side * side;
        let at = |i: usize| {
            let (out, place, channel) = (i / (area * n_in), i / n_in % area, i % n_in);
            weights[(out * n_in + channel) * area + place]
        };
        Convolution { side, stride, padding, n_in, n_out, weights: (0..weights.len()).map(at).collect(), bias }
    }

    /// Returns the features after the ReLU. Inputs outside the image are 0.
    pub fn apply(&self, features: &Features) -> Features {
        let extent = |length: usize| (length + 2 * self.padding - self.side) / self.stride + 1;
        let (height, width) = (extent(features.height), extent(features.width));
        let patch = self.side * self.side * self.n_in;
        let pixels = (PATCH_NUMBERS / patch).max(1);
        let mut values = vec![0.0; height * width * self.n_out];
        values.par_chunks_mut(pixels * self.n_out).enumerate().for_each(|(piece, out)| {
            let n = out.len() / self.n_out;
            let mut patches = vec![0.0; n * patch];
            for (i, row) in patches.chunks_mut(patch).enumerate() {
                let pixel = piece * pixels + i;
                self.gather(features, pixel / width, pixel % width, row);
            }
            let patches = MatRef::from_row_major_slice(&patches, n, patch);
            let weights = MatRef::from_row_major_slice(&self.weights, self.n_out, patch);
            let product = MatMut::from_row_major_slice_mut(out, n, self.n_out);
            matmul(product, Accum::Replace, patches, weights.transpose(), 1.0, Par::Seq);
            for pixel in out.chunks_mut(self.n_out) {
                pixel.iter_mut().zip(&self.bias).for_each(|(value, bias)| *value = (*value + bias).max(0.0));
            }
        });
        Features { height, width, channels: self.n_out, values }
    }

    /// Copies the input patch of the output pixel `(x, y)`: `[side, side, n_in]`.
    fn gather(&self, features: &Features, y: usize, x: usize, patch: &mut [f32]) {
        for (place, numbers) in patch.chunks_mut(self.n_in).enumerate() {
            let (dy, dx) = (place / self.side, place % self.side);
            let inside = |origin: usize, offset: usize, length: usize| {
                (origin * self.stride + offset).checked_sub(self.padding).filter(|at| *at < length)
            };
            let at = inside(y, dy, features.height).zip(inside(x, dx, features.width));
            if let Some((y, x)) = at {
                let from = (y * features.width + x) * self.n_in;
                numbers.copy_from_slice(&features.values[from..from + self.n_in]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sum_over_the_square_with_zeros_around() {
        let layer = Layer {
            number: 0,
            n_out: 3,
            n_in: 2,
            side: 3,
            stride: 2,
            padding: 1,
            pooled_before: false,
            compared: true,
        };
        let number = |i: usize| ((i * 37 + 11) % 17) as f32 * 0.1 - 0.8;
        let weights: Vec<f32> = (0..3 * 2 * 9).map(number).collect();
        let bias = vec![0.1, -0.2, 0.3];
        let (height, width) = (5, 6);
        let values: Vec<f32> = (0..height * width * 2).map(|i| number(i + 5)).collect();
        let found = Convolution::new(&layer, &weights, bias.clone()).apply(&Features {
            height,
            width,
            channels: 2,
            values: values.clone(),
        });
        assert_eq!((found.height, found.width, found.channels), (3, 3, 3));
        for (i, found) in found.values.iter().enumerate() {
            let (y, x, out) = (i / 9, i / 3 % 3, i % 3);
            let mut sum = bias[out];
            for (channel, dy, dx) in (0..18).map(|k| (k / 9, k / 3 % 3, k % 3)) {
                let (row, column) = ((2 * y + dy) as isize - 1, (2 * x + dx) as isize - 1);
                if (0..height as isize).contains(&row) && (0..width as isize).contains(&column) {
                    let value = values[(row as usize * width + column as usize) * 2 + channel];
                    sum += weights[((out * 2 + channel) * 3 + dy) * 3 + dx] * value;
                }
            }
            assert!((found - sum.max(0.0)).abs() < 1e-5, "{found}, expected {sum}");
        }
    }
}
