//! The networks that decode the grid's features. Radiance fields map features to density and, with the viewing
//! direction, to colour; fitted fields map features to values. The arithmetic is in `kernels/network/mlp.cuh`; this
//! module has shapes and sizes.

use serde::{Deserialize, Serialize};

use crate::config::ModelConfig;
use crate::device::args::{self, MAX_LAYERS};

/// Number of stored outputs of the first network; the density network's first output is the log density.
const BRIDGE: u32 = 16;
/// Number of stored outputs of the colour network; the first three are the colour.
const COLOR_OUT: u32 = 16;

/// What a field represents, which determines the networks that decode its features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Density and colour in space.
    Radiance,
    /// `n_outputs` numbers, 1 to 16, at points of `dimensions` coordinates.
    Values {
        /// Number of coordinates of a point.
        dimensions: u32,
        /// Number of values at a point.
        n_outputs: u32,
    },
}

impl Head {
    /// Returns the number of coordinates of a point.
    pub fn dimensions(self) -> u32 {
        match self {
            Head::Radiance => 3,
            Head::Values { dimensions, .. } => dimensions,
        }
    }
}

/// Fully connected layers without biases, with ReLU between them: those of the density network, then those of the
/// colour network. In a fitted field, all layers count as the density network's.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    /// Layers of the density network, then those of the colour network.
    pub layers: Vec<LayerShape>,
    /// Number of layers of the density network.
    pub n_density_layers: usize,
    /// Degree of the spherical harmonics of the viewing direction, 1 to 6.
    pub sh_degree: u32,
}

/// Number of neurons of a hidden layer that are active at any of the samples examined. The others are dead: their ReLU
/// outputs zero everywhere, and no gradient passes through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerNeurons {
    /// The network and the number of the layer in it, such as `density 1`.
    pub layer: String,
    /// Number of neurons that are alive.
    pub alive: u32,
    /// Number of neurons of the layer.
    pub of: u32,
}

/// A weight matrix `[n_out, n_in]`; both are multiples of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// Number of inputs.
    pub n_in: u32,
    /// Number of outputs.
    pub n_out: u32,
}

impl LayerShape {
    /// Returns the number of elements of the matrix.
    pub fn n_weights(self) -> usize {
        (self.n_in * self.n_out) as usize
    }
}

impl Decoder {
    /// Creates the networks of a model. `n_features` is the number of the grid's features over all levels; it is padded
    /// with zeros to a multiple of 16.
    pub fn new(config: &ModelConfig, head: Head, n_features: u32) -> Self {
        let (density, color) = (&config.density_network, &config.color_network);
        let first = match head {
            Head::Radiance => density,
            Head::Values { .. } => &config.network,
        };
        let mut layers = chain(n_features.next_multiple_of(16), first.n_neurons, first.n_hidden_layers, BRIDGE);
        let n_density_layers = layers.len();
        if head == Head::Radiance {
            layers.extend(chain(
                BRIDGE + n_harmonics(config.sh_degree),
                color.n_neurons,
                color.n_hidden_layers,
                COLOR_OUT,
            ));
        }
        assert!(layers.len() <= MAX_LAYERS, "the configuration limits the number of layers");
        Decoder { layers, n_density_layers, sh_degree: config.sh_degree }
    }

    /// Returns a decoder without layers, for fields whose encoding outputs the values itself.
    pub fn none() -> Self {
        Decoder { layers: Vec::new(), n_density_layers: 0, sh_degree: 0 }
    }

    /// Returns the padded number of inputs of the first layer; 0 without layers.
    pub fn n_in(&self) -> u32 {
        self.layers.first().map_or(0, |layer| layer.n_in)
    }

    /// Returns the number of weights of all layers.
    pub fn n_weights(&self) -> usize {
        self.layers.iter().map(|layer| layer.n_weights()).sum()
    }

    /// Returns the name and the number of neurons of each layer that ends in a ReLU.
    pub(crate) fn hidden_layers(&self) -> impl Iterator<Item = (String, u32)> + '_ {
        let n_density = self.n_density_layers;
        let is_fitted = n_density == self.layers.len();
        self.layers.iter().enumerate().filter(move |(l, _)| ![0, n_density].contains(l)).map(move |(l, layer)| {
            let name = match (is_fitted, l < n_density) {
                (true, _) => format!("hidden {l}"),
                (false, true) => format!("density {l}"),
                (false, false) => format!("color {}", l - n_density),
            };
            (name, layer.n_in)
        })
    }

    /// Returns the width of the widest layer, inputs included.
    pub fn width(&self) -> u32 {
        self.layers.iter().map(|layer| layer.n_in.max(layer.n_out)).max().unwrap_or(0)
    }

    /// Returns how many activations are saved per sample for the backward pass: the inputs of all layers.
    pub fn n_activations(&self) -> usize {
        self.layers.iter().map(|layer| layer.n_in as usize).sum()
    }

    /// Returns the floating-point operations per sample: of the forward pass alone, and of forward and backward pass
    /// together.
    pub fn flops(&self) -> (usize, usize) {
        (2 * self.n_weights(), 6 * self.n_weights())
    }

    /// Returns the layout as kernels see it.
    pub fn layout(&self) -> args::NetworkLayout {
        let mut layout = args::NetworkLayout {
            n_density_layers: self.n_density_layers as u32,
            n_color_layers: (self.layers.len() - self.n_density_layers) as u32,
            n_weights: self.n_weights() as u32,
            sh_degree: self.sh_degree,
            ..Default::default()
        };
        let mut weights = 0;
        for (slot, layer) in layout.layers.iter_mut().zip(&self.layers) {
            *slot = args::Layer { n_in: layer.n_in, n_out: layer.n_out, weights };
            weights += layer.n_weights() as u32;
        }
        layout
    }
}

/// Returns the number of columns for the spherical harmonics of a degree, those of padding included.
fn n_harmonics(degree: u32) -> u32 {
    (degree * degree).next_multiple_of(16)
}

fn chain(n_in: u32, n_neurons: u32, n_hidden_layers: u32, n_out: u32) -> Vec<LayerShape> {
    let mut layers = Vec::new();
    let mut width = n_in;
    for _ in 0..n_hidden_layers {
        layers.push(LayerShape { n_in: width, n_out: n_neurons });
        width = n_neurons;
    }
    layers.push(LayerShape { n_in: width, n_out });
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_networks_cost_61_kflop_a_sample() {
        let decoder = Decoder::new(&ModelConfig::default(), Head::Radiance, 32);
        assert_eq!(decoder.n_weights(), 32 * 64 + 64 * 16 + 32 * 64 + 64 * 64 + 64 * 16);
        assert_eq!(decoder.flops(), (20_480, 61_440));
        assert_eq!(decoder.width(), 64);
    }

    #[test]
    fn the_network_of_fitted_images_costs_43_kflop_a_pixel() {
        let head = Head::Values { dimensions: 2, n_outputs: 3 };
        let decoder = Decoder::new(&ModelConfig::default(), head, 32);
        assert_eq!(decoder.flops().1, 6 * (32 * 64 + 64 * 64 + 64 * 16));
    }
}
