//! Models whose levels form a cascade (`docs/models.md`), in f64: `h_0 = z_0` and `h_l = z_l ⊙ (1 + h_{<l} G_l)`, where
//! `z_l` are the interpolated features of level l.
//!
//! Such a model is a polynomial in its features w, so its tangent kernel `G = J Jᵀ` with `J_ij = ∂g(x_i)/∂w_j` depends
//! on them. As for other models, g is the sum over the levels of the first feature, here of h.

use super::random::Random;
use super::theta::ThetaChoice;
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::encoding;

/// Features at which the kernel is taken if there is no checkpoint: as large as those from which `gtk flow` starts, or
/// as training starts from.
const RANDOM_RANGE: f64 = 0.5;
const INITIAL_RANGE: f64 = 1e-4;
/// Streams of random numbers. Each node has a stream of its own for its features.
const GATES: u64 = 1 << 17;
const NODES: u64 = 1 << 32;

/// The cascade of a model, and how the features at which its kernel is taken are chosen.
#[derive(Clone, Debug)]
pub struct Cascade {
    /// Shape of the matrices `G_l`.
    pub(super) shape: encoding::Cascade,
    /// Matrices `G_l`, one after the other.
    pub gates: Vec<f64>,
    range: f64,
    seed: u64,
}

impl Cascade {
    /// Creates the cascade of an untrained model. The matrices are zero, or random by the rule of Glorot and Bengio
    /// (2010).
    pub fn new(shape: encoding::Cascade, choice: ThetaChoice, seed: u64) -> Self {
        let (range, random_gates) = match choice {
            ThetaChoice::Random => (RANDOM_RANGE, true),
            ThetaChoice::Initial => (INITIAL_RANGE, false),
        };
        let mut gates = vec![0.0; shape.n_parameters()];
        let mut random = Random::new(seed, GATES);
        for block in shape.blocks(0).iter().filter(|_| random_gates) {
            let range = (6.0 / block.shape.iter().sum::<usize>() as f64).sqrt();
            gates[block.range()].fill_with(|| random.symmetric(range));
        }
        Cascade { shape, gates, range, seed }
    }

    /// Reads the matrices of a trained model.
    ///
    /// # Errors
    /// Returns an error if the checkpoint lacks one of them.
    pub fn read(shape: encoding::Cascade, checkpoint: &Checkpoint) -> Result<Self> {
        let mut cascade = Cascade::new(shape, ThetaChoice::Initial, 0);
        for block in shape.blocks(0) {
            let saved = checkpoint.get::<f32>(&block.name, &block.shape)?;
            cascade.gates[block.range()].iter_mut().zip(saved).for_each(|(gate, &value)| *gate = f64::from(value));
        }
        Ok(cascade)
    }

    /// Draws the features of one node.
    pub(super) fn features_of(&self, entry: u32) -> impl Iterator<Item = f64> {
        let mut random = Random::new(self.seed, NODES + u64::from(entry));
        (0..self.shape.n_features).map(move |_| random.symmetric(self.range))
    }
}

/// Computes h from z, both `[L F]`.
pub fn forward(shape: encoding::Cascade, gates: &[f64], z: &[f64]) -> Vec<f64> {
    let mut h = z.to_vec();
    for level in 1..shape.n_levels {
        let gate = gates_of(shape, gates, &h, level);
        h[level * shape.n_features..].iter_mut().zip(&gate).for_each(|(h, gate)| *h *= gate);
    }
    h
}

