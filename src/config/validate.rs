//! Range checks of every configuration value. Each error names the key, the given value and the allowed range.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::{
    Config, CoordinateNetworkConfig, GridConfig, GridIndex, GridKernel, MarchConfig, ModelConfig, MulfaConfig,
    NetworkConfig, OptimizerConfig, PointsConfig, SceneConfig, SdfConfig, SpaceMap, TaskName, TrainConfig,
};
use crate::device::args::LOCAL_FREQUENCIES;
use crate::{Error, Result};

/// Maximum number of inputs of the kernels' widest network.
const MOST_GRID_OUTPUTS: u32 = 128;
/// Maximum number of steps: a checkpoint's file name has nine digits for the step.
const MOST_STEPS: u64 = 999_999_999;
/// Finest resolution: beyond it, an fp32 coordinate has too few bits left for the position within a cell.
const FINEST_RESOLUTION: f64 = (1 << 20) as f64;
/// Largest scale of the map to the unit cube: beyond this, fp32 coordinates have no bits left for positions within the
/// cube.
const LARGEST_SCALE: f64 = 1e6;
/// Largest offset of that map, which is in the coordinates of the files: those of georeferenced scenes are millions of
/// metres.
const LARGEST_OFFSET: f64 = 1e9;
/// Largest seed: the random number generator is keyed with 32 bits.
const LARGEST_SEED: u64 = u32::MAX as u64;
/// Maximum number of features: offsets into the features are 32-bit in the kernels.
const MOST_FEATURES: u64 = 1 << 31;
/// Maximum number of Fourier bands, for frequencies 2⁰ to 2⁹: beyond those, an angle in fp32 has too few bits left.
const MOST_BANDS: u32 = 21;

impl Config {
    /// Checks the range of every value.
    ///
    /// # Errors
    /// Returns an error that names the key of the first value out of range.
    pub fn validate(&self) -> Result<()> {
        self.validate_task()?;
        self.model.validate(self.task.dimensions())?;
        self.march.validate()?;
        self.train.validate()?;
        self.optimizer.validate()?;
        self.validate_total_variation()?;
        self.validate_points_in_space()?;
        self.validate_refinement()?;
        self.scene.validate()?;
        self.sdf.validate()
    }

    fn validate_refinement(&self) -> Result<()> {
        let grid = &self.model.grid;
        let has_position_gradient = matches!(grid.index, GridIndex::Hash | GridIndex::Dense | GridIndex::Fourier)
            && matches!(grid.kernel, GridKernel::Linear | GridKernel::Smoothstep)
            && !grid.cascade;
        require(!self.train.refine_cameras || has_position_gradient, || {
            "train.refine_cameras is set, but needs the gradient by a sample's place, which the kernels linear and \
             smoothstep have alone, without a cascade; set it to false"
                .to_owned()
        })
    }

    fn validate_points_in_space(&self) -> Result<()> {
        let points = &self.model.grid.points;
        let placed = !points.file.as_os_str().is_empty() || !points.from_run.as_os_str().is_empty();
        let in_space = self.model.grid.index == GridIndex::Points && placed;
        require(!in_space || self.march.space == SpaceMap::Identity, || {
            "model.grid.points.file and model.grid.points.from_run place nodes in a box of space, which march.space ndc and \
             contraction are not; set march.space to identity, or leave both away"
                .to_owned()
        })
    }

    fn validate_task(&self) -> Result<()> {
        require(self.model.grid.index.has_nodes() || self.task == TaskName::Image, || {
            "model.grid.index is none, as models fourier_features, fourier_net and gabor_net have it: networks without a \
             grid are references for images, which gridfield fit-image and compare-image fit; choose a model with a grid"
                .to_owned()
        })
    }

    fn validate_total_variation(&self) -> Result<()> {
        let has_neighbours = matches!(self.model.grid.index, GridIndex::Dense | GridIndex::Fourier);
        require(self.optimizer.total_variation == 0.0 || has_neighbours, || {
            "optimizer.total_variation is set, but smooths between neighbouring nodes with entries of their own, which \
             model.grid.index dense and fourier have alone; set it to 0"
                .to_owned()
        })
    }
}

