//! A scalar field `f(x) = decoder(g(x))` and its full tangent kernel `J Jᵀ`. J holds the gradients of every sample with
//! respect to all parameters: the features w, θ (the kernel function's parameters and the matrices of a cascade) and
//! the decoder's weights.

use faer::Mat;
use rayon::prelude::*;
use serde::Serialize;

use super::matrix::Rows;
use super::random::Random;
use super::{Model, cascade};
use crate::Result;
use crate::device::Device;
use crate::encoding::ActiveNodes;

const FEATURES: u64 = 4;
const WEIGHTS: u64 = 5;
/// Features are initialized uniformly in ±1e-4, as in Instant-NGP (section 4).
const FEATURE_RANGE: f64 = 1e-4;

/// The decoder that computes the field from the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Readout {
    /// The sum of the features, without parameters
    Sum,
    /// One layer: a weighted sum
    Linear,
    /// One hidden layer of 16 neurons with ReLU and no biases, like the project's networks
    Mlp,
}

const MLP_NEURONS: usize = 16;

/// A row-major weight matrix `[n_out, n_in]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Number of outputs.
    pub n_out: usize,
    /// Number of inputs.
    pub n_in: usize,
    /// Elements, `[n_out, n_in]`.
    pub weight: Vec<f64>,
}

/// The field at `n` fixed points. Features that no point uses are omitted, since their gradients are zero.
pub struct Field<'m> {
    model: &'m Model,
    device: &'m Device,
    x: &'m [f64],
    /// Row of each active node in `features`, `[n, n_levels, n_corners]`.
    entry: Vec<u32>,
    /// Number of features per level, `F`.
    n_features: usize,
    /// Features of the nodes in use, `[n_used, F]`.
    pub features: Vec<f64>,
    /// Parameters of the kernel function, followed by the matrices of a cascade; empty if the model has neither.
    pub theta: Vec<f64>,
    /// Layers of the decoder.
    pub layers: Vec<Layer>,
}

/// Outputs and gradients at the field's points.
pub struct Jacobian {
    nodes: ActiveNodes,
    /// Outputs, `[n]`.
    pub output: Vec<f64>,
    /// Gradients with respect to the interpolated features, `[n, n_levels · F]`.
    by_encoding: Vec<f64>,
    /// Gradients with respect to the matrices of the cascade, `[n, n_gates]`.
    by_gates: Vec<f64>,
    /// Gradients with respect to the decoder's weights, `[n, n_weights]`.
    by_weights: Vec<f64>,
}

/// The three parts whose sum is the full tangent kernel.
pub struct Kernels {
    /// Part of the features, `[n, n]`.
    pub features: Mat<f64>,
    /// Part of θ, `[n, n]`.
    pub theta: Mat<f64>,
    /// Part of the decoder's weights, `[n, n]`.
    pub decoder: Mat<f64>,
}

