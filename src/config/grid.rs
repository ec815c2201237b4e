//! Keys of the grid, of the index functions and of the kernel functions.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Shape of the grid. Level `l` has scale `s = base_resolution · per_level_scale^l − 1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridConfig {
    /// `L`: number of levels.
    pub n_levels: u32,
    /// Number of features per node and level: 1, 2, 4 or 8.
    pub n_features_per_level: u32,
    /// A level has at most `2^log2_hashmap_size` entries.
    pub log2_hashmap_size: u32,
    /// Nodes per axis of the coarsest level.
    pub base_resolution: u32,
    /// `b`: ratio between the resolutions of a level and the next coarser one.
    pub per_level_scale: f64,
    /// Index function `U`, which selects the nodes.
    pub index: GridIndex,
    /// Kernel function `φ`, which weights the nodes.
    pub kernel: GridKernel,
    /// `dense` only: fractions of the run at which the resolution doubles, finally reaching `base_resolution`; empty
    /// for none.
    pub upscale_at: Vec<f64>,
    /// Whether each level's features are multiplied by a learned function of the coarser levels' features; see
    /// `docs/models.md`.
    pub cascade: bool,
    /// Keys of the kernel `local`.
    pub local: LocalConfig,
    /// Keys of the kernel `mulfa`.
    pub mulfa: MulfaConfig,
    /// Keys of the index `points`.
    pub points: PointsConfig,
    /// Keys of the coordinate networks.
    pub waves: CoordinateNetworkConfig,
}

impl Default for GridConfig {
    fn default() -> Self {
        GridConfig {
            n_levels: 8,
            n_features_per_level: 4,
            log2_hashmap_size: 19,
            base_resolution: 16,
            per_level_scale: 2.0,
            index: GridIndex::Hash,
            kernel: GridKernel::Linear,
            upscale_at: Vec::new(),
            cascade: false,
            local: LocalConfig::default(),
            mulfa: MulfaConfig::default(),
            points: PointsConfig::default(),
            waves: CoordinateNetworkConfig::default(),
        }
    }
}

impl GridConfig {
    /// Returns the grid after `upscales` of its resolution doublings.
    pub(crate) fn after_upscales(&self, upscales: usize) -> GridConfig {
        let halvings = self.upscale_at.len().saturating_sub(upscales) as u32;
        GridConfig { base_resolution: self.base_resolution.div_ceil(1 << halvings), ..self.clone() }
    }
}

/// The kernel function `φ` of the grid: the weight of each active node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GridKernel {
    /// Multilinear interpolation weights.
    Linear,
    /// Multilinear weights of `3t² − 2t³`, with a continuous first derivative.
    Smoothstep,
    /// Multiplicative Fourier adaptive kernel, which has learned parameters; see [`MulfaConfig`].
    Mulfa,
    /// A learned window for each level and feature, in units of nodes; see [`LocalConfig`].
    Local,
    /// Gaussian of the distance, for `points`.
    Gaussian,
}

/// The index function `U` of the grid: which nodes there are, and which of them are active at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GridIndex {
    /// The corners of the cell on each level; nodes of fine levels share entries by a spatial hash.
    Hash,
    /// As `Hash`, but with an entry for each node, however many there are.
    Dense,
    /// A dense level for each band of `(x, sin 2ᵏ y, cos 2ᵏ y)`, `y = 2x − 1`, looked up at that band's value; the
    /// features of all bands are averaged.
    Fourier,
    /// The nearest points of a point cloud; see [`PointsConfig`].
    Points,
    /// No nodes: a coordinate network computes the values by itself; see [`CoordinateNetworkConfig`].
    None,
}

impl GridIndex {
    /// Returns whether there are nodes. Without, a coordinate network computes the values.
    pub fn has_nodes(self) -> bool {
        match self {
            GridIndex::Hash | GridIndex::Dense | GridIndex::Fourier | GridIndex::Points => true,
            GridIndex::None => false,
        }
    }

    /// Returns whether the features of all levels are averaged; otherwise they are concatenated.
    pub(crate) fn is_averaged(self) -> bool {
        match self {
            GridIndex::Fourier => true,
            GridIndex::Hash | GridIndex::Dense | GridIndex::Points | GridIndex::None => false,
        }
    }
}

/// The local kernel function; see `docs/models.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalConfig {
    /// `K`: number of frequencies, 0 to 2. With 0, a node's weight is the linear one times an amplitude for each level,
    /// feature and axis.
    pub n_frequencies: u32,
}