impl ModelConfig {
    /// Checks the model for points with `dimensions` coordinates.
    fn validate(&self, dimensions: u32) -> Result<()> {
        self.grid.validate(dimensions)?;
        self.density_network.validate("model.density_network")?;
        self.color_network.validate("model.color_network")?;
        self.network.validate("model.network")?;
        self.validate_grid_outputs()?;
        between("model.sh_degree", self.sh_degree, 1..=6)
    }

    fn validate_grid_outputs(&self) -> Result<()> {
        let sets = if self.grid.index.is_averaged() { 1 } else { self.grid.n_levels };
        let outputs = sets * self.grid.n_features_per_level;
        require(outputs <= MOST_GRID_OUTPUTS, || {
            format!(
                "model.grid gives {outputs} features a point (n_levels · n_features_per_level), but at most \
                 {MOST_GRID_OUTPUTS} are possible; lower one of the two"
            )
        })
    }
}

impl GridConfig {
    fn validate(&self, dimensions: u32) -> Result<()> {
        let fewest = if self.index == GridIndex::None { 0 } else { 1 };
        between("model.grid.n_levels", self.n_levels, fewest..=32)?;
        one_of("model.grid.n_features_per_level", self.n_features_per_level, &[1, 2, 4, 8])?;
        between("model.grid.log2_hashmap_size", self.log2_hashmap_size, 3..=30)?;
        between("model.grid.base_resolution", self.base_resolution, 2..=1 << 16)?;
        between("model.grid.per_level_scale", self.per_level_scale, 1.0..=16.0)?;
        self.mulfa.validate()?;
        self.points.validate()?;
        self.waves.validate()?;
        between("model.grid.local.n_frequencies", self.local.n_frequencies, 0..=LOCAL_FREQUENCIES as u32)?;
        self.validate_kernel()?;
        self.validate_cascade()?;
        self.validate_upscaling()?;
        match self.index {
            GridIndex::Points => self.validate_points(),
            GridIndex::Fourier => self.validate_bands(),
            GridIndex::None => self.validate_no_levels(),
            GridIndex::Hash | GridIndex::Dense => Ok(()),
        }?;
        self.validate_finest_level()?;
        self.validate_size(dimensions)
    }

    /// Refuses a kernel function that does not fit the index function.
    fn validate_kernel(&self) -> Result<()> {
        use GridKernel::{Gaussian, Linear, Local, Mulfa, Smoothstep};
        let why = match (self.index, self.kernel) {
            (GridIndex::Hash | GridIndex::Dense, Linear | Smoothstep | Mulfa | Local) => return Ok(()),
            (GridIndex::Fourier, Linear | Smoothstep) => return Ok(()),
            (GridIndex::Points, Gaussian) => return Ok(()),
            (GridIndex::None, Linear) => return Ok(()),
            (GridIndex::None, Smoothstep | Mulfa | Local | Gaussian) => {
                "without nodes there is nothing to weigh; set model.grid.kernel to linear"
            }
            (GridIndex::Points, Linear | Smoothstep | Mulfa | Local) => {
                "points have no cells to interpolate in and take the kernel gaussian alone; set model.grid.kernel to gaussian"
            }
            (GridIndex::Hash | GridIndex::Dense | GridIndex::Fourier, Gaussian) => {
                "gaussian weighs points by their distance; set model.grid.index to points, or the kernel to linear"
            }
            (GridIndex::Fourier, Local) => {
                "local learns a window for each level, while the bands of fourier are averaged; take linear or smoothstep"
            }
            (GridIndex::Fourier, Mulfa) => {
                "mulfa compares x with its nodes in one space, while a band's nodes are those of sin 2^k x or cos 2^k x; \
                 take linear or smoothstep"
            }
        };
        Err(Error::Config(format!("model.grid.index and model.grid.kernel do not go together: {why}")))
    }

    /// Refuses a cascade of levels where there is nothing to cascade.
    fn validate_cascade(&self) -> Result<()> {
        if !self.cascade {
            return Ok(());
        }
        let why = match self.index {
            GridIndex::Points | GridIndex::None => "only the indices hash and dense have levels",
            GridIndex::Fourier => "the bands of the index fourier are averaged, not stacked from coarse to fine",
            GridIndex::Hash | GridIndex::Dense => match self.kernel {
                GridKernel::Mulfa => "the kernel mulfa is not combined with it; take linear, smoothstep or local",
                _ if self.n_levels < 2 => "a single level has no coarser one to depend on; raise model.grid.n_levels",
                GridKernel::Linear | GridKernel::Smoothstep | GridKernel::Local | GridKernel::Gaussian => return Ok(()),
            },
        };
        Err(Error::Config(format!("model.grid.cascade is set, but {why}")))
    }

