//! Test of Theorem 1: the training that G predicts, compared with actual training (Zhao et al. 2024).
//!
//! Under gradient flow on `½‖O − Y‖²`, `O(t) = Y + e^{−Gt}(O(0) − Y)`. Gradient descent with step η is not the flow,
//! but follows an equally exact law, `O_k = Y + (1 − ηG)^k (O_0 − Y)`, which differs from the flow at `t = ηk` by O(η).

use std::borrow::Cow;

use faer::{Mat, Side};
use serde::Serialize;

use super::Model;
use super::jacobian::{Polynomial, jacobian};
use super::matrix::Rows;
use super::random::Random;
use crate::Result;
use crate::device::Device;

/// Default number of steps of gradient descent: enough for the slowest waves to begin to be learned.
pub const STEPS: usize = 5000;
/// η λ_max if no η is given. It is small enough that descent stays within a few hundredths of the flow.
const RATE: f64 = 0.1;
/// Features are initialized uniformly in ± this value, so that O(0) is not zero.
const FEATURE_RANGE: f64 = 0.5;
const FEATURES: u64 = 3;
/// Deviations below this, relative to the largest `|O(0) − Y|`, are rounding errors. A step adds a few tens of f64
/// products, each with an error of 1e-16; over 10⁴ steps these errors accumulate like a random walk, reduced by the
/// contraction of gradient descent.
pub const ROUNDING: f64 = 1e-11;

/// A training run and its predictions. Arrays of outputs are indexed by recorded step, then by point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flow {
    /// Label of the model.
    pub model: String,
    /// Number of points.
    pub n: usize,
    /// η; the default is 0.1 / λ_max.
    pub learning_rate: f64,
    /// The recorded steps of gradient descent.
    pub steps: Vec<usize>,
    /// Time `ηk` of each recorded step.
    pub times: Vec<f64>,
    /// Outputs of gradient descent.
    pub outputs: Vec<Vec<f64>>,
    /// Outputs predicted by the law of gradient descent.
    pub predicted: Vec<Vec<f64>>,
    /// Outputs predicted by the law of gradient flow, Theorem 1.
    pub predicted_flow: Vec<Vec<f64>>,
    /// Loss `½‖O − Y‖² / n` at each recorded step.
    pub loss: Vec<f64>,
    /// Loss of `predicted` at each recorded step.
    pub predicted_loss: Vec<f64>,
    /// Largest `|output − predicted|` at each recorded step, divided by the largest `|O(0) − Y|`.
    pub deviation: Vec<f64>,
    /// Deviation from `predicted_flow`, defined in the same way.
    pub deviation_flow: Vec<f64>,
    /// Maximum of `deviation`.
    pub largest_deviation: f64,
    /// Maximum of `deviation_flow`.
    pub largest_deviation_flow: f64,
}

/// The eigendecomposition of G, from which both laws follow.
pub struct Law {
    /// Eigenvalues in ascending order.
    pub eigenvalues: Vec<f64>,
    vectors: Mat<f64>,
}

impl Law {
    /// Decomposes the matrix G, which is symmetric.
    pub fn of(gram: &Mat<f64>) -> Self {
        let eigen = gram.self_adjoint_eigen(Side::Lower).expect("finite numbers, for which the QR iteration ends");
        let values = eigen.S().column_vector();
        Law { eigenvalues: (0..gram.nrows()).map(|k| values[k]).collect(), vectors: eigen.U().to_owned() }
    }

    /// Computes `Y + decay(G) (O(0) − Y)`, where `decay` is a function of the eigenvalues.
    pub fn outputs(&self, initial: &[f64], labels: &[f64], decay: impl Fn(f64) -> f64) -> Vec<f64> {
        let n = labels.len();
        let coefficient: Vec<f64> = (0..n)
            .map(|k| {
                let along: f64 = (0..n).map(|i| self.vectors[(i, k)] * (initial[i] - labels[i])).sum();
                along * decay(self.eigenvalues[k])
            })
            .collect();
        let moved = |i: usize| (0..n).map(|k| self.vectors[(i, k)] * coefficient[k]).sum::<f64>();
        labels.iter().enumerate().map(|(i, label)| label + moved(i)).collect()
    }

    /// Returns the outputs of gradient flow at time `t` (Theorem 1).
    pub fn flow(&self, initial: &[f64], labels: &[f64], t: f64) -> Vec<f64> {
        self.outputs(initial, labels, |eigenvalue| (-eigenvalue * t).exp())
    }

    /// Returns the outputs after `k` steps of gradient descent.
    pub fn descent(&self, initial: &[f64], labels: &[f64], learning_rate: f64, k: usize) -> Vec<f64> {
        self.outputs(initial, labels, |eigenvalue| (1.0 - learning_rate * eigenvalue).powi(k as i32))
    }
}

/// A scalar model at the points, as a function of its features.
enum Scalar<'m> {
    /// The rows of Φ, whatever the features.
    Linear(Rows),
    /// A cascade: a polynomial.
    Cascade(Polynomial<'m>),
}

