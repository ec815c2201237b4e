//! The encodings of the model family by name, and the keys of those that have some of their own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{GridConfig, GridKernel, TaskName};

/// A line for each encoding: its name, and the grid that the name alone stands for.
macro_rules! family {
    ($($(#[doc = $doc:literal])* $encoding:ident $name:literal: $grid:expr;)*) => {
        /// An encoding of the model family, an index function `U` with a kernel function `φ`; or a network without a grid, to
        /// compare with on images. Naming one sets the defaults of `model.grid` to its own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
        #[serde(rename_all = "snake_case")]
        #[value(rename_all = "snake_case")]
        pub enum ModelName {
            $($(#[doc = $doc])* $encoding,)*
        }

        impl ModelName {
            /// All encodings, in the order in which they are shown.
            pub const ALL: &[ModelName] = &[$(ModelName::$encoding),*];

            /// The name as it stands in a config file and in a run's folder.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(ModelName::$encoding => $name,)*
                }
            }

            /// The grid that the name alone stands for.
            pub fn grid(self) -> GridConfig {
                match self {
                    $(ModelName::$encoding => $grid,)*
                }
            }
        }
    };
}

impl ModelName {
    /// The grid that the name alone stands for in a task.
    pub fn grid_of(self, task: TaskName) -> GridConfig {
        match task {
            TaskName::Radiance => self.grid(),
            TaskName::Image => self.grid_in_the_plane(),
            TaskName::Sdf => self.grid_around_a_surface(),
        }
    }

    /// For distances to a mesh: finer levels than a radiance field's, of fewer features.
    fn grid_around_a_surface(self) -> GridConfig {
        let grid = self.grid();
        match grid.index {
            GridIndex::Hash => GridConfig { n_levels: 16, n_features_per_level: 2, per_level_scale: 1.38, ..grid },
            GridIndex::Dense | GridIndex::Fourier | GridIndex::Points | GridIndex::None => grid,
        }
    }

    /// For images: more levels, which reach the pixels of a photograph, of fewer features.
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
    /// One grid with an entry for every node (Sun et al. 2022)
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
    /// Gaussian kernels at the nearest of a cloud of points
    Points "points": GridConfig {
        index: GridIndex::Points,
        kernel: GridKernel::Gaussian,
        n_levels: 1,
        n_features_per_level: 8,
        ..GridConfig::default()
    };
    /// Of images: Fourier features before a ReLU network (Tancik et al. 2020)
    FourierFeatures "fourier_features": waves(CoordinateNetworkKind::FourierFeatures);
    /// Of images: multiplicative filter network of sines (Fathony et al. 2021)
    FourierNet "fourier_net": waves(CoordinateNetworkKind::FourierNet);
    /// Of images: multiplicative filter network of Gabor filters (Fathony et al. 2021)
    GaborNet "gabor_net": waves(CoordinateNetworkKind::GaborNet);
}

/// No grid, but a coordinate network.
fn waves(kind: CoordinateNetworkKind) -> GridConfig {
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
    /// The same with an entry for each node, however many there are.
    Dense,
    /// A dense level for each band of `(x, sin 2ᵏ y, cos 2ᵏ y)`, `y = 2x − 1`, looked up there; features are averaged.
    Fourier,
    /// The nearest points of a cloud; see [`PointsConfig`].
    Points,
    /// There are no nodes: a network gives the values by itself; see [`CoordinateNetworkConfig`].
    None,
}

/// The nodes of a `points` grid, and how far they count; `docs/models.md` explains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PointsConfig {
    /// A point cloud in scene coordinates, `.ply` or `.npy`; empty for none.
    pub file: PathBuf,
    /// A run or checkpoint at whose occupied cells the nodes are; empty for none.
    pub from_run: PathBuf,
    /// Without either: nodes per axis of a lattice over the field's box, each moved at random within its cell.
    pub resolution: u32,
    /// Nodes that are active at a point.
    pub k: u32,
    /// Bandwidth `h` of the Gaussian, in mean distances of neighbouring nodes.
    pub bandwidth: f64,
}

impl Default for PointsConfig {
    fn default() -> Self {
        PointsConfig { file: PathBuf::new(), from_run: PathBuf::new(), resolution: 32, k: 8, bandwidth: 0.6 }
    }
}

/// A network that gives the values of an image without a grid; `docs/models.md` has the formulas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoordinateNetworkConfig {
    pub kind: CoordinateNetworkKind,
    /// `H`: neurons of a layer.
    pub width: u32,
    /// `k`: matrices, the last of which gives the values.
    pub depth: u32,
    /// `fourier_features`: standard deviation of `B`, in waves across the image.
    pub sigma: f64,
    /// `fourier_net` and `gabor_net`: `ω` starts uniform in ± this / √(2 k), over `[-1, 1]²`.
    pub input_scale: f64,
    /// `fourier_net` and `gabor_net`: hidden `W` start uniform in ±√(this / H).
    pub weight_scale: f64,
    /// `gabor_net`: `γ` starts as of Gamma(this / k, 1).
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

/// Which coordinate network; `CoordinateNetworkKind` in `kernels/coordinate_network.cuh`, which has the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoordinateNetworkKind {
    FourierFeatures = 0,
    FourierNet = 1,
    GaborNet = 2,
}