    fn validate_upscaling(&self) -> Result<()> {
        let fractions = &self.upscale_at;
        require(are_rising_fractions(fractions), || {
            format!(
                "model.grid.upscale_at is {fractions:?}, but must be fractions of the run, rising, each above 0 and below 1"
            )
        })?;
        let resamples = self.index == GridIndex::Dense
            && matches!(self.kernel, GridKernel::Linear | GridKernel::Smoothstep)
            && !self.cascade;
        require(fractions.is_empty() || resamples, || {
            "model.grid.upscale_at is set, but only the index dense with the kernel linear or smoothstep, without a cascade, \
             can be resampled to another resolution; set it to []"
                .to_owned()
        })?;
        let coarsest = f64::from(self.base_resolution) / 2f64.powi(fractions.len() as i32);
        require(fractions.is_empty() || coarsest >= 4.0, || {
            format!(
                "model.grid.upscale_at doubles the resolution {} times, but from model.grid.base_resolution {} that begins \
                 below 4 nodes per axis; give fewer fractions or raise base_resolution",
                fractions.len(),
                self.base_resolution
            )
        })
    }

    fn validate_bands(&self) -> Result<()> {
        require(self.n_levels % 2 == 1 && self.n_levels <= MOST_BANDS, || {
            format!(
                "model.grid.n_levels is {}, but the bands of the index fourier are x and pairs of sine and cosine: an odd \
                 number up to {MOST_BANDS}",
                self.n_levels
            )
        })
    }

    fn validate_points(&self) -> Result<()> {
        require(self.n_levels == 1, || {
            format!("model.grid.n_levels is {}, but the index points has no levels: set it to 1", self.n_levels)
        })
    }

    fn validate_no_levels(&self) -> Result<()> {
        require(self.n_levels == 0, || {
            format!("model.grid.n_levels is {}, but the index none has no levels: set it to 0", self.n_levels)
        })
    }

    fn validate_finest_level(&self) -> Result<()> {
        let finest = f64::from(self.base_resolution) * self.per_level_scale.powi(self.n_levels as i32 - 1);
        require(finest <= FINEST_RESOLUTION, || {
            format!(
                "model.grid has {finest:.0} nodes per axis on its finest level (base_resolution · \
                 per_level_scale^(n_levels − 1)), but at most {FINEST_RESOLUTION:.0} are possible; lower one of the three"
            )
        })
    }

    /// Checks the number of features. Hashed levels are bounded by their hash table size, dense levels by their number
    /// of nodes; points are counted when they are read.
    fn validate_size(&self, dimensions: u32) -> Result<()> {
        let hashed = (u64::from(self.n_levels) * u64::from(self.n_features_per_level)) << self.log2_hashmap_size;
        let (features, keys) = match self.index {
            GridIndex::Hash => (hashed, "n_levels · n_features_per_level · 2^log2_hashmap_size"),
            GridIndex::Dense | GridIndex::Fourier => {
                (self.dense_features(dimensions), "n_features_per_level · the sum over levels of resolution^dimensions")
            }
            GridIndex::Points | GridIndex::None => return Ok(()),
        };
        require(features <= MOST_FEATURES, || {
            format!(
                "model.grid may hold {features} features ({keys}), but at most {MOST_FEATURES} are possible; lower one of \
                 {}",
                if self.index == GridIndex::Hash {
                    "the three"
                } else {
                    "n_levels, base_resolution and per_level_scale"
                }
            )
        })
    }

    /// Returns the number of features of all nodes of all levels.
    fn dense_features(&self, dimensions: u32) -> u64 {
        let nodes = |level: u32| {
            let scale = f64::from(self.base_resolution) * self.per_level_scale.powi(level as i32) - 1.0;
            (scale.ceil() as u64 + 1).saturating_pow(dimensions)
        };
        (0..self.n_levels).map(nodes).fold(0, u64::saturating_add).saturating_mul(self.n_features_per_level.into())
    }
}

