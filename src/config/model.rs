//! Keys of the model: its encoding and its networks.

use serde::{Deserialize, Serialize};

use super::family::ModelName;
use super::grid::GridConfig;

/// The field: a grid `g(x) = Σ φ(x, p_i) w_i`, and the networks that decode density and colour, or values, from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Encoding of the model family.
    pub name: ModelName,
    /// Keys of the encoding.
    pub grid: GridConfig,
    /// For radiance fields: maps features to density.
    pub density_network: NetworkConfig,
    /// For radiance fields: maps the density network's outputs and the viewing direction to colour.
    pub color_network: NetworkConfig,
    /// For fitted images and distance fields: maps features to values. Coordinate networks have no such network after
    /// them.
    pub network: NetworkConfig,
    /// Degree of the spherical harmonics that encode the viewing direction, 1 to 6: `sh_degree²` values.
    pub sh_degree: u32,
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig {
            name: ModelName::Hash,
            grid: ModelName::Hash.grid(),
            density_network: NetworkConfig { n_neurons: 64, n_hidden_layers: 1 },
            color_network: NetworkConfig { n_neurons: 64, n_hidden_layers: 2 },
            network: NetworkConfig { n_neurons: 64, n_hidden_layers: 2 },
            sh_degree: 4,
        }
    }
}

impl ModelConfig {
    /// Returns the model after `upscales` of its grid's resolution doublings.
    pub(crate) fn after_upscales(&self, upscales: usize) -> ModelConfig {
        ModelConfig { grid: self.grid.after_upscales(upscales), ..self.clone() }
    }
}

/// A fully connected network: `n_hidden_layers` layers of `n_neurons`, ReLU between them, no biases. Without hidden
/// layers it is a matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// 16, 32, 64 or 128.
    pub n_neurons: u32,
    /// Number of hidden layers.
    pub n_hidden_layers: u32,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        NetworkConfig { n_neurons: 64, n_hidden_layers: 1 }
    }
}
