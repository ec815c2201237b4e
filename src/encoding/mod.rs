//! The model family: the index functions `U` and kernel functions `φ` of `g(x; w) = Σ_{i ∈ U(x)} φ(x, p_i) · w_i`, with
//! their parameters and geometry. The arithmetic itself is in `kernels/encoding/`.

mod cascade;
mod coordinate_network;
mod cost;
mod dense;
mod grid;
mod interface;
mod learned_levels;
mod local;
mod mulfa;
mod nodes;
mod param_block;
mod point_file;
mod points;
mod registry;
mod sizing;
mod theta;

pub use coordinate_network::CoordinateNetworkShape;
pub use cost::Cost;
pub use grid::{Grid, Level};
pub use sizing::sized;

internal_use!(cascade::Cascade);
internal_use!(coordinate_network::CoordinateNetwork);
internal_use!(dense::{add_total_variation, resample});
internal_use!(interface::{Backward, Encode, Encoding, Init, InitContext, encode_levels});
internal_use!(learned_levels::LearnedLevels);
internal_use!(local::Local);
internal_use!(mulfa::Mulfa);
internal_use!(nodes::{ActiveNodes, NodeGradients});
internal_use!(param_block::ParamBlock);
internal_use!(points::PointCloud);
internal_use!(registry::open);
internal_use!(theta::Theta);
