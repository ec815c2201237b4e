//! Coordinate networks, the baselines that the grids are compared with on images. They have no nodes and give the
//! values by themselves: Fourier features followed by a ReLU network (Tancik et al., NeurIPS 2020), and the
//! multiplicative filter networks FourierNet and GaborNet (Fathony et al., ICLR 2021). This module defines the shape of
//! their parameters θ; the arithmetic is in `kernels/network/coordinate_network.cuh`, and `docs/models.md` has the
//! formulas.

mod network;
mod start;

pub use network::{CoordinateNetwork, open};

use super::ParamBlock;
use crate::config::{CoordinateNetworkConfig, CoordinateNetworkKind, GridConfig, GridIndex};
use crate::decoder::{Decoder, Head, LayerShape};
use crate::device::args::{self, COORDINATE_NONE, COORDINATE_ROWS, CoordinateNetworkRow, Layer, NetworkLayout};

/// Number of output values, padded for the matrix products.
const PADDED_VALUES: usize = 16;
/// Number of coordinates of a point.
const D: usize = 2;

/// The shape of a coordinate network.
#[derive(Clone, Debug, PartialEq)]
pub struct CoordinateNetworkShape {
    /// Kind, width and depth of the network.
    pub config: CoordinateNetworkConfig,
    /// Number of values at a point, 1 to 16.
    pub n_outputs: u32,
}

impl CoordinateNetworkShape {
    /// Returns None if the model has a grid.
    pub fn new(config: &GridConfig, head: Head) -> Option<Self> {
        match (config.index, head) {
            (GridIndex::None, Head::Values { dimensions, n_outputs }) => {
                assert_eq!(dimensions as usize, D, "the configuration refuses all but images");
                Some(CoordinateNetworkShape { config: config.waves.clone(), n_outputs })
            }
            _ => None,
        }
    }

    /// Returns `H`, the number of neurons of a layer.
    fn width(&self) -> usize {
        self.config.width as usize
    }

    /// Returns `P`, the number of neurons of a layer padded for the matrix products.
    fn padded(&self) -> usize {
        self.width().next_multiple_of(16)
    }

    /// Returns `k`, the number of weight matrices.
    fn n_matrices(&self) -> usize {
        self.config.depth as usize
    }

    /// Returns the kind of network as the kernels number it.
    fn kind(&self) -> args::CoordinateNetworkKind {
        match self.config.kind {
            CoordinateNetworkKind::FourierFeatures => args::CoordinateNetworkKind::FourierFeatures,
            CoordinateNetworkKind::FourierNet => args::CoordinateNetworkKind::FourierNet,
            CoordinateNetworkKind::GaborNet => args::CoordinateNetworkKind::GaborNet,
        }
    }

    fn is_filtered(&self) -> bool {
        self.config.kind != CoordinateNetworkKind::FourierFeatures
    }

    /// Returns the number of learned inputs of matrix `l`, counted from 0. The `[cos, sin]` of Fourier features are
    /// concatenated.
    fn n_in(&self, l: usize) -> usize {
        if l == 0 && !self.is_filtered() { 2 * self.width() } else { self.width() }
    }

    fn n_out(&self, l: usize) -> usize {
        if l + 1 == self.n_matrices() { self.n_outputs as usize } else { self.width() }
    }

    /// Returns the shapes of the matrices as the kernels multiply by them.
    pub fn layers(&self) -> Vec<LayerShape> {
        let padded = self.padded();
        let shape = |l: usize| LayerShape {
            n_in: (if self.n_in(l) > self.width() { 2 * padded } else { padded }) as u32,
            n_out: (if l + 1 == self.n_matrices() { PADDED_VALUES } else { padded }) as u32,
        };
        (0..self.n_matrices()).map(shape).collect()
    }

    /// Returns the blocks of θ in order: for each layer its filter, then the matrix after it.
    pub fn blocks(&self) -> Vec<ParamBlock> {
        let width = self.width();
        let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
        for l in 0..self.n_matrices() {
            let n = l + 1;
            if self.is_filtered() {
                shapes.push((format!("omega_{n}"), vec![width, D]));
                shapes.push((format!("phi_{n}"), vec![width]));
            }
            if self.config.kind == CoordinateNetworkKind::GaborNet {
                shapes.push((format!("mu_{n}"), vec![width, D]));
                shapes.push((format!("gamma_{n}"), vec![width]));
            }
            shapes.push((format!("W_{n}"), vec![self.n_out(l), self.n_in(l)]));
            shapes.push((format!("b_{n}"), vec![self.n_out(l)]));
        }
        ParamBlock::in_order(shapes)
    }

    /// Returns the number of parameters in θ.
    pub fn n_parameters(&self) -> usize {
        ParamBlock::n_in_all(&self.blocks())
    }

    /// Returns the bytes that θ takes in training with Adam: value, gradient, two moments and the number of updates.
    pub fn training_bytes(&self) -> usize {
        20 * self.n_parameters()
    }

