//! Metrics of how close a fit is to the ground truth: PSNR, SSIM, LPIPS and an error map for images; distances and
//! volumes for surfaces.
//!
//! Images are `[height, width, 3]` in `[0, 1]`. Sums are accumulated in f64 over fixed pieces in a fixed order, so the
//! same images give bitwise the same result for any number of threads.

mod error_map;
pub mod lpips;
mod ssim;
mod surface;

pub use error_map::{ERROR_AT_FULL_SCALE, error_map};
pub use lpips::Lpips;
pub use ssim::{SSIM_WINDOW, ssim};
pub use surface::{Measured, SurfaceScore, compare_surfaces, intersection_over_union};

use rayon::prelude::*;

/// A sample type that the metrics accept: f32, or f64 for comparison with a reference.
pub trait Sample: Copy + Sync + Into<f64> {}

impl<T: Copy + Sync + Into<f64>> Sample for T {}

/// Number of values summed by one task.
const PIECE: usize = 1 << 16;

/// Computes the mean squared error over all values.
///
/// # Panics
/// Panics if the lengths differ or are 0.
pub fn mse<T: Sample>(a: &[T], b: &[T]) -> f64 {
    assert!(a.len() == b.len() && !a.is_empty(), "images of {} and {} values", a.len(), b.len());
    let piece = |(a, b): (&[T], &[T])| -> f64 { a.iter().zip(b).map(|(&a, &b)| (a.into() - b.into()).powi(2)).sum() };
    let sums: Vec<f64> = a.par_chunks(PIECE).zip(b.par_chunks(PIECE)).map(piece).collect();
    sums.iter().sum::<f64>() / a.len() as f64
}

/// Computes the peak signal-to-noise ratio in dB, with a peak of 1, over all pixels and channels: `−10 log₁₀ MSE`.
/// Infinite for equal images.
///
/// # Panics
/// Panics if the lengths differ or are 0.
pub fn psnr<T: Sample>(a: &[T], b: &[T]) -> f64 {
    -10.0 * mse(a, b).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn psnr_of_a_constant_error() {
        assert!((psnr(&[0.5f64; 30], &[0.6; 30]) - 20.0).abs() < 1e-12);
        assert_eq!(psnr(&[0.5f32; 3], &[0.5; 3]), f64::INFINITY);
    }

    #[test]
    fn pieces_cover_every_value() {
        let (a, mut b) = (vec![0.0f32; 2 * PIECE + 5], vec![0.0f32; 2 * PIECE + 5]);
        b[2 * PIECE + 4] = 1.0;
        assert_eq!(mse(&a, &b), 1.0 / (2 * PIECE + 5) as f64);
    }
}