impl PointsConfig {
    fn validate(&self) -> Result<()> {
        between("model.grid.points.resolution", self.resolution, 2..=256)?;
        between("model.grid.points.k", self.k, 1..=8)?;
        between("model.grid.points.bandwidth", self.bandwidth, 0.1..=10.0)?;
        require(self.file.as_os_str().is_empty() || self.from_run.as_os_str().is_empty(), || {
            "model.grid.points.file and model.grid.points.from_run are both given; nodes come from one of the two"
                .to_owned()
        })
    }
}

impl CoordinateNetworkConfig {
    fn validate(&self) -> Result<()> {
        between("model.grid.waves.width", self.width, 16..=1024)?;
        between("model.grid.waves.depth", self.depth, 2..=8)?;
        above_zero_to("model.grid.waves.sigma", self.sigma, 1e4)?;
        above_zero_to("model.grid.waves.input_scale", self.input_scale, 1e4)?;
        above_zero_to("model.grid.waves.weight_scale", self.weight_scale, 1e3)?;
        above_zero_to("model.grid.waves.alpha", self.alpha, 1e3)
    }
}

impl MulfaConfig {
    fn validate(&self) -> Result<()> {
        between("model.grid.mulfa.n_frequencies", self.n_frequencies, 1..=10)?;
        // GF_MULFA_DEPTH in kernels/encoding/mulfa_multi_layer.cuh.
        between("model.grid.mulfa.depth", self.depth, 1..=3)?;
        between("model.grid.mulfa.n_levels", self.n_levels, 1..=32)?;
        one_of("model.grid.mulfa.width", self.width, &[16, 32])?;
        between("model.grid.mulfa.node_frequency", self.node_frequency, 0.0..=1e4)?;
        between("model.grid.mulfa.floor", self.floor, 1e-6..=1.0)
    }
}

impl NetworkConfig {
    fn validate(&self, key: &str) -> Result<()> {
        one_of(&format!("{key}.n_neurons"), self.n_neurons, &[16, 32, 64, 128])?;
        between(&format!("{key}.n_hidden_layers"), self.n_hidden_layers, 0..=8)
    }
}

impl MarchConfig {
    fn validate(&self) -> Result<()> {
        between("march.near", self.near, 0.0..=1e3)?;
        require(self.space == SpaceMap::Identity || self.cascades == 1, || {
            format!(
                "march.cascades is {}, but march.space ndc and contraction hold all of space in one cascade; set it to 1",
                self.cascades
            )
        })?;
        one_of("march.occupancy_resolution", self.occupancy_resolution, &[16, 32, 64, 128, 256, 512])?;
        between("march.cascades", self.cascades, 1..=8)?;
        between("march.max_samples_per_ray", self.max_samples_per_ray, 1..=1 << 16)?;
        between("march.occupancy_decay", self.occupancy_decay, 0.0..=1.0)?;
        between("march.occupancy_threshold", self.occupancy_threshold, 0.0..=1e3)?;
        fraction_below_one("march.stop_transmittance", self.stop_transmittance)?;
        between("march.step_scale", self.step_scale, 1e-2..=1e2)
    }
}

impl TrainConfig {
    fn validate(&self) -> Result<()> {
        between("train.max_steps", self.max_steps, 1..=MOST_STEPS)?;
        if let Some(seconds) = self.max_seconds {
            positive("train.max_seconds", seconds)?;
        }
        between("train.batch_samples", self.batch_samples, 1 << 7..=1 << 24)?;
        between("train.accumulate", self.accumulate, 1..=1024)?;
        between("train.seed", self.seed, 0..=LARGEST_SEED)?;
        positive("train.huber_delta", self.huber_delta)?;
        between("train.distortion_loss", self.distortion_loss, 0.0..=1e3)?;
        between("train.depth_loss", self.depth_loss, 0.0..=1e3)?;
        between("train.scale_gradients_within", self.scale_gradients_within, 0.0..=1e3)?;
        fraction_below_one("train.ema_decay", self.ema_decay)
    }
}

