//! Theorem 3: `Δ = Yᵀ G⁻¹ Y` and the generalization bound `sqrt(2Δ/n)` (Zhao et al. 2024), compared with the measured
//! error.
//!
//! Multiplying φ by c divides Δ by c², so models are compared with G scaled to trace n. G is never regularized: a
//! singular G is rejected, and the condition number shows whether G is nearly singular.

use super::jacobian::jacobian;
use faer::linalg::solvers::Solve as _;
use faer::{Mat, Side};
use serde::Serialize;

use super::Model;
use super::matrix::{Rows, mean_diagonal};
use super::points::Points;
use super::spectrum::{Eigenvalues, eigenvalues};
use crate::device::Device;
use crate::{Error, Result};

/// Returns the two points of a label map that are taken if none are given: 0.49 and 0.51 along the first axis.
pub fn default_pair(dimensions: u32) -> [Vec<f64>; 2] {
    // The other axes stay off the middle, where nodes would make all kernels alike.
    [0.49, 0.51].map(|x| std::iter::once(x).chain(std::iter::repeat_n(0.47, dimensions as usize - 1)).collect())
}

/// The bound of one model at a set of points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// Label of the model.
    pub model: String,
    /// Number of points.
    pub n: usize,
    /// Values for the unscaled G.
    pub as_it_is: Values,
    /// Values for G scaled to trace n.
    pub at_trace_n: Values,
    /// Trace of the unscaled G.
    pub trace: f64,
    /// `λ_max / λ_min`
    pub condition_number: f64,
    /// `‖Gα − Y‖ / ‖Y‖` of the computed `α = G⁻¹Y`: the precision lost to the condition number.
    pub residual: f64,
    /// Root mean squared error at the held-out points of the field to which gradient flow converges from w = 0,
    /// `f(x) = Σ_i k(x, x_i) α_i` (Theorem 1 at t = ∞). None without held-out points.
    pub test_error: Option<f64>,
}

/// Values of the bound for one scaling of G.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Values {
    /// `Yᵀ G⁻¹ Y`
    pub delta: f64,
    /// `sqrt(2Δ/n)`
    pub bound: f64,
    /// Smallest eigenvalue.
    pub lambda_min: f64,
}

/// Agreement between ranking the models by bound and by error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// Number of models compared.
    pub n_models: usize,
    /// Spearman's rank correlation of the bound for the unscaled G with the error. It is 1 if both give the same
    /// ranking.
    pub as_it_is: f64,
    /// Rank correlation for G scaled to trace n.
    pub at_trace_n: f64,
}

/// Δ of two points as a function of their labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelMap {
    /// Label of the model.
    pub model: String,
    /// The two points.
    pub points: [Vec<f64>; 2],
    /// G of the two points scaled to trace 2, `[[g11, g12], [g21, g22]]`.
    pub gram: [[f64; 2]; 2],
    /// Labels along each axis.
    pub labels: Vec<f64>,
    /// Δ, `[y2, y1]`: one row for each y2.
    pub delta: Vec<Vec<f64>>,
    /// `λ_max / λ_min` of the two points' G.
    pub condition_number: f64,
}

/// Computes the bound of `model` for the points and their labels.
///
/// # Errors
/// Returns an error if the device fails, or if G is singular; the message gives the model, the rank and the reason.
pub fn bound(model: &Model, device: &Device, points: &Points, labels: &[f64]) -> Result<Bound> {
    let rows = jacobian(model, device, &points.x)?;
    let gram = rows.gram();
    let n_used = n_nodes(model, rows.clone());
    let (solved, eigen) = solve(&gram, labels).map_err(|eigen| singular(model, &eigen, n_used))?;
    let (n, scale) = (labels.len() as f64, mean_diagonal(&gram));
    let delta: f64 = solved.iter().zip(labels).map(|(alpha, y)| alpha * y).sum();
    let values = |scale: f64| {
        let delta = delta * scale;
        Values { delta, bound: (2.0 * delta / n).sqrt(), lambda_min: eigen.values[0] / scale }
    };
    let test_error = match &points.held_out {
        Some((x, expected)) => Some(error_at(model, device, &rows, &solved, x, expected)?),
        None => None,
    };
    Ok(Bound {
        model: model.label.clone(),
        n: labels.len(),
        as_it_is: values(1.0),
        at_trace_n: values(scale),
        trace: scale * n,
        condition_number: eigen.condition_number,
        residual: residual(&gram, &solved, labels),
        test_error,
    })
}

/// Computes `α = G⁻¹ Y` by Cholesky decomposition, and the eigenvalues of G.
///
/// # Errors
/// Returns only the eigenvalues if G is singular to within rounding.
fn solve(gram: &Mat<f64>, labels: &[f64]) -> std::result::Result<(Vec<f64>, Eigenvalues), Box<Eigenvalues>> {
    let eigen = eigenvalues(gram);
    if eigen.numerical_rank < labels.len() {
        return Err(Box::new(eigen));
    }
    let Ok(factor) = gram.llt(Side::Lower) else { return Err(Box::new(eigen)) };
    let alpha = factor.solve(Mat::from_fn(labels.len(), 1, |i, _| labels[i]));
    Ok(((0..labels.len()).map(|i| alpha[(i, 0)]).collect(), eigen))
}

