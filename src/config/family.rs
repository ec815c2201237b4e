//! The encodings of the model family by name, with the grid that each stands for.

use serde::{Deserialize, Serialize};

use super::grid::{
    CoordinateNetworkConfig, CoordinateNetworkKind, GridConfig, GridIndex, GridKernel, LocalConfig, PointsConfig,
};
use super::task::TaskName;

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
        task == TaskName::Image || self.grid().index.has_nodes()
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