impl<'m> Scalar<'m> {
    fn new(model: &'m Model, device: &Device, x: &[f64]) -> Result<Self> {
        Ok(match Polynomial::new(model, device, x)? {
            Some(polynomial) => Scalar::Cascade(polynomial),
            None => Scalar::Linear(jacobian(model, device, x)?.compacted().0),
        })
    }

    fn n_features(&self) -> usize {
        match self {
            Scalar::Linear(rows) => rows.n_columns,
            Scalar::Cascade(polynomial) => polynomial.n_features(),
        }
    }

    /// Returns the outputs and the rows of their gradients.
    fn at(&self, features: &[f64]) -> (Vec<f64>, Cow<'_, Rows>) {
        match self {
            Scalar::Linear(rows) => (rows.times(features), Cow::Borrowed(rows)),
            Scalar::Cascade(polynomial) => {
                let (output, rows) = polynomial.at(features);
                (output, Cow::Owned(rows))
            }
        }
    }
}

/// Trains the features of `model` for `n_steps` steps and compares the outputs with both laws. The rows of Φ come from
/// the project's kernels; gather, residual and scatter use these rows in f64. For a model with a cascade, the laws are
/// those of the kernel at the start, and do not hold exactly.
///
/// # Errors
/// Returns an error if the device fails.
pub fn flow(
    model: &Model,
    device: &Device,
    x: &[f64],
    labels: &[f64],
    n_steps: usize,
    learning_rate: Option<f64>,
    seed: u64,
) -> Result<Flow> {
    let scalar = Scalar::new(model, device, x)?;
    let mut random = Random::new(seed, FEATURES);
    let mut features: Vec<f64> = (0..scalar.n_features()).map(|_| random.symmetric(FEATURE_RANGE)).collect();
    let law = Law::of(&scalar.at(&features).1.gram());
    let largest = law.eigenvalues.last().copied().unwrap_or(1.0);
    let learning_rate = learning_rate.unwrap_or(RATE / largest);
    let steps = moments(n_steps);
    let mut outputs = Vec::new();
    for step in 0..=n_steps {
        let (output, rows) = scalar.at(&features);
        let residual: Vec<f64> = output.iter().zip(labels).map(|(o, y)| o - y).collect();
        if steps.binary_search(&step).is_ok() {
            outputs.push(output);
        }
        rows.add_transposed_times(-learning_rate, &residual, &mut features);
    }
    Ok(compare(model.label.clone(), &law, labels, learning_rate, steps, outputs))
}

/// Returns the steps to record: 0, then about twelve per decade up to the last.
pub fn moments(last: usize) -> Vec<usize> {
    let mut steps: Vec<usize> =
        (0..).map(|k| 10f64.powf(f64::from(k) / 12.0).round() as usize).take_while(|&s| s < last).collect();
    steps.extend([0, last]);
    steps.sort_unstable();
    steps.dedup();
    steps
}

fn compare(
    model: String,
    law: &Law,
    labels: &[f64],
    learning_rate: f64,
    steps: Vec<usize>,
    outputs: Vec<Vec<f64>>,
) -> Flow {
    let initial = &outputs[0];
    let times: Vec<f64> = steps.iter().map(|&step| learning_rate * step as f64).collect();
    let predicted: Vec<_> = steps.iter().map(|&k| law.descent(initial, labels, learning_rate, k)).collect();
    let predicted_flow: Vec<_> = times.iter().map(|&t| law.flow(initial, labels, t)).collect();
    let size = largest_difference(initial, labels);
    let deviations = |predicted: &[Vec<f64>]| -> Vec<f64> {
        outputs.iter().zip(predicted).map(|(found, law)| largest_difference(found, law) / size).collect()
    };
    let (deviation, deviation_flow) = (deviations(&predicted), deviations(&predicted_flow));
    let loss =
        |o: &Vec<f64>| o.iter().zip(labels).map(|(o, y)| (o - y).powi(2)).sum::<f64>() / (2 * labels.len()) as f64;
    Flow {
        model,
        n: labels.len(),
        learning_rate,
        loss: outputs.iter().map(loss).collect(),
        predicted_loss: predicted.iter().map(loss).collect(),
        largest_deviation: deviation.iter().copied().fold(0.0, f64::max),
        largest_deviation_flow: deviation_flow.iter().copied().fold(0.0, f64::max),
        steps,
        times,
        outputs,
        predicted,
        predicted_flow,
        deviation,
        deviation_flow,
    }
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_begin_with_the_start_and_end_with_the_last_step() {
        let steps = moments(1000);
        assert_eq!((steps[0], steps[1], *steps.last().unwrap()), (0, 1, 1000));
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(moments(1), [0, 1]);
    }

    #[test]
    fn the_laws_of_one_point_are_those_of_a_decay() {
        let law = Law::of(&Mat::from_fn(1, 1, |_, _| 0.5));
        let close = |found: &[f64], expected: f64| assert!((found[0] - expected).abs() < 1e-15, "{found:?} {expected}");
        close(&law.flow(&[3.0], &[1.0], 2.0), 1.0 + 2.0 * (-1.0f64).exp());
        close(&law.descent(&[3.0], &[1.0], 0.1, 3), 1.0 + 2.0 * 0.95f64.powi(3));
    }
}
