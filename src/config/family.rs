//! The encodings of the model family by name, and the configuration keys that only some of them have.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{GridConfig, GridKernel, TaskName};

/// Defines the model family with one line per encoding: its name, and the default grid of that name.
macro_rules! family {
    ($($(#[doc = $doc:literal])* $encoding:ident $name:literal: $grid:expr;)*) => {
        /// An encoding of the model family: either an index function `U` with a kernel function `φ`, or a coordinate
        /// network without a grid, for comparison on images. Setting the name sets `model.grid` to its defaults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "cli", value(rename_all = "snake_case"))]
        pub enum ModelName {
            $($(#[doc = $doc])* $encoding,)*
        }

        impl ModelName {
            /// All encodings, in display order.
            pub const ALL: &[ModelName] = &[$(ModelName::$encoding),*];

            /// Returns the name used in config files and run folders.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(ModelName::$encoding => $name,)*
                }
            }

            /// Returns the default grid of this encoding.
            pub fn grid(self) -> GridConfig {
                match self {
                    $(ModelName::$encoding => $grid,)*
                }
            }
        }
    };
}

impl ModelName {
    /// Returns whether a field for the task can have this encoding: coordinate networks are references for images.
    pub fn is_for(self, task: TaskName) -> bool {
        task == TaskName::Image || self.grid().index != GridIndex::None
    }

    /// Returns the default grid of this encoding for a task.
    pub fn grid_of(self, task: TaskName) -> GridConfig {
        match task {
            TaskName::Radiance => self.grid(),
            TaskName::Image => self.grid_in_the_plane(),
            TaskName::Sdf => self.grid_around_a_surface(),
        }
    }

    /// Returns the default grid for distances to a mesh: finer levels than for a radiance field, with fewer features.
    fn grid_around_a_surface(self) -> GridConfig {
        let grid = self.grid();
        match grid.index {
            GridIndex::Hash => GridConfig { n_levels: 16, n_features_per_level: 2, per_level_scale: 1.38, ..grid },
            GridIndex::Dense | GridIndex::Fourier | GridIndex::Points | GridIndex::None => grid,
        }
    }

    /// Returns the default grid for images: more levels, down to the pixels of a photograph, with fewer features.
    fn grid_in_the_plane(self) -> GridConfig {
        let grid = self.grid();
        match grid.index {
            GridIndex::Hash => GridConfig {
                n_levels: 16,
                n_features_per_level: 2,
                log2_hashmap_size: 17,
                per_level_scale: 1.5,
                ..grid
            },
            GridIndex::Dense => GridConfig { base_resolution: 1024, ..grid },
            GridIndex::Fourier => GridConfig { base_resolution: 384, ..grid },
            GridIndex::Points => GridConfig { points: PointsConfig { resolution: 256, ..grid.points }, ..grid },
            GridIndex::None => grid,
        }
    }
}

family! {
    /// Multi-resolution hash grid (Müller et al. 2022)
    Hash "hash": GridConfig::default();
    /// Multiplicative Fourier adaptive kernel on a hash grid (Zhao et al. 2024)
    Mulfagrid "mulfagrid": GridConfig { kernel: GridKernel::Mulfa, ..GridConfig::default() };
    /// Hash grid whose levels form a cascade: each is multiplied by a function of the coarser ones
    Cascade "cascade": GridConfig { cascade: true, ..GridConfig::default() };
    /// Hash grid with a learned window for each level and feature
    Local "local": GridConfig { kernel: GridKernel::Local, ..GridConfig::default() };
    /// Cascade of levels with learned windows
    CascadeLocal "cascade_local": GridConfig { cascade: true, kernel: GridKernel::Local, ..GridConfig::default() };
    /// Control for the learned windows: an amplitude for each level, feature and axis
    Amplitude "amplitude": GridConfig {
        kernel: GridKernel::Local,
        local: LocalConfig { n_frequencies: 0 },
        ..GridConfig::default()
    };
    /// A single grid with an entry for every node (Sun et al. 2022)
    Dense "dense": GridConfig {
        index: GridIndex::Dense,
        n_levels: 1,
        n_features_per_level: 8,
        base_resolution: 128,
        upscale_at: vec![0.2, 0.5],
        ..GridConfig::default()
    };
    /// A dense grid for each band of x, sin 2^k x, cos 2^k x, averaged (Zhao et al. 2024, as released)
    Fourier "fourier": GridConfig {
        index: GridIndex::Fourier,
        n_levels: 7,
        n_features_per_level: 8,
        base_resolution: 48,
        per_level_scale: 1.0,
        ..GridConfig::default()
    };
    /// Gaussian kernels at the nearest points of a point cloud
    Points "points": GridConfig {
        index: GridIndex::Points,
        kernel: GridKernel::Gaussian,
        n_levels: 1,
        n_features_per_level: 8,
        ..GridConfig::default()
    };
    /// For images: Fourier features followed by a ReLU network (Tancik et al. 2020)
    FourierFeatures "fourier_features": coordinate_network(CoordinateNetworkKind::FourierFeatures);
    /// For images: multiplicative filter network of sines (Fathony et al. 2021)
    FourierNet "fourier_net": coordinate_network(CoordinateNetworkKind::FourierNet);
    /// For images: multiplicative filter network of Gabor filters (Fathony et al. 2021)
    GaborNet "gabor_net": coordinate_network(CoordinateNetworkKind::GaborNet);
}

/// Returns a configuration with a coordinate network and no grid.
fn coordinate_network(kind: CoordinateNetworkKind) -> GridConfig {
    GridConfig {
        index: GridIndex::None,
        n_levels: 0,
        waves: CoordinateNetworkConfig { kind, ..CoordinateNetworkConfig::default() },
        ..GridConfig::default()
    }
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
    /// `Ω` is initialised uniformly in ±π times this.
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
    /// `fourier_net` and `gabor_net` only: `ω` is initialised uniformly in ± this / √(2 k), for coordinates in
    /// `[-1, 1]²`.
    pub input_scale: f64,
    /// `fourier_net` and `gabor_net` only: hidden `W` are initialised uniformly in ±√(this / H).
    pub weight_scale: f64,
    /// `gabor_net` only: `γ` is initialised from Gamma(this / k, 1).
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
