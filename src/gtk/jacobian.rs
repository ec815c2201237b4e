//! The Jacobian of a scalar model with respect to its features: Φ, whose product with its own transpose is the tangent
//! kernel, or, for a model whose levels form a cascade, the gradients of a polynomial.

use super::Model;
use super::cascade::{Cascade, backward, forward, summed};
use super::matrix::Rows;
use crate::Result;
use crate::device::Device;
use crate::encoding::ActiveNodes;

/// Computes Φ of a scalar model at `x` (`[n, D]`), with one column per node. If the kernel function has one value per
/// feature, that of the first feature is used. For a model with a cascade, which is not linear in its features, these
/// are its gradients with respect to them, with one column per feature.
///
/// # Errors
/// Returns an error if the device fails.
pub fn jacobian(model: &Model, device: &Device, x: &[f64]) -> Result<Rows> {
    if let Some(polynomial) = Polynomial::new(model, device, x)? {
        return Ok(polynomial.rows());
    }
    let nodes = model.active_nodes(device, x, &model.theta)?;
    Ok(Rows::of_nodes(nodes, model.n_entries()))
}

/// A model with a cascade at fixed points, as a function of the features of the nodes that they use.
pub(super) struct Polynomial<'m> {
    cascade: &'m Cascade,
    model: &'m Model,
    /// Active nodes; entries count the nodes in use.
    nodes: ActiveNodes,
    /// Rows of the nodes in use in the table.
    used: Vec<u32>,
}

impl<'m> Polynomial<'m> {
    /// Returns `None` if the model has no cascade.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(model: &'m Model, device: &Device, x: &[f64]) -> Result<Option<Self>> {
        let Some(cascade) = &model.cascade else { return Ok(None) };
        let mut nodes = model.active_nodes(device, x, &model.theta)?;
        let mut used = nodes.entry.clone();
        used.sort_unstable();
        used.dedup();
        let place = |entry: &mut u32| *entry = used.binary_search(entry).expect("every node was collected") as u32;
        nodes.entry.iter_mut().for_each(place);
        Ok(Some(Polynomial { cascade, model, nodes, used }))
    }

    /// Returns the number of features of the nodes in use.
    pub fn n_features(&self) -> usize {
        self.used.len() * self.cascade.shape.n_features
    }

    /// Returns the features at which the kernel is taken, `[n_used, F]`: trained, or drawn at random.
    pub fn features(&self) -> Vec<f64> {
        let n = self.cascade.shape.n_features;
        match &self.model.trained {
            Some(trained) => {
                let of_node = |&entry: &u32| trained.features[entry as usize * n..][..n].iter().map(|&w| f64::from(w));
                self.used.iter().flat_map(of_node).collect()
            }
            None => self.used.iter().flat_map(|&entry| self.cascade.features_of(entry)).collect(),
        }
    }

    /// Computes the outputs `[n]` and the rows of J at the given features.
    pub fn at(&self, features: &[f64]) -> (Vec<f64>, Rows) {
        let (shape, nodes) = (self.cascade.shape, &self.nodes);
        let n = shape.n_features;
        let per_row = nodes.n_levels * nodes.n_corners * n;
        let phi = |node: usize, k: usize| nodes.phi[if nodes.n_outputs == 1 { node } else { node * n + k }];
        let (mut output, mut value) = (Vec::new(), Vec::with_capacity(nodes.entry.len() * n));
        for (i, entries) in nodes.entry.chunks_exact(nodes.n_levels * nodes.n_corners).enumerate() {
            let first = i * entries.len();
            let mut z = vec![0.0; shape.n_columns()];
            for (node, &entry) in entries.iter().enumerate() {
                for k in 0..n {
                    z[node / nodes.n_corners * n + k] += phi(first + node, k) * features[entry as usize * n + k];
                }
            }
            let h = forward(shape, &self.cascade.gates, &z);
            output.push(h.iter().step_by(n).sum());
            let (dg_dz, _) = backward(shape, &self.cascade.gates, [&z, &h], summed(shape));
            let nodes_and_features = (0..entries.len()).flat_map(|node| (0..n).map(move |k| (node, k)));
            value.extend(
                nodes_and_features.map(|(node, k)| phi(first + node, k) * dg_dz[node / nodes.n_corners * n + k]),
            );
        }
        let column = nodes.entry.iter().flat_map(|&entry| (0..n as u32).map(move |k| entry * n as u32 + k)).collect();
        (output, Rows { per_row, n_columns: self.n_features(), column, value })
    }

    /// Computes the rows of J at [`Polynomial::features`], with one column per feature of the whole table.
    pub fn rows(&self) -> Rows {
        let n = self.cascade.shape.n_features as u32;
        let (_, rows) = self.at(&self.features());
        let column = rows.column.iter().map(|&column| self.used[(column / n) as usize] * n + column % n).collect();
        Rows { column, n_columns: self.model.n_entries() * n as usize, ..rows }
    }
}
