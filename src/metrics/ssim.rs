//! Structural similarity (Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity",
//! IEEE TIP 2004): Gaussian window of 11×11 with σ = 1.5, K₁ = 0.01, K₂ = 0.03, data range 1.
//!
//! Only windows that lie completely inside the image count (no padding), each colour channel is compared separately,
//! and the index is the mean over windows and channels. This is what scikit-image computes with
//! `gaussian_weights=True, use_sample_covariance=False, channel_axis=-1`, and what the NeRF literature reports.

use super::Sample;
use rayon::prelude::*;

/// Side of the window in pixels; SSIM is undefined for smaller images.
pub const SSIM_WINDOW: usize = 11;

const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// First and second moments of a and b: E[a], E[b], E[a²], E[b²], E[ab].
type Moments = [f64; 5];

/// Computes the structural similarity of two `[height, width, 3]` images in `[0, 1]`: 1 for equal images. Returns
/// `None` if a side is below [`SSIM_WINDOW`].
///
/// # Panics
/// Panics if a length is not `height · width · 3`.
pub fn ssim<T: Sample>(a: &[T], b: &[T], width: usize, height: usize) -> Option<f64> {
    let values = 3 * width * height;
    assert!(a.len() == values && b.len() == values, "{} and {} values for {width}×{height}", a.len(), b.len());
    if width.min(height) < SSIM_WINDOW {
        return None;
    }
    let weights = gaussian();
    let (rows, columns) = (height - SSIM_WINDOW + 1, width - SSIM_WINDOW + 1);
    let row_len = 3 * width;
    let row = |y: usize| {
        let span = y * row_len..(y + SSIM_WINDOW) * row_len;
        row_sum(&a[span.clone()], &b[span], row_len, &weights)
    };
    let sums: Vec<f64> = (0..rows).into_par_iter().map(row).collect();
    Some(sums.iter().sum::<f64>() / (3 * rows * columns) as f64)
}

fn gaussian() -> [f64; SSIM_WINDOW] {
    let centre = (SSIM_WINDOW / 2) as f64;
    let weights: [f64; SSIM_WINDOW] = std::array::from_fn(|i| (-0.5 * ((i as f64 - centre) / SIGMA).powi(2)).exp());
    let total: f64 = weights.iter().sum();
    weights.map(|weight| weight / total)
}

/// Returns the sum of the index over one row of windows, from the [`SSIM_WINDOW`] image rows that they cover. The
/// separable filter is applied down the columns first, then along the row.
fn row_sum<T: Sample>(a: &[T], b: &[T], row_len: usize, weights: &[f64; SSIM_WINDOW]) -> f64 {
    let mut columns: Vec<Moments> = vec![[0.0; 5]; row_len];
    for ((a, b), weight) in a.chunks_exact(row_len).zip(b.chunks_exact(row_len)).zip(weights) {
        for (sum, (&a, &b)) in columns.iter_mut().zip(a.iter().zip(b)) {
            let (a, b): (f64, f64) = (a.into(), b.into());
            add(sum, *weight, &[a, b, a * a, b * b, a * b]);
        }
    }
    let reach = 3 * (SSIM_WINDOW - 1);
    (0..row_len - reach).map(|first| index(&along(&columns[first..=first + reach], weights))).sum()
}

/// Applies the horizontal half of the filter: every third element is the same channel of the next pixel.
fn along(columns: &[Moments], weights: &[f64; SSIM_WINDOW]) -> Moments {
    let mut window = [0.0; 5];
    for (moments, weight) in columns.iter().step_by(3).zip(weights) {
        add(&mut window, *weight, moments);
    }
    window
}

fn add(sum: &mut Moments, weight: f64, moments: &Moments) {
    for (sum, moment) in sum.iter_mut().zip(moments) {
        *sum += weight * moment;
    }
}

/// Computes equation 13 of the paper for one window.
fn index(&[mean_a, mean_b, a_a, b_b, a_b]: &Moments) -> f64 {
    let (variance_a, variance_b) = (a_a - mean_a * mean_a, b_b - mean_b * mean_b);
    let covariance = a_b - mean_a * mean_b;
    let luminance = (2.0 * mean_a * mean_b + C1) / (mean_a * mean_a + mean_b * mean_b + C1);
    luminance * (2.0 * covariance + C2) / (variance_a + variance_b + C2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: usize, height: usize) -> Vec<f32> {
        (0..3 * width * height).map(|i| (i * 7919 % 256) as f32 / 255.0).collect()
    }

    #[test]
    fn equal_images_score_one() {
        let image = ramp(17, 12);
        assert!((ssim(&image, &image, 17, 12).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn images_below_the_window_have_none() {
        assert_eq!(ssim(&ramp(10, 30), &ramp(10, 30), 10, 30), None);
        assert!(ssim(&ramp(11, 11), &ramp(11, 11), 11, 11).is_some());
    }

    #[test]
    fn threads_do_not_change_the_bits() {
        let (a, b) = (ramp(40, 33), ramp(33, 40));
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| ssim(&a, &b, 40, 33).unwrap().to_bits())
        };
        assert_eq!(with(1), with(3));
    }
}