impl Default for LocalConfig {
    fn default() -> Self {
        LocalConfig { n_frequencies: 1 }
    }
}

/// The multiplicative Fourier adaptive kernel (Zhao et al. 2024, equations 6 to 8); see `docs/models.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MulfaConfig {
    /// Variant of the kernel function.
    pub variant: MulfaVariant,
    /// `m`: number of frequencies 2⁰π … 2^(m−1)π of the query.
    pub n_frequencies: u32,
    /// `n`: number of multiplicative layers, 1 to 3.
    pub depth: u32,
    /// `H`: number of neurons per layer, a multiple of 16.
    pub width: u32,
    /// Number of levels with this kernel, starting from the coarsest; finer levels are linear.
    pub n_levels: u32,
    /// Whether each feature of a level has its own kernel value, instead of one for all.
    pub per_feature: bool,
    /// Whether all levels share one θ, instead of having one each.
    pub shared: bool,
    /// `Ω` is initialized uniformly in ±π times this.
    pub node_frequency: f64,
    /// `paper` only: minimum magnitude of the denominator.
    pub floor: f64,
}

impl Default for MulfaConfig {
    fn default() -> Self {
        MulfaConfig {
            variant: MulfaVariant::Modulated,
            n_frequencies: 7,
            depth: 1,
            width: 16,
            n_levels: 2,
            per_feature: false,
            shared: false,
            node_frequency: 4.0,
            floor: 1e-3,
        }
    }
}

/// How `v(x, p)` becomes a weight; `B` are the multilinear weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MulfaVariant {
    /// Equation 8: `v / Σ v`, with the denominator kept away from zero.
    Paper,
    /// `B eᵛ / Σ B eᵛ`.
    Windowed,
    /// `B (1 + v)`.
    Modulated,
}

/// The nodes of a `points` grid and the reach of their kernels; see `docs/models.md`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PointsConfig {
    /// Point cloud file in scene coordinates, `.ply` or `.npy`; empty for none.
    pub file: PathBuf,
    /// Run or checkpoint whose occupied cells become the nodes; empty for none.
    pub from_run: PathBuf,
    /// Used without either: number of nodes per axis of a lattice over the field's box, each jittered at random within
    /// its cell.
    pub resolution: u32,
    /// Number of nodes that are active at a point.
    pub k: u32,
    /// Bandwidth `h` of the Gaussian, in units of the mean distance between neighbouring nodes.
    pub bandwidth: f64,
}

impl Default for PointsConfig {
    fn default() -> Self {
        PointsConfig { file: PathBuf::new(), from_run: PathBuf::new(), resolution: 32, k: 8, bandwidth: 0.6 }
    }
}

/// A coordinate network, which computes the values of an image without a grid; see `docs/models.md` for the formulas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoordinateNetworkConfig {
    /// Architecture of the network.
    pub kind: CoordinateNetworkKind,
    /// `H`: number of neurons per layer.
    pub width: u32,
    /// `k`: number of weight matrices, the last of which produces the output values.
    pub depth: u32,
    /// `fourier_features` only: standard deviation of `B`, in periods across the image.
    pub sigma: f64,
    /// `fourier_net` and `gabor_net` only: `ω` is initialized uniformly in ± this / √(2 k), for coordinates in
    /// `[-1, 1]²`.
    pub input_scale: f64,
    /// `fourier_net` and `gabor_net` only: hidden `W` are initialized uniformly in ±√(this / H).
    pub weight_scale: f64,
    /// `gabor_net` only: `γ` is initialized from Gamma(this / k, 1).
    pub alpha: f64,
}

impl Default for CoordinateNetworkConfig {
    fn default() -> Self {
        CoordinateNetworkConfig {
            kind: CoordinateNetworkKind::FourierFeatures,
            width: 256,
            depth: 4,
            sigma: 10.0,
            input_scale: 256.0,
            weight_scale: 1.0,
            alpha: 6.0,
        }
    }
}

/// Kind of a coordinate network; see `kernels/network/coordinate_network.cuh` for the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoordinateNetworkKind {
    /// A ReLU network of random Fourier features (Tancik et al. 2020).
    FourierFeatures,
    /// A multiplicative filter network with sinusoidal filters (Fathony et al. 2021).
    FourierNet,
    /// A multiplicative filter network with Gabor filters (Fathony et al. 2021).
    GaborNet,
}