impl<'m> Field<'m> {
    /// Creates a field as at the start of training, or from the model's checkpoint if it has one. In the latter case,
    /// the network behind the grid is the decoder, and the field is its first output, which for radiance fields is the
    /// log density.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(model: &'m Model, device: &'m Device, x: &'m [f64], readout: Readout, seed: u64) -> Result<Self> {
        let nodes = model.active_nodes(device, x, &model.theta)?;
        let (rows, used) = Rows::of_nodes(nodes, model.n_entries()).compacted();
        let n_features = model.grid.n_features_per_level as usize;
        let (features, layers) = match &model.trained {
            Some(trained) => {
                let of_entry = |&entry: &u32| &trained.features[entry as usize * n_features..][..n_features];
                let features = used.iter().flat_map(of_entry).map(|&w| f64::from(w)).collect();
                (features, trained.layers.iter().map(Layer::of_checkpoint).collect())
            }
            None => {
                let mut random = Random::new(seed, FEATURES);
                let features = (0..used.len() * n_features).map(|_| random.symmetric(FEATURE_RANGE)).collect();
                (features, initial_layers(readout, model.grid.n_features() as usize, seed))
            }
        };
        let gates = model.cascade.iter().flat_map(|cascade| &cascade.gates);
        let theta = model.theta.iter().chain(gates).copied().collect();
        let mut field = Field { model, device, x, entry: rows.column, n_features, features, theta, layers };
        if let Some(last) = field.layers.last_mut() {
            // Only the first output of a network is used.
            last.weight.truncate(last.n_in);
            last.n_out = 1;
        }
        Ok(field)
    }

    /// Returns the number of points.
    pub fn n(&self) -> usize {
        self.x.len() / self.model.grid.dimensions as usize
    }

    /// Returns the number of the decoder's weights.
    pub fn n_weights(&self) -> usize {
        self.layers.iter().map(|layer| layer.weight.len()).sum()
    }

    /// Returns the number of parameters on which the outputs depend.
    pub fn n_parameters(&self) -> usize {
        self.features.len() + self.theta.len() + self.n_weights()
    }

    /// Computes outputs and gradients.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn jacobian(&self) -> Result<Jacobian> {
        let nodes = self.active_nodes()?;
        let samples: Vec<Sample> = (0..self.n()).into_par_iter().map(|i| self.sample(&nodes, i)).collect();
        Ok(Jacobian {
            output: samples.iter().map(|sample| sample.output).collect(),
            by_encoding: samples.iter().flat_map(|sample| sample.by_encoding.iter().copied()).collect(),
            by_gates: samples.iter().flat_map(|sample| sample.by_gates.iter().copied()).collect(),
            by_weights: samples.iter().flat_map(|sample| sample.by_weights.iter().copied()).collect(),
            nodes,
        })
    }

    /// Computes `G` of the grid alone, with φ at the field's θ and, for a cascade, at its features.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(super) fn grid_kernel(&self) -> Result<Mat<f64>> {
        let nodes = self.active_nodes()?;
        if let Some(shape) = self.model.grid.cascade {
            let by_encoding = |i: usize| {
                let z = self.interpolated(&nodes, i);
                let h = cascade::forward(shape, self.gates(), &z);
                cascade::backward(shape, self.gates(), [&z, &h], cascade::summed(shape)).0
            };
            let by_encoding: Vec<f64> = (0..self.n()).flat_map(by_encoding).collect();
            return Ok(self.rows_by_features(&nodes, &by_encoding).gram());
        }
        Ok(Rows { column: self.entry.clone(), ..Rows::of_nodes(nodes, self.features.len() / self.n_features) }.gram())
    }

    /// Computes the parts of the full tangent kernel.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn kernels(&self, jacobian: &Jacobian) -> Result<Kernels> {
        let by_theta = self.by_theta(jacobian, None)?;
        Ok(Kernels {
            features: self.feature_rows(jacobian).gram(),
            theta: dense_gram(&by_theta, self.n()),
            decoder: dense_gram(&jacobian.by_weights, self.n()),
        })
    }

    /// Computes the gradients of `Σ_i r_i f(x_i)` with respect to the features, θ and the decoder's weights.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn gradients(&self, jacobian: &Jacobian, r: &[f64]) -> Result<[Vec<f64>; 3]> {
        let mut features = vec![0.0; self.features.len()];
        self.feature_rows(jacobian).add_transposed_times(1.0, r, &mut features);
        let mut weights = vec![0.0; self.n_weights()];
        for (own, r) in jacobian.by_weights.chunks_exact(weights.len().max(1)).zip(r) {
            weights.iter_mut().zip(own).for_each(|(sum, g)| *sum += r * g);
        }
        Ok([features, self.by_theta(jacobian, Some(r))?, weights])
    }

    /// Computes φ at the field's θ.
    fn active_nodes(&self) -> Result<ActiveNodes> {
        self.model.active_nodes(self.device, self.x, self.kernel_theta())
    }

    /// Returns the parameters of the kernel function.
    fn kernel_theta(&self) -> &[f64] {
        &self.theta[..self.model.theta.len()]
    }

    /// Returns the matrices of the cascade.
    fn gates(&self) -> &[f64] {
        &self.theta[self.model.theta.len()..]
    }

    fn feature_rows(&self, jacobian: &Jacobian) -> Rows {
        self.rows_by_features(&jacobian.nodes, &jacobian.by_encoding)
    }

    /// Returns the columns of J for the features, `∂f/∂w_pk = φ_k(x, p) ∂f/∂z_lk`, given the gradients with respect to
    /// the interpolated features z.
    fn rows_by_features(&self, nodes: &ActiveNodes, by_encoding: &[f64]) -> Rows {
        let n_features = self.n_features;
        let column =
            self.entry.iter().flat_map(|&entry| (0..n_features).map(move |f| entry * n_features as u32 + f as u32));
        let value = (0..self.entry.len() * n_features).map(|k| {
            let (node, f) = (k / n_features, k % n_features);
            self.phi(nodes, node, f) * by_encoding[self.encoding_of(node) + f]
        });
        Rows {
            per_row: nodes.n_levels * nodes.n_corners * n_features,
            n_columns: self.features.len(),
            column: column.collect(),
            value: value.collect(),
        }
    }

    /// Computes the columns of J for θ, `[n, n_theta]`, or with `r` their sum over the points with weights `r`.
    fn by_theta(&self, jacobian: &Jacobian, r: Option<&[f64]>) -> Result<Vec<f64>> {
        let of_kernel = self.by_kernel_theta(jacobian, r)?;
        let n_gates = self.gates().len();
        if n_gates == 0 {
            return Ok(of_kernel);
        }
        let n_kernel = self.kernel_theta().len();
        let gates_of = |i: usize| &jacobian.by_gates[i * n_gates..(i + 1) * n_gates];
        Ok(match r {
            None => (0..self.n())
                .flat_map(|i| of_kernel[i * n_kernel..(i + 1) * n_kernel].iter().chain(gates_of(i)))
                .copied()
                .collect(),
            Some(r) => {
                let mut sum = vec![0.0; n_gates];
                for (i, r) in r.iter().enumerate() {
                    sum.iter_mut().zip(gates_of(i)).for_each(|(sum, g)| *sum += r * g);
                }
                [of_kernel, sum].concat()
            }
        })
    }

    fn by_kernel_theta(&self, jacobian: &Jacobian, r: Option<&[f64]>) -> Result<Vec<f64>> {
        if self.kernel_theta().is_empty() {
            return Ok(Vec::new());
        }
        let nodes = &jacobian.nodes;
        let per_point = nodes.n_levels * nodes.n_corners;
        let mut dl_dphi = vec![0.0; nodes.phi.len()];
        for node in 0..self.entry.len() {
            let weight = r.map_or(1.0, |r| r[node / per_point]);
            for f in 0..self.n_features {
                let w = self.features[self.entry[node] as usize * self.n_features + f];
                let k = if nodes.n_outputs == 1 { 0 } else { f };
                dl_dphi[node * nodes.n_outputs + k] += weight * w * jacobian.by_encoding[self.encoding_of(node) + f];
            }
        }
        let grid = &self.model.grid;
        Ok(grid.active_nodes_backward(self.device, self.x, self.kernel_theta(), &dl_dphi, r.is_none())?.theta)
    }

    /// Returns where the features of a node's point and level start in the grid's output.
    fn encoding_of(&self, node: usize) -> usize {
        node / self.model.grid.n_corners() * self.n_features
    }

    fn phi(&self, nodes: &ActiveNodes, node: usize, f: usize) -> f64 {
        nodes.phi[if nodes.n_outputs == 1 { node } else { node * nodes.n_outputs + f }]
    }

    fn sample(&self, nodes: &ActiveNodes, i: usize) -> Sample {
        let z = self.interpolated(nodes, i);
        let Some(shape) = self.model.grid.cascade else { return decode(&self.layers, z) };
        let h = cascade::forward(shape, self.gates(), &z);
        let decoded = decode(&self.layers, h.clone());
        let (by_encoding, by_gates) = cascade::backward(shape, self.gates(), [&z, &h], decoded.by_encoding);
        Sample { by_encoding, by_gates, ..decoded }
    }

    /// Returns the interpolated features of point `i`, `[n_levels · F]`.
    fn interpolated(&self, nodes: &ActiveNodes, i: usize) -> Vec<f64> {
        let per_point = nodes.n_levels * nodes.n_corners;
        let mut encoding = vec![0.0; nodes.n_levels * self.n_features];
        for node in i * per_point..(i + 1) * per_point {
            for f in 0..self.n_features {
                let w = self.features[self.entry[node] as usize * self.n_features + f];
                encoding[self.encoding_of(node - i * per_point) + f] += self.phi(nodes, node, f) * w;
            }
        }
        encoding
    }
}