impl OptimizerConfig {
    fn validate(&self) -> Result<()> {
        positive("optimizer.learning_rate", self.learning_rate)?;
        positive("optimizer.kernel_learning_rate", self.kernel_learning_rate)?;
        positive("optimizer.waves_learning_rate", self.waves_learning_rate)?;
        positive("optimizer.exposure_learning_rate", self.exposure_learning_rate)?;
        positive("optimizer.camera_learning_rate", self.camera_learning_rate)?;
        fraction_below_one("optimizer.beta1", self.beta1)?;
        fraction_below_one("optimizer.beta2", self.beta2)?;
        positive("optimizer.epsilon", self.epsilon)?;
        between("optimizer.l2_reg", self.l2_reg, 0.0..=1e3)?;
        between("optimizer.total_variation", self.total_variation, 0.0..=1e3)?;
        self.validate_milestones()?;
        between("optimizer.schedule.gamma", self.schedule.gamma, 1e-6..=1.0)?;
        between("optimizer.schedule.final_fraction", self.schedule.final_fraction, 1e-6..=1.0)
    }

    fn validate_milestones(&self) -> Result<()> {
        let milestones = &self.schedule.milestones;
        require(are_rising_fractions(milestones), || {
            format!(
                "optimizer.schedule.milestones is {milestones:?}, but must be fractions of the run, rising, each \
                 above 0 and below 1"
            )
        })
    }
}

impl SdfConfig {
    fn validate(&self) -> Result<()> {
        between("sdf.near_deviation", self.near_deviation, 1e-5..=1.0)?;
        between("sdf.reuse", self.reuse, 1..=1000)?;
        between("sdf.winding_accuracy", self.winding_accuracy, 1.0..=100.0)?;
        between("sdf.eikonal_weight", self.eikonal_weight, 0.0..=1e3)?;
        between("sdf.eikonal_step", self.eikonal_step, 1e-4..=0.1)
    }
}

impl SceneConfig {
    fn validate(&self) -> Result<()> {
        between("scene.downscale", self.downscale, 1..=64)?;
        if let Some(nearest) = self.nearest {
            positive("scene.nearest", nearest)?;
        }
        if let Some(scale) = self.scale {
            let least = 1.0 / LARGEST_SCALE;
            require((least..=LARGEST_SCALE).contains(&scale), || {
                format!("scene.scale is {scale:?}, but must be from {least:e} to {LARGEST_SCALE:e}")
            })?;
        }
        if let Some(offset) = self.offset {
            require(offset.iter().all(|v| v.abs() <= LARGEST_OFFSET), || {
                format!(
                    "scene.offset is {offset:?}, but must be three numbers from -{LARGEST_OFFSET:e} to {LARGEST_OFFSET:e}"
                )
            })?;
        }
        Ok(())
    }
}

/// Returns an error unless `allowed`. Every check below tests for what is allowed, so that NaN fails it.
fn require(allowed: bool, sentence: impl FnOnce() -> String) -> Result<()> {
    if allowed { Ok(()) } else { Err(Error::Config(sentence())) }
}

/// Returns whether the values are strictly between 0 and 1 and strictly increasing.
fn are_rising_fractions(values: &[f64]) -> bool {
    values.iter().all(|&value| 0.0 < value && value < 1.0) && values.windows(2).all(|pair| pair[0] < pair[1])
}

fn between<T: PartialOrd + Display>(key: &str, value: T, range: RangeInclusive<T>) -> Result<()> {
    require(range.contains(&value), || {
        format!("{key} is {value}, but must be from {} to {}", range.start(), range.end())
    })
}

fn one_of(key: &str, value: u32, allowed: &[u32]) -> Result<()> {
    require(allowed.contains(&value), || {
        let names: Vec<String> = allowed.iter().map(u32::to_string).collect();
        format!("{key} is {value}, but must be one of {}", names.join(", "))
    })
}

fn positive(key: &str, value: f64) -> Result<()> {
    require(value > 0.0 && value.is_finite(), || format!("{key} is {value}, but must be above 0"))
}

fn above_zero_to(key: &str, value: f64, most: f64) -> Result<()> {
    require(value > 0.0 && value <= most, || format!("{key} is {value}, but must be above 0 and at most {most}"))
}

fn fraction_below_one(key: &str, value: f64) -> Result<()> {
    require((0.0..1.0).contains(&value), || format!("{key} is {value}, but must be at least 0 and below 1"))
}
