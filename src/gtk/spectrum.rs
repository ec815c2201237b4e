//! How fast a model learns which patterns: the eigenvalues of G, and the Fourier transform of the kernel's profile.

use super::jacobian::jacobian;
use std::f64::consts::TAU;

use faer::{Mat, Side};
use rayon::prelude::*;
use serde::Serialize;

use super::Model;
use super::matrix::mean_diagonal;
use crate::Result;
use crate::device::Device;

/// Number of points on the line along which the profile is computed.
pub const PROFILE_POINTS: usize = 1024;
/// Coordinate of the line on all axes but the first. It is not 0.5, where nodes or faces of cells lie.
const OTHER_AXES: f64 = 0.47;

/// The eigenvalues of a symmetric matrix, and quantities derived from them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Eigenvalues {
    /// Eigenvalues in ascending order.
    pub values: Vec<f64>,
    /// Mean of the eigenvalues, `trace / n`.
    pub mean: f64,
    /// `λ_max / λ_min`; infinite (`null` in JSON) if the rank is below n.
    pub condition_number: f64,
    /// Number of eigenvalues above `n ε λ_max`, ε = 2⁻⁵². The others cannot be distinguished from zero.
    pub numerical_rank: usize,
    /// `exp(−Σ p ln p)` with `p = λ / Σ λ` (Roy and Vetterli 2007).
    pub effective_rank: f64,
}

/// The kernel along a line that is parallel to the first axis and passes close to the middle of the cube.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// `δ`, `[n]`: distance between two points in units of the cube's width, starting at 0.
    pub distance: Vec<f64>,
    /// `k̄(δ)`, `[n]`: the mean of `k(x, x + δ)` over the line, where pairs that extend beyond its end count as zero.
    /// It is scaled to 1 at δ = 0.
    pub kernel: Vec<f64>,
    /// Frequencies in cycles per width of the cube, `[n / 2 + 1]`.
    pub frequency: Vec<f64>,
    /// `S(f)`, `[n / 2 + 1]`, as defined at [`profile`].
    pub transform: Vec<f64>,
    /// Lowest frequency up to which `S` sums to at least half of `Σ S`.
    pub median_frequency: f64,
    /// Fraction of `Σ S` at or above a quarter of the highest frequency.
    pub high_share: f64,
}

/// Spectrum of one model's G, and its kernel profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spectrum {
    /// Label of the model.
    pub model: String,
    /// Number of points.
    pub n: usize,
    /// Number of nodes that are active at one or more of the points.
    pub active_nodes: usize,
    /// Eigenvalues of G.
    pub eigenvalues: Eigenvalues,
    /// The kernel as a function of distance.
    pub profile: Profile,
    /// Time to compute G and its eigenvalues, in seconds.
    pub seconds: f64,
}

/// Computes the eigenvalues of G at `x` and the profile of the kernel.
///
/// # Errors
/// Returns an error if the device fails.
pub fn spectrum(model: &Model, device: &Device, x: &[f64]) -> Result<Spectrum> {
    let start = std::time::Instant::now();
    let (rows, used) = jacobian(model, device, x)?.compacted();
    let gram = rows.gram();
    let eigenvalues = eigenvalues(&gram);
    let seconds = start.elapsed().as_secs_f64();
    let profile = profile(model, device)?;
    let active_nodes = used.len() / model.features_per_node();
    Ok(Spectrum { model: model.label.clone(), n: rows.n(), active_nodes, eigenvalues, profile, seconds })
}

/// Computes the eigenvalues of a symmetric, positive semidefinite matrix.
pub fn eigenvalues(matrix: &Mat<f64>) -> Eigenvalues {
    let mut values =
        matrix.self_adjoint_eigenvalues(Side::Lower).expect("finite numbers, for which the QR iteration ends");
    values.sort_unstable_by(f64::total_cmp);
    describe(values, mean_diagonal(matrix))
}

fn describe(values: Vec<f64>, mean: f64) -> Eigenvalues {
    let largest = values.last().copied().unwrap_or(0.0);
    let numerical_rank = values.iter().filter(|&&value| value > zero(&values)).count();
    let smallest = values.first().copied().unwrap_or(0.0);
    let condition_number = if numerical_rank == values.len() { largest / smallest } else { f64::INFINITY };
    let positive = values.iter().copied().filter(|&value| value > 0.0);
    let sum: f64 = positive.clone().sum();
    let entropy: f64 = positive.map(|value| value / sum).map(|p| -p * p.ln()).sum();
    Eigenvalues { mean, condition_number, numerical_rank, effective_rank: entropy.exp(), values }
}

