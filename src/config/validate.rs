//! The range of every configuration value, each refused with its key, what was given and what is allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::{
    Config, GridConfig, MarchConfig, ModelConfig, MulfaConfig, NetworkConfig, OptimizerConfig, SceneConfig, TrainConfig,
};
use crate::{Error, Result};

/// Inputs that the kernels' widest network takes.
const MOST_GRID_OUTPUTS: u32 = 128;
/// A checkpoint's file name has nine digits for the step.
const MOST_STEPS: u64 = 999_999_999;
/// Beyond this a fp32 coordinate has too few bits left for its place within a cell.
const FINEST_RESOLUTION: f64 = (1 << 20) as f64;
/// Scale and offset of the map to the unit cube: beyond this, fp32 coordinates leave no bits for places within it.
const LARGEST_MAP: f64 = 1e6;
/// The random numbers are keyed with 32 bits.
const LARGEST_SEED: u64 = u32::MAX as u64;
/// Offsets into the features are 32-bit in the kernels.
const MOST_FEATURES: u64 = 1 << 31;

impl Config {
    /// Checks every value's range.
    ///
    /// # Errors
    /// The first value out of range, as a sentence naming its key.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.march.validate()?;
        self.train.validate()?;
        self.optimizer.validate()?;
        self.scene.validate()
    }
}

impl ModelConfig {
    fn validate(&self) -> Result<()> {
        self.grid.validate()?;
        self.density_network.validate("model.density_network")?;
        self.color_network.validate("model.color_network")?;
        self.validate_grid_outputs()?;
        between("model.sh_degree", self.sh_degree, 1..=4)
    }

    fn validate_grid_outputs(&self) -> Result<()> {
        let outputs = self.grid.n_levels * self.grid.n_features_per_level;
        require(outputs <= MOST_GRID_OUTPUTS, || {
            format!(
                "model.grid gives {outputs} features a point (n_levels · n_features_per_level), but at most \
                 {MOST_GRID_OUTPUTS} are possible; lower one of the two"
            )
        })
    }
}

impl GridConfig {
    fn validate(&self) -> Result<()> {
        between("model.grid.n_levels", self.n_levels, 1..=32)?;
        one_of("model.grid.n_features_per_level", self.n_features_per_level, &[1, 2, 4, 8])?;
        between("model.grid.log2_hashmap_size", self.log2_hashmap_size, 3..=30)?;
        between("model.grid.base_resolution", self.base_resolution, 2..=1 << 16)?;
        between("model.grid.per_level_scale", self.per_level_scale, 1.0..=16.0)?;
        self.mulfa.validate()?;
        self.validate_finest_level()?;
        self.validate_size()
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

    fn validate_size(&self) -> Result<()> {
        let features = (u64::from(self.n_levels) * u64::from(self.n_features_per_level)) << self.log2_hashmap_size;
        require(features <= MOST_FEATURES, || {
            format!(
                "model.grid may hold {features} features (n_levels · n_features_per_level · 2^log2_hashmap_size), but at \
                 most {MOST_FEATURES} are possible; lower one of the three"
            )
        })
    }
}

impl MulfaConfig {
    fn validate(&self) -> Result<()> {
        between("model.grid.mulfa.n_frequencies", self.n_frequencies, 1..=10)?;
        between("model.grid.mulfa.depth", self.depth, 1..=1)?;
        one_of("model.grid.mulfa.width", self.width, &[16, 32])?;
        between("model.grid.mulfa.node_frequency", self.node_frequency, 0.0..=1e4)?;
        between("model.grid.mulfa.floor", self.floor, 1e-6..=1.0)
    }
}

impl NetworkConfig {
    fn validate(&self, key: &str) -> Result<()> {
        one_of(&format!("{key}.n_neurons"), self.n_neurons, &[16, 32, 64, 128])?;
        between(&format!("{key}.n_hidden_layers"), self.n_hidden_layers, 1..=8)
    }
}

impl MarchConfig {
    fn validate(&self) -> Result<()> {
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
        between("train.seed", self.seed, 0..=LARGEST_SEED)?;
        positive("train.huber_delta", self.huber_delta)?;
        fraction_below_one("train.ema_decay", self.ema_decay)
    }
}

impl OptimizerConfig {
    fn validate(&self) -> Result<()> {
        positive("optimizer.learning_rate", self.learning_rate)?;
        positive("optimizer.kernel_learning_rate", self.kernel_learning_rate)?;
        fraction_below_one("optimizer.beta1", self.beta1)?;
        fraction_below_one("optimizer.beta2", self.beta2)?;
        positive("optimizer.epsilon", self.epsilon)?;
        between("optimizer.l2_reg", self.l2_reg, 0.0..=1e3)?;
        self.validate_milestones()?;
        between("optimizer.schedule.gamma", self.schedule.gamma, 1e-6..=1.0)?;
        between("optimizer.schedule.final_fraction", self.schedule.final_fraction, 1e-6..=1.0)
    }

    fn validate_milestones(&self) -> Result<()> {
        let milestones = &self.schedule.milestones;
        let inside = milestones.iter().all(|&m| 0.0 < m && m < 1.0);
        let rising = milestones.windows(2).all(|pair| pair[0] < pair[1]);
        require(inside && rising, || {
            format!(
                "optimizer.schedule.milestones is {milestones:?}, but must be fractions of the run, rising, each \
                 above 0 and below 1"
            )
        })
    }
}

impl SceneConfig {
    fn validate(&self) -> Result<()> {
        between("scene.downscale", self.downscale, 1..=64)?;
        if let Some(scale) = self.scale {
            let least = 1.0 / LARGEST_MAP;
            require((least..=LARGEST_MAP).contains(&scale), || {
                format!("scene.scale is {scale:?}, but must be from {least:e} to {LARGEST_MAP:e}")
            })?;
        }
        if let Some(offset) = self.offset {
            require(offset.iter().all(|v| v.abs() <= LARGEST_MAP), || {
                format!(
                    "scene.offset is {offset:?}, but must be three numbers from -{LARGEST_MAP:e} to {LARGEST_MAP:e}"
                )
            })?;
        }
        Ok(())
    }
}

/// Every guard below asks for what is allowed, so that NaN fails it.
fn require(allowed: bool, sentence: impl FnOnce() -> String) -> Result<()> {
    if allowed { Ok(()) } else { Err(Error::Config(sentence())) }
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

fn fraction_below_one(key: &str, value: f64) -> Result<()> {
    require((0.0..1.0).contains(&value), || format!("{key} is {value}, but must be at least 0 and below 1"))
}