    /// Returns the floating-point operations of the forward pass per sample: matrix products, and 24 operations for a
    /// sine with its cosine.
    pub fn flops(&self) -> usize {
        let products: usize = (0..self.n_matrices()).map(|l| 2 * self.n_in(l) * self.n_out(l)).sum();
        let filters = if self.is_filtered() { self.n_matrices() } else { 1 };
        products + 24 * filters * self.width()
    }

    /// Returns the layout as the kernels see it: all layers belong to the first network of a decoder.
    pub fn layout(&self) -> NetworkLayout {
        Decoder { layers: self.layers(), n_density_layers: self.n_matrices(), sh_degree: 0 }.layout()
    }

    /// Returns how many activations are saved per sample: the inputs of all matrices, the output of each hidden matrix,
    /// and the values.
    pub fn n_columns(&self) -> usize {
        let inputs = self.layers()[0].n_in as usize;
        inputs + 2 * (self.n_matrices() - 1) * self.padded() + PADDED_VALUES
    }

    /// Returns the number of elements of the padded matrices, alone and together with the per-neuron numbers.
    pub fn n_prepared(&self) -> (usize, usize) {
        let n_weights = self.layout().n_weights as usize;
        (n_weights, n_weights + (self.n_matrices() + 1) * COORDINATE_ROWS * self.padded())
    }

    /// Returns the index in the prepared numbers of the number `row` of neuron `neuron` in layer `l`, counted from 0.
    fn number(&self, l: usize, row: usize, neuron: usize) -> usize {
        self.n_prepared().0 + (l * COORDINATE_ROWS + row) * self.padded() + neuron
    }

    /// Returns the index in the prepared numbers of a weight of matrix `l`.
    fn weight(&self, layer: &Layer, out: usize, input: usize) -> usize {
        let column = if input < self.width() { input } else { self.padded() + input - self.width() };
        layer.weights as usize + out * layer.n_in as usize + column
    }

    /// Returns, for each prepared number, the index of its parameter in θ, or `COORDINATE_NONE`.
    pub fn places(&self) -> Vec<u32> {
        let mut places = vec![COORDINATE_NONE; self.n_prepared().1];
        let layout = self.layout();
        for block in self.blocks() {
            let (kind, number) = block.name.split_once('_').expect("a block has a number");
            let l = number.parse::<usize>().expect("a block has a number") - 1;
            let columns = block.shape.get(1).copied().unwrap_or(1);
            for index in 0..block.n_numbers() {
                let (row, column) = (index / columns, index % columns);
                let at = match kind {
                    "W" => self.weight(&layout.layers[l], row, column),
                    "b" => self.number(l + 1, CoordinateNetworkRow::B as usize, row),
                    "omega" => self.number(l, CoordinateNetworkRow::Omega as usize + column, row),
                    "phi" => self.number(l, CoordinateNetworkRow::Phi as usize, row),
                    "mu" => self.number(l, CoordinateNetworkRow::Mu as usize + column, row),
                    _ => self.number(l, CoordinateNetworkRow::Gamma as usize, row),
                };
                places[at] = (block.first + index) as u32;
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(kind: CoordinateNetworkKind, width: u32, depth: u32) -> CoordinateNetworkShape {
        CoordinateNetworkShape {
            config: CoordinateNetworkConfig { kind, width, depth, ..CoordinateNetworkConfig::default() },
            n_outputs: 3,
        }
    }

    #[test]
    fn the_published_networks_have_their_sizes() {
        // 512 Fourier features, three layers of 256 neurons, three colour channels.
        let features = shape(CoordinateNetworkKind::FourierFeatures, 256, 4);
        assert_eq!(features.n_parameters(), 513 * 256 + 2 * 257 * 256 + 257 * 3);
        // Four filters, three matrices between them, and one after the last.
        let fourier = shape(CoordinateNetworkKind::FourierNet, 256, 4);
        assert_eq!(fourier.n_parameters(), 4 * 3 * 256 + 3 * 257 * 256 + 257 * 3);
        let gabor = shape(CoordinateNetworkKind::GaborNet, 256, 4);
        assert_eq!(gabor.n_parameters(), 4 * 6 * 256 + 3 * 257 * 256 + 257 * 3);
    }

    #[test]
    fn each_number_of_theta_has_one_place() {
        for kind in
            [CoordinateNetworkKind::FourierFeatures, CoordinateNetworkKind::FourierNet, CoordinateNetworkKind::GaborNet]
        {
            let shape = shape(kind, 21, 3);
            let mut learned: Vec<u32> = shape.places().into_iter().filter(|&place| place != COORDINATE_NONE).collect();
            learned.sort_unstable();
            assert!(learned.into_iter().eq(0..shape.n_parameters() as u32), "{kind:?}");
        }
    }
}