/// Converts gradients with respect to h into those with respect to z (`[L F]`) and to the matrices.
pub(super) fn backward(
    shape: encoding::Cascade,
    gates: &[f64],
    [z, h]: [&[f64]; 2],
    mut dl_dh: Vec<f64>,
) -> (Vec<f64>, Vec<f64>) {
    let n_features = shape.n_features;
    let (mut dl_dz, mut dl_dgates) = (vec![0.0; z.len()], vec![0.0; gates.len()]);
    for level in (1..shape.n_levels).rev() {
        let (n, first) = (level * n_features, first_gate(shape, level));
        let gate = gates_of(shape, gates, h, level);
        for k in 0..n_features {
            let upstream = dl_dh[n + k];
            dl_dz[n + k] = upstream * gate[k];
            for c in 0..n {
                let at = first + c * n_features + k;
                dl_dgates[at] = upstream * z[n + k] * h[c];
                dl_dh[c] += upstream * z[n + k] * gates[at];
            }
        }
    }
    dl_dz[..n_features].copy_from_slice(&dl_dh[..n_features]);
    (dl_dz, dl_dgates)
}

/// Returns `1 + h_{<l} G_l`, `[F]`.
fn gates_of(shape: encoding::Cascade, gates: &[f64], h: &[f64], level: usize) -> Vec<f64> {
    let (n_features, first) = (shape.n_features, first_gate(shape, level));
    let of_feature = |k: usize| {
        1.0 + h[..level * n_features]
            .iter()
            .enumerate()
            .map(|(c, h)| h * gates[first + c * n_features + k])
            .sum::<f64>()
    };
    (0..n_features).map(of_feature).collect()
}

fn first_gate(shape: encoding::Cascade, level: usize) -> usize {
    shape.n_features * shape.n_features * level * (level - 1) / 2
}

/// Returns the gradients of g with respect to h: 1 for the first feature of each level.
pub(super) fn summed(shape: encoding::Cascade) -> Vec<f64> {
    (0..shape.n_columns()).map(|column| if column % shape.n_features == 0 { 1.0 } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GridConfig;

    fn shape(n_levels: u32, n_features_per_level: u32) -> encoding::Cascade {
        let config = GridConfig { cascade: true, n_levels, n_features_per_level, ..GridConfig::default() };
        encoding::Cascade::new(&config).unwrap()
    }

    #[test]
    fn two_levels_of_one_feature_are_a_product() {
        let (shape, gates, z) = (shape(2, 1), [0.5], [3.0, 2.0]);
        let h = forward(shape, &gates, &z);
        assert_eq!(h, [3.0, 2.0 * (1.0 + 1.5)]);
        let (dl_dz, dl_dgates) = backward(shape, &gates, [&z, &h], vec![1.0, 1.0]);
        assert_eq!((dl_dz, dl_dgates), (vec![1.0 + 2.0 * 0.5, 2.5], vec![6.0]));
    }

    #[test]
    fn gradients_are_central_differences() {
        let shape = shape(4, 2);
        let mut random = Random::new(3, 0);
        let mut draw = |n: usize| (0..n).map(|_| random.symmetric(1.0)).collect::<Vec<f64>>();
        let (z, gates, upstream) = (draw(8), draw(shape.n_parameters()), draw(8));
        let value = |gates: &[f64], z: &[f64]| -> f64 {
            forward(shape, gates, z).iter().zip(&upstream).map(|(h, u)| h * u).sum()
        };
        let h = forward(shape, &gates, &z);
        let (dl_dz, dl_dgates) = backward(shape, &gates, [&z, &h], upstream.clone());
        let moved = |values: &[f64], at: usize, step: f64| {
            let mut values = values.to_vec();
            values[at] += step;
            values
        };
        let step = 1e-5;
        let close = |found: f64, above: f64, below: f64| {
            let expected = (above - below) / (2.0 * step);
            assert!((found - expected).abs() < 1e-8, "{found} {expected}");
        };
        for (at, &found) in dl_dz.iter().enumerate() {
            close(found, value(&gates, &moved(&z, at, step)), value(&gates, &moved(&z, at, -step)));
        }
        for (at, &found) in dl_dgates.iter().enumerate() {
            close(found, value(&moved(&gates, at, step), &z), value(&moved(&gates, at, -step), &z));
        }
    }
}
