//! Mean squared error and PSNR.

use rayon::prelude::*;

use super::Sample;

/// Number of values summed by one task.
const PIECE: usize = 1 << 16;

/// Computes the mean squared error over all values.
///
/// # Panics
/// Panics if the lengths differ or are 0.
pub(crate) fn mse<T: Sample>(a: &[T], b: &[T]) -> f64 {
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
