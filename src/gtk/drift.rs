//! Test of Theorem 2: how much the tangent kernel changes during training (Zhao et al. 2024).
//!
//! With φ fixed, the field is linear in w and G is constant. With a learned θ, with a cascade of levels or with a
//! decoder behind the grid, this no longer holds exactly; `‖G(t) − G(0)‖ / ‖G(0)‖` (Frobenius norm) measures the
//! change.

use faer::Mat;
use serde::Serialize;

use super::Model;
use super::flow::moments;
use super::matrix::frobenius;
use super::tangent::{Field, Readout};
use crate::Result;
use crate::device::Device;

/// Adam's usual constants (Kingma and Ba 2015), but with the project's β₂ and ε.
const BETA: [f64; 2] = [0.9, 0.99];
const EPSILON: f64 = 1e-15;

/// Settings of training with full-batch Adam steps on `½ mean (f − y)²`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Training {
    /// How the field's value is computed from its features.
    pub readout: Readout,
    /// Number of steps.
    pub steps: usize,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// Seed of the initial parameters.
    pub seed: u64,
}

/// Drift of the kernels during one training run, at each recorded step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trajectory {
    /// Drift of the grid tangent kernel `G = Φ Φᵀ`.
    pub grid: Vec<f64>,
    /// Drift of the full tangent kernel.
    pub full: Vec<f64>,
    /// Loss `½ mean (f − y)²`.
    pub loss: Vec<f64>,
}

/// Drift of one model's kernels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drift {
    /// Label of the model.
    pub model: String,
    /// Number of points.
    pub n: usize,
    /// Number of learned parameters.
    pub n_parameters: usize,
    /// The recorded steps.
    pub steps: Vec<usize>,
    /// Training with θ fixed: only w and the decoder are learned.
    pub phi_fixed: Trajectory,
    /// Training with θ learned as well. None if the kernel function has no θ.
    pub phi_learned: Option<Trajectory>,
}

/// Trains `model` on `labels` at `x` (`[n, D]`), once with θ fixed and, if the kernel function has a θ, once with θ
/// learned.
///
/// # Errors
/// Returns an error if the device fails.
pub fn drift(model: &Model, device: &Device, x: &[f64], labels: &[f64], training: Training) -> Result<Drift> {
    let field = Field::new(model, device, x, training.readout, training.seed)?;
    let (n, n_parameters, has_theta) = (field.n(), field.n_parameters(), !field.theta.is_empty());
    let phi_fixed = trajectory(field, labels, training, false)?;
    let phi_learned = if has_theta {
        Some(trajectory(Field::new(model, device, x, training.readout, training.seed)?, labels, training, true)?)
    } else {
        None
    };
    Ok(Drift { model: model.label.clone(), n, n_parameters, steps: moments(training.steps), phi_fixed, phi_learned })
}

fn trajectory(mut field: Field, labels: &[f64], training: Training, learn_theta: bool) -> Result<Trajectory> {
    let moments = moments(training.steps);
    let mut trajectory = Trajectory { grid: Vec::new(), full: Vec::new(), loss: Vec::new() };
    let mut first: Option<[Mat<f64>; 2]> = None;
    let mut adam = [&field.features, &field.theta].map(|values| Adam::new(values.len())).to_vec();
    adam.push(Adam::new(field.n_weights()));
    for step in 0..=training.steps {
        let jacobian = field.jacobian()?;
        let residual: Vec<f64> = jacobian.output.iter().zip(labels).map(|(o, y)| o - y).collect();
        if moments.binary_search(&step).is_ok() {
            let now = [field.grid_kernel()?, field.kernels(&jacobian)?.sum()];
            let start = first.get_or_insert_with(|| now.clone());
            trajectory.grid.push(relative_change(&now[0], &start[0]));
            trajectory.full.push(relative_change(&now[1], &start[1]));
            trajectory.loss.push(residual.iter().map(|r| r * r).sum::<f64>() / (2 * labels.len()) as f64);
        }
        let mean: Vec<f64> = residual.iter().map(|r| r / labels.len() as f64).collect();
        let [by_features, by_theta, by_weights] = field.gradients(&jacobian, &mean)?;
        adam[0].optimizer_step(&mut field.features, &by_features, training.learning_rate);
        if learn_theta {
            adam[1].optimizer_step(&mut field.theta, &by_theta, training.learning_rate);
        }
        descend_layers(&mut adam[2], &mut field, &by_weights, training.learning_rate);
    }
    Ok(trajectory)
}

fn descend_layers(adam: &mut Adam, field: &mut Field, gradient: &[f64], learning_rate: f64) {
    let mut weights: Vec<f64> = field.layers.iter().flat_map(|layer| layer.weight.iter().copied()).collect();
    adam.optimizer_step(&mut weights, gradient, learning_rate);
    let mut first = 0;
    for layer in &mut field.layers {
        let len = layer.weight.len();
        layer.weight.copy_from_slice(&weights[first..first + len]);
        first += len;
    }
}

fn relative_change(now: &Mat<f64>, start: &Mat<f64>) -> f64 {
    frobenius(&(now - start)) / frobenius(start)
}

/// Adam's moments for one list of parameters.
#[derive(Clone)]
struct Adam {
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl Adam {
    fn new(len: usize) -> Self {
        Adam { first: vec![0.0; len], second: vec![0.0; len], steps: 0 }
    }

    fn optimizer_step(&mut self, values: &mut [f64], gradient: &[f64], learning_rate: f64) {
        self.steps += 1;
        let correction = BETA.map(|beta| 1.0 - beta.powi(self.steps));
        for (((value, g), first), second) in values.iter_mut().zip(gradient).zip(&mut self.first).zip(&mut self.second)
        {
            *first = BETA[0] * *first + (1.0 - BETA[0]) * g;
            *second = BETA[1] * *second + (1.0 - BETA[1]) * g * g;
            *value -= learning_rate * (*first / correction[0]) / ((*second / correction[1]).sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_of_adam_is_the_learning_rate() {
        let (mut adam, mut values) = (Adam::new(2), vec![1.0, 1.0]);
        adam.optimizer_step(&mut values, &[3.0, -0.01], 0.1);
        assert!((values[0] - 0.9).abs() < 1e-12 && (values[1] - 1.1).abs() < 1e-12, "{values:?}");
    }
}
