//! The configuration of a run: one struct for the config file, the command-line flags and the config that a run saves.
//!
//! Values come in layers, each of which overrides the one before: the defaults, a `--config` file, dedicated flags,
//! `--set`. Each part of the configuration is a struct in a file of its own, with its defaults. `merge.rs` merges the
//! layers and reports unknown keys; `validate.rs` checks the range of every value. Names follow instant-ngp where it
//! has an equivalent. `docs/formats.md` lists every key; a test keeps that list and these structs in agreement.

mod family;
mod grid;
mod march;
mod merge;
mod model;
mod optimizer;
mod preset;
mod scene;
mod task;
mod train;
mod validate;

use serde::{Deserialize, Serialize};

pub use family::ModelName;
pub use grid::{
    CoordinateNetworkConfig, CoordinateNetworkKind, GridConfig, GridIndex, GridKernel, LocalConfig, MulfaConfig,
    MulfaVariant, PointsConfig,
};
pub use march::{MarchConfig, SpaceMap};
pub use model::{ModelConfig, NetworkConfig};
pub use optimizer::{OptimizerConfig, ScheduleConfig, ScheduleKind};
pub use scene::{Preset, SceneConfig};
pub use task::{ImageConfig, ImageLoss, SdfConfig, TaskName};
pub use train::{Background, TrainConfig};

/// Everything that decides what a training run computes, apart from the device and the number of threads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Set by the training command.
    pub task: TaskName,
    /// The field: its encoding and its networks.
    pub model: ModelConfig,
    /// Samples along rays and the occupancy grid; radiance fields only.
    pub march: MarchConfig,
    /// Length, batches and losses of training.
    pub train: TrainConfig,
    /// Learning rates and other constants of Adam.
    pub optimizer: OptimizerConfig,
    /// The captured scene of a radiance field.
    pub scene: SceneConfig,
    /// The image that a field is fitted to.
    pub image: ImageConfig,
    /// The mesh that a distance field is fitted to.
    pub sdf: SdfConfig,
}

/// L2 penalty for fitted images and distance fields, which gain nothing from omitting it (docs/results.md).
const L2_OF_FITS: f64 = 1e-6;

impl Config {
    /// Returns the defaults for training on a CPU: batches a quarter as large and fewer steps, which take about five
    /// minutes on two cores, and no moving average of the parameters, whose memory traffic costs more than it gains.
    pub fn on_cpu() -> Self {
        let train = TrainConfig { max_steps: 6000, batch_samples: 1 << 16, ema_decay: 0.0, ..TrainConfig::default() };
        Config { train, ..Config::default() }
    }

    /// Returns the defaults for training a field for a task on a CPU or on a GPU.
    pub fn of(task: TaskName, on_cpu: bool) -> Self {
        match task {
            TaskName::Radiance if on_cpu => Config::on_cpu(),
            TaskName::Radiance => Config::default(),
            TaskName::Image => Config::of_image(on_cpu),
            TaskName::Sdf => Config::of_sdf(on_cpu),
        }
    }

    /// Returns the defaults for fitting an image. The field is fitted to values rather than rays, so the targets do not
    /// depend on the current state of the field, and the warm-up is short.
    pub fn of_image(on_cpu: bool) -> Self {
        let mut config = if on_cpu { Config::on_cpu() } else { Config::default() };
        config.task = TaskName::Image;
        config.model.grid = ModelName::Hash.grid_of(TaskName::Image);
        config.train.max_steps = if on_cpu { 1000 } else { 10_000 };
        config.optimizer.schedule.warmup_steps = 10;
        config.optimizer.l2_reg = L2_OF_FITS;
        config
    }

    /// Returns the defaults for fitting the signed distances of a mesh.
    pub fn of_sdf(on_cpu: bool) -> Self {
        let mut config = if on_cpu { Config::on_cpu() } else { Config::default() };
        config.task = TaskName::Sdf;
        config.model.grid = ModelName::Hash.grid_of(TaskName::Sdf);
        config.train.max_steps = if on_cpu { 2000 } else { 10_000 };
        config.optimizer.l2_reg = L2_OF_FITS;
        config
    }
}