impl Layer {
    fn of_checkpoint((n_out, n_in, weight): &(usize, usize, Vec<f32>)) -> Layer {
        Layer { n_out: *n_out, n_in: *n_in, weight: weight.iter().map(|&w| f64::from(w)).collect() }
    }

    fn times(&self, input: &[f64]) -> Vec<f64> {
        let row = |row: &[f64]| row.iter().zip(input).map(|(w, x)| w * x).sum();
        self.weight.chunks_exact(self.n_in).map(row).collect()
    }

    fn transposed_times(&self, upstream: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.n_in];
        for (row, u) in self.weight.chunks_exact(self.n_in).zip(upstream) {
            sum.iter_mut().zip(row).for_each(|(sum, w)| *sum += u * w);
        }
        sum
    }
}

impl Kernels {
    /// Returns the full tangent kernel, `[n, n]`.
    pub fn sum(&self) -> Mat<f64> {
        &self.features + &self.theta + &self.decoder
    }
}

struct Sample {
    output: f64,
    by_encoding: Vec<f64>,
    by_gates: Vec<f64>,
    by_weights: Vec<f64>,
}

/// Runs the forward and backward pass through the layers for one sample.
fn decode(layers: &[Layer], encoding: Vec<f64>) -> Sample {
    let n_encoding = encoding.len();
    let Some(first) = layers.first() else {
        return Sample {
            output: encoding.iter().sum(),
            by_encoding: vec![1.0; n_encoding],
            by_gates: Vec::new(),
            by_weights: Vec::new(),
        };
    };
    let mut inputs = vec![encoding];
    // Trained networks have a first layer whose width is padded to a multiple of 16.
    inputs[0].resize(first.n_in, 0.0);
    let mut output = 0.0;
    for (number, layer) in layers.iter().enumerate() {
        let sums = layer.times(&inputs[number]);
        output = sums[0];
        inputs.push(sums.into_iter().map(|sum| sum.max(0.0)).collect());
    }
    let mut upstream = vec![1.0];
    let mut gradients: Vec<Vec<f64>> = Vec::new();
    for (layer, input) in layers.iter().zip(&inputs).rev() {
        gradients.push(upstream.iter().flat_map(|u| input.iter().map(move |x| u * x)).collect());
        upstream = layer.transposed_times(&upstream);
        // The inputs of all layers but the first are outputs of a ReLU.
        if gradients.len() < layers.len() {
            upstream.iter_mut().zip(input).filter(|(_, x)| **x <= 0.0).for_each(|(u, _)| *u = 0.0);
        }
    }
    upstream.truncate(n_encoding);
    let by_weights = gradients.into_iter().rev().flatten().collect();
    Sample { output, by_encoding: upstream, by_gates: Vec::new(), by_weights }
}

/// Draws weights according to Glorot and Bengio (2010).
fn initial_layers(readout: Readout, n_encoding: usize, seed: u64) -> Vec<Layer> {
    let sizes: &[(usize, usize)] = match readout {
        Readout::Sum => &[],
        Readout::Linear => &[(n_encoding, 1)],
        Readout::Mlp => &[(n_encoding, MLP_NEURONS), (MLP_NEURONS, 1)],
    };
    let mut random = Random::new(seed, WEIGHTS);
    let layer = |&(n_in, n_out): &(usize, usize)| {
        let range = (6.0 / (n_in + n_out) as f64).sqrt();
        let weight = (0..n_in * n_out).map(|_| random.symmetric(range)).collect();
        Layer { n_out, n_in, weight }
    };
    sizes.iter().map(layer).collect()
}

/// Computes `J Jᵀ` from dense rows `[n, m]`. The result is zero if m is zero.
fn dense_gram(rows: &[f64], n: usize) -> Mat<f64> {
    let m = rows.len() / n;
    let matrix = Mat::from_fn(n, m, |i, j| rows[i * m + j]);
    &matrix * matrix.transpose()
}
