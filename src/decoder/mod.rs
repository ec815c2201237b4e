//! The networks behind the grid: of radiance fields, features to density and with the direction to colour; of fitted fields,
//! features to values. The arithmetic is in `kernels/network.cuh`; here are shapes and sizes.

use serde::{Deserialize, Serialize};

use crate::config::ModelConfig;
use crate::device::args::{self, MAX_LAYERS};

/// Outputs of the first network as stored, of the density network the first of which is the log density; and inputs of the
/// colour network from the viewing direction (16 spherical harmonics).
const BRIDGE: u32 = 16;
/// Outputs of the colour network as stored; the first three are colour.
const COLOR_OUT: u32 = 16;

/// What a field is of, and so which networks stand behind its grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Density and colour in space.
    Radiance,
    /// `n_outputs` numbers, 1 to 16, at points of `dimensions` coordinates.
    Values { dimensions: u32, n_outputs: u32 },
}

impl Head {
    /// Coordinates of a point.
    pub fn dimensions(self) -> u32 {
        match self {
            Head::Radiance => 3,
            Head::Values { dimensions, .. } => dimensions,
        }
    }
}

/// Fully connected layers without biases, ReLU between them: the density network's, then the colour network's. Of a fitted
/// field, all are the density network's.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoder {
    pub layers: Vec<LayerShape>,
    pub n_density_layers: usize,
    pub sh_degree: u32,
}

/// How many neurons of a hidden layer are active at some sample that was looked at. The others are dead: their ReLU is shut,
/// and no gradient goes through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerNeurons {
    /// As `density 1`: the network, and the layer's number in it.
    pub layer: String,
    pub alive: u32,
    pub of: u32,
}

/// A weight matrix `[n_out, n_in]`; both are multiples of 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerShape {
    pub n_in: u32,
    pub n_out: u32,
}

impl LayerShape {
    pub fn n_weights(self) -> usize {
        (self.n_in * self.n_out) as usize
    }
}

impl Decoder {
    /// `n_features`: of the grid, over all levels; padded with zeros to a multiple of 16.
    pub fn new(config: &ModelConfig, head: Head, n_features: u32) -> Self {
        let (density, color) = (&config.density_network, &config.color_network);
        let first = match head {
            Head::Radiance => density,
            Head::Values { .. } => &config.network,
        };
        let mut layers = chain(n_features.next_multiple_of(16), first.n_neurons, first.n_hidden_layers, BRIDGE);
        let n_density_layers = layers.len();
        if head == Head::Radiance {
            layers.extend(chain(2 * BRIDGE, color.n_neurons, color.n_hidden_layers, COLOR_OUT));
        }
        assert!(layers.len() <= MAX_LAYERS, "the configuration limits the number of layers");
        Decoder { layers, n_density_layers, sh_degree: config.sh_degree }
    }

    /// Of fields whose encoding gives the values by itself: no layers.
    pub fn none() -> Self {
        Decoder { layers: Vec::new(), n_density_layers: 0, sh_degree: 0 }
    }

    /// Numbers that the first layer takes, padded; 0 where there is none.
    pub fn n_in(&self) -> u32 {
        self.layers.first().map_or(0, |layer| layer.n_in)
    }

    pub fn n_weights(&self) -> usize {
        self.layers.iter().map(|layer| layer.n_weights()).sum()
    }

    /// Name and neurons of each layer that ends in a ReLU.
    pub fn hidden_layers(&self) -> impl Iterator<Item = (String, u32)> + '_ {
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

    /// Neurons of the widest layer, inputs included.
    pub fn width(&self) -> u32 {
        self.layers.iter().map(|layer| layer.n_in.max(layer.n_out)).max().unwrap_or(0)
    }

    /// Numbers kept for a sample from forward to backward: the inputs of all layers.
    pub fn n_activations(&self) -> usize {
        self.layers.iter().map(|layer| layer.n_in as usize).sum()
    }

    /// Floating-point operations of a sample: forward alone, and forward with backward.
    pub fn flops(&self) -> (usize, usize) {
        (2 * self.n_weights(), 6 * self.n_weights())
    }

    /// As kernels see it.
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
