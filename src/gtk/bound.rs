//! Theorem 3: `Δ = Yᵀ G⁻¹ Y` and the generalisation bound `sqrt(2Δ/n)` (Zhao et al. 2024), beside the error measured.
//!
//! Δ falls as 1/c² when φ is multiplied by c, so that models are compared at G scaled to trace n. G is never regularised: one
//! that is singular is refused, one that is close to it is reported by its condition number.

use faer::linalg::solvers::Solve as _;
use faer::{Mat, Side};
use serde::Serialize;

use super::Model;
use super::matrix::{Rows, mean_diagonal};
use super::points::Points;
use super::spectrum::{Eigenvalues, eigenvalues};
use crate::device::Device;
use crate::{Error, Result};

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    pub model: String,
    pub n: usize,
    /// G as it is.
    pub as_it_is: Values,
    /// G scaled to trace n.
    pub at_trace_n: Values,
    pub trace: f64,
    /// `λ_max / λ_min`
    pub condition_number: f64,
    /// `‖Gα − Y‖ / ‖Y‖` of the solved `α = G⁻¹Y`: what the condition number cost.
    pub residual: f64,
    /// Root mean squared error at the points held out, of the field that gradient flow ends at from w = 0,
    /// `f(x) = Σ_i k(x, x_i) α_i` (Theorem 1 at t = ∞); None without such points.
    pub test_error: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Values {
    /// `Yᵀ G⁻¹ Y`
    pub delta: f64,
    /// `sqrt(2Δ/n)`
    pub bound: f64,
    pub lambda_min: f64,
}

/// How the bounds rank the models beside how the errors do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ranking {
    pub n_models: usize,
    /// Spearman's rank correlation of the bound with the error, 1 where the bound ranks as the error does.
    pub as_it_is: f64,
    pub at_trace_n: f64,
}

/// Δ of two points over a plane of labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelMap {
    pub model: String,
    /// The two points.
    pub points: [Vec<f64>; 2],
    /// Of G scaled to trace 2, `[[g11, g12], [g21, g22]]`.
    pub gram: [[f64; 2]; 2],
    /// Labels along either axis.
    pub labels: Vec<f64>,
    /// `[y2, y1]`: Δ, with y2 by row.
    pub delta: Vec<Vec<f64>>,
    pub condition_number: f64,
}

/// The bound of `model` at the points and their labels.
///
/// # Errors
/// Where G is singular: the model, the rank and why. Of the device.
pub fn bound(model: &Model, device: &Device, points: &Points, labels: &[f64]) -> Result<Bound> {
    let rows = Rows::of_model(model, device, &points.x)?;
    let gram = rows.gram();
    let n_used = rows.clone().compacted().1.len();
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

/// `α = G⁻¹ Y` by Cholesky, and the eigenvalues of G; only those where G is singular to rounding.
pub fn solve(gram: &Mat<f64>, labels: &[f64]) -> std::result::Result<(Vec<f64>, Eigenvalues), Box<Eigenvalues>> {
    let eigen = eigenvalues(gram);
    if eigen.numerical_rank < labels.len() {
        return Err(Box::new(eigen));
    }
    let Ok(factor) = gram.llt(Side::Lower) else { return Err(Box::new(eigen)) };
    let alpha = factor.solve(Mat::from_fn(labels.len(), 1, |i, _| labels[i]));
    Ok(((0..labels.len()).map(|i| alpha[(i, 0)]).collect(), eigen))
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
    // Σ_i k(x, x_i) α_i = Φ(x) (Φᵀ α): the features that the flow ends at.
    let mut features = vec![0.0; rows.n_columns];
    rows.add_transposed_times(1.0, alpha, &mut features);
    let found = Rows::of_model(model, device, x)?.times(&features);
    let squared: f64 = found.iter().zip(expected).map(|(f, y)| (f - y).powi(2)).sum();
    Ok((squared / expected.len() as f64).sqrt())
}

/// Rank correlation of bounds and errors over at least three models that have an error.
pub fn ranking(bounds: &[Bound]) -> Option<Ranking> {
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

/// Spearman's rank correlation: Pearson's of the ranks, ties at their mean rank. NaN where one list is all ties.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// From 0.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: &f64| values.iter().filter(|other| *other < value).count() as f64;
    let ties = |value: &f64| values.iter().filter(|other| *other == value).count() as f64;
    values.iter().map(|value| below(value) + (ties(value) - 1.0) / 2.0).collect()
}

/// Δ over labels from −1 to 1 in `steps` steps either way, at trace 2.
///
/// # Errors
/// Where G of the two points is singular. Of the device.
pub fn label_map(model: &Model, device: &Device, points: [Vec<f64>; 2], steps: usize) -> Result<LabelMap> {
    let rows = Rows::of_model(model, device, &points.concat())?;
    let gram = rows.gram();
    let scale = mean_diagonal(&gram);
    let n_used = rows.compacted().1.len();
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