/// Returns the number of nodes that the rows of a model use.
fn n_nodes(model: &Model, rows: Rows) -> usize {
    rows.compacted().1.len() / model.features_per_node()
}

fn singular(model: &Model, eigen: &Eigenvalues, n_used: usize) -> Error {
    let n = eigen.values.len();
    let why = if n_used < n {
        format!("they reach only {n_used} nodes; take fewer points or a finer grid")
    } else {
        "points lie too close for it to tell apart; take fewer points or a finer grid".to_owned()
    };
    Error::config(format!(
        "{}: G is singular at these {n} points (rank {}, eigenvalues {:.1e} to {:.1e}), as {why}",
        model.label,
        eigen.numerical_rank,
        eigen.values[0],
        eigen.values[n - 1]
    ))
}

fn residual(gram: &Mat<f64>, alpha: &[f64], labels: &[f64]) -> f64 {
    let row = |i: usize| (0..labels.len()).map(|j| gram[(i, j)] * alpha[j]).sum::<f64>() - labels[i];
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut (0..labels.len()).map(row)) / norm(&mut labels.iter().copied())
}

fn error_at(model: &Model, device: &Device, rows: &Rows, alpha: &[f64], x: &[f64], expected: &[f64]) -> Result<f64> {
    // Σ_i k(x, x_i) α_i = Φ(x) (Φᵀ α), where Φᵀ α are the features to which the flow converges.
    let mut features = vec![0.0; rows.n_columns];
    rows.add_transposed_times(1.0, alpha, &mut features);
    let found = jacobian(model, device, x)?.times(&features);
    let squared: f64 = found.iter().zip(expected).map(|(f, y)| (f - y).powi(2)).sum();
    Ok((squared / expected.len() as f64).sqrt())
}

/// Computes the rank correlation of bounds and errors over the models with an error. Returns None if there are fewer
/// than three.
pub(super) fn ranking(bounds: &[Bound]) -> Option<Ranking> {
    let measured: Vec<(&Bound, f64)> = bounds.iter().filter_map(|bound| bound.test_error.map(|e| (bound, e))).collect();
    let errors: Vec<f64> = measured.iter().map(|(_, error)| *error).collect();
    let correlation =
        |of: fn(&Bound) -> f64| spearman(&measured.iter().map(|(bound, _)| of(bound)).collect::<Vec<_>>(), &errors);
    (measured.len() >= 3).then(|| Ranking {
        n_models: measured.len(),
        as_it_is: correlation(|bound| bound.as_it_is.bound),
        at_trace_n: correlation(|bound| bound.at_trace_n.bound),
    })
}

/// Computes Spearman's rank correlation: Pearson's correlation of the ranks, with tied values at their mean rank. The
/// result is NaN if all values of a list are equal.
fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// Returns ranks, counted from 0.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: &f64| values.iter().filter(|other| *other < value).count() as f64;
    let ties = |value: &f64| values.iter().filter(|other| *other == value).count() as f64;
    values.iter().map(|value| below(value) + (ties(value) - 1.0) / 2.0).collect()
}

/// Computes Δ for labels from −1 to 1, in `steps` steps along each axis, with G scaled to trace 2.
///
/// # Errors
/// Returns an error if G of the two points is singular or the device fails.
pub(super) fn label_map(model: &Model, device: &Device, points: [Vec<f64>; 2], steps: usize) -> Result<LabelMap> {
    let rows = jacobian(model, device, &points.concat())?;
    let gram = rows.gram();
    let scale = mean_diagonal(&gram);
    let n_used = n_nodes(model, rows);
    let inverse = |labels: &[f64]| solve(&gram, labels).map_err(|eigen| singular(model, &eigen, n_used));
    let (first, eigen) = inverse(&[1.0, 0.0])?;
    let (second, _) = inverse(&[0.0, 1.0])?;
    let labels: Vec<f64> = (0..=steps).map(|k| 2.0 * k as f64 / steps as f64 - 1.0).collect();
    let delta = |y1: f64, y2: f64| scale * (y1 * y1 * first[0] + 2.0 * y1 * y2 * first[1] + y2 * y2 * second[1]);
    Ok(LabelMap {
        model: model.label.clone(),
        points,
        gram: [0, 1].map(|i| [0, 1].map(|j| gram[(i, j)] / scale)),
        delta: labels.iter().map(|&y2| labels.iter().map(|&y1| delta(y1, y2)).collect()).collect(),
        condition_number: eigen.condition_number,
        labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rank_correlation_of_known_lists() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 15.0]), 0.5);
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[-1.0, -2.0, -9.0]), -1.0);
        assert!((spearman(&[1.0, 1.0, 3.0], &[1.0, 2.0, 3.0]) - 0.75f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_singular_matrix_is_told_from_a_bad_one() {
        let near = |e: f64| Mat::from_fn(2, 2, |i, j| if i == j { 1.0 } else { 1.0 - e });
        assert_eq!(solve(&near(0.0), &[1.0, 1.0]).unwrap_err().numerical_rank, 1);
        let (alpha, eigen) = solve(&near(1e-6), &[1.0, 0.0]).unwrap();
        assert!((alpha[0] * 2e-6 - 1.0).abs() < 1e-5, "{alpha:?}");
        assert!((eigen.condition_number / 2e6 - 1.0).abs() < 1e-5, "{eigen:?}");
    }
}