/// Returns the threshold above which an eigenvalue can be distinguished from zero: n times the rounding error of the
/// largest (Golub and Van Loan, 8.1.1).
pub fn zero(rising: &[f64]) -> f64 {
    rising.len() as f64 * f64::EPSILON * rising.last().copied().unwrap_or(0.0)
}

/// Computes the profile of the kernel and its Fourier transform. With N points x_i on the line,
///
/// `S(f) = 1/N² Σ_ij k(x_i, x_j) cos 2πf(x_i − x_j) = Σ_p |1/N Σ_i φ(x_i, p) e^{−2πi f x_i}|²`,
///
/// which is the transform of `k̄(δ)` and the rate at which gradient flow learns a wave of frequency f (Theorem 1: the
/// Rayleigh quotient `e*Ge` of that wave, divided by N). It is scaled to `k̄(0) = 1`, so that a large φ gives no
/// advantage.
///
/// # Errors
/// Returns an error if the device fails.
pub fn profile(model: &Model, device: &Device) -> Result<Profile> {
    let (n, d) = (PROFILE_POINTS, model.grid.dimensions as usize);
    let x: Vec<f64> = (0..n)
        .flat_map(|i| (0..d).map(move |axis| if axis == 0 { (i as f64 + 0.5) / n as f64 } else { OTHER_AXES }))
        .collect();
    let gram = jacobian(model, device, &x)?.compacted().0.gram();
    let lag = |k: usize| (0..n - k).map(|i| gram[(i, i + k)]).sum::<f64>() / n as f64;
    let kernel: Vec<f64> = (0..n).into_par_iter().map(lag).collect();
    let kernel: Vec<f64> = kernel.iter().map(|value| value / kernel[0]).collect();
    let transform: Vec<f64> = (0..=n / 2).into_par_iter().map(|f| cosine_transform(&kernel, f)).collect();
    let (median_frequency, high_share) = shares(&transform);
    Ok(Profile {
        distance: (0..n).map(|k| k as f64 / n as f64).collect(),
        frequency: (0..=n / 2).map(|f| f as f64).collect(),
        kernel,
        transform,
        median_frequency,
        high_share,
    })
}

/// Computes `1/N (k̄_0 + 2 Σ_k k̄_k cos 2πfk/N)`, the transform of an even profile.
fn cosine_transform(kernel: &[f64], f: usize) -> f64 {
    let n = kernel.len();
    // The angle is reduced in integer arithmetic, which is exact.
    let term = |(k, value): (usize, &f64)| value * (TAU * (f * k % n) as f64 / n as f64).cos();
    let sum: f64 = kernel.iter().enumerate().skip(1).map(term).sum();
    (kernel[0] + 2.0 * sum) / n as f64
}

fn shares(transform: &[f64]) -> (f64, f64) {
    let total: f64 = transform.iter().sum();
    let mut sum = 0.0;
    let median = transform.iter().position(|value| {
        sum += value;
        sum >= 0.5 * total
    });
    let high: f64 = transform[transform.len() / 4..].iter().sum();
    (median.unwrap_or(0) as f64, high / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_of_a_known_matrix() {
        // The circulant matrix of 2 and −1 has the eigenvalues 2 − 2 cos 2πk/n.
        let n = 8;
        let ring = |i: usize, j: usize| match (i + n - j) % n {
            0 => 2.0,
            1 | 7 => -1.0,
            _ => 0.0,
        };
        let found = eigenvalues(&Mat::from_fn(n, n, ring));
        let mut expected: Vec<f64> = (0..n).map(|k| 2.0 - 2.0 * (TAU * k as f64 / n as f64).cos()).collect();
        expected.sort_unstable_by(f64::total_cmp);
        for (found, expected) in found.values.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-14, "{found} {expected}");
        }
        assert_eq!((found.numerical_rank, found.condition_number), (7, f64::INFINITY));
    }

    #[test]
    fn equal_eigenvalues_have_full_effective_rank() {
        let found = describe(vec![0.5; 6], 0.5);
        assert!((found.effective_rank - 6.0).abs() < 1e-12);
        assert_eq!((found.condition_number, found.numerical_rank), (1.0, 6));
    }

    #[test]
    fn a_wave_has_its_own_frequency() {
        let n = 64;
        let wave: Vec<f64> = (0..n).map(|k| (TAU * 5.0 * k as f64 / n as f64).cos()).collect();
        let transform: Vec<f64> = (0..=n / 2).map(|f| cosine_transform(&wave, f)).collect();
        let largest = (0..transform.len()).max_by(|&a, &b| transform[a].total_cmp(&transform[b]));
        assert_eq!(largest, Some(5));
    }
}
