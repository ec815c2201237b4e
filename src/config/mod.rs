//! The configuration of a run: one struct for the config file, the command-line flags and the config that a run saves.
//!
//! Values come in layers, each of which overrides the one before: the defaults below, a `--config` file, dedicated
//! flags, `--set`. `merge.rs` merges the layers and reports unknown keys; `validate.rs` checks the range of every
//! value. Names follow instant-ngp where it has an equivalent. `docs/formats.md` lists every key; a test keeps that
//! list and this file in agreement.

mod family;
mod merge;
mod preset;
mod task;
mod validate;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::device::Precision;
use crate::scene::{Format, PoseConvention};

pub use family::{
    CoordinateNetworkConfig, CoordinateNetworkKind, GridIndex, LocalConfig, ModelName, MulfaConfig, MulfaVariant,
    PointsConfig,
};
pub use preset::Preset;
pub use task::{ImageConfig, ImageLoss, SdfConfig, TaskName};

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
    pub fn after_upscales(&self, upscales: usize) -> ModelConfig {
        ModelConfig { grid: self.grid.after_upscales(upscales), ..self.clone() }
    }
}

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
    pub fn after_upscales(&self, upscales: usize) -> GridConfig {
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

/// How rays are sampled: the map from space to the field, the occupancy grid and ray marching.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarchConfig {
    /// Map from space to the field.
    pub space: SpaceMap,
    /// No samples are taken closer to the camera than this, in units of the unit cube.
    pub near: f64,
    /// Cells per axis of one cascade of the occupancy grid; a power of two.
    pub occupancy_resolution: u32,
    /// Cascade `c` covers the unit cube enlarged by `2^c` about its centre.
    pub cascades: u32,
    /// Maximum number of samples of one ray.
    pub max_samples_per_ray: u32,
    /// At each update, a cell is set to `max(occupancy_decay · old, new)`.
    pub occupancy_decay: f64,
    /// A cell is occupied if its value, density · smallest step, exceeds `min(occupancy_threshold, mean over cells)`.
    pub occupancy_threshold: f64,
    /// A ray is terminated when its transmittance falls below this.
    pub stop_transmittance: f64,
    /// Factor on the step length, which is `√3 / 1024` in the unit cube.
    pub step_scale: f64,
}

impl Default for MarchConfig {
    fn default() -> Self {
        MarchConfig {
            space: SpaceMap::Identity,
            near: 0.0,
            occupancy_resolution: 128,
            cascades: 1,
            max_samples_per_ray: 1024,
            occupancy_decay: 0.95,
            occupancy_threshold: 0.01,
            stop_transmittance: 1e-4,
            step_scale: 1.0,
        }
    }
}

/// The map from space to the field; see `docs/scenes.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpaceMap {
    /// No map: the field covers the box of all cascades.
    Identity,
    /// Forward-facing scenes: normalised device coordinates (NeRF, appendix C).
    Ndc,
    /// Unbounded scenes: contracted into a ball (mip-NeRF 360, equation 10).
    Contraction,
}

/// Settings of a training run: length, batch size, losses, evaluation and checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of training steps.
    pub max_steps: u64,
    /// Seconds of training, not counting loading and saving; the run ends at whichever of the two limits is reached
    /// first.
    pub max_seconds: Option<f64>,
    /// Target number of samples per training step.
    pub batch_samples: u32,
    /// Seed of all random numbers of the run.
    pub seed: u64,
    /// Background behind transparent pixels and behind the field during training.
    pub background: Background,
    /// Error at which the Huber loss changes from quadratic to linear (sRGB, 0 to 1).
    pub huber_delta: f64,
    /// Weight of the distortion loss, which concentrates the compositing weights along a ray; 0 for none.
    pub distortion_loss: f64,
    /// Weight of the depth loss, for photographs with depth maps; 0 for none.
    pub depth_loss: f64,
    /// Gradients of samples closer to the camera than this, in units of the unit cube, are scaled down; 0 disables it.
    pub scale_gradients_within: f64,
    /// Whether to learn a gain and an offset per channel for each photograph.
    pub exposure: bool,
    /// Whether to learn a rotation and a translation for each training camera.
    pub refine_cameras: bool,
    /// Steps between evaluations on at most 10 validation images, or test images if there are none; 0 for none.
    pub eval_every: u64,
    /// Steps between checkpoints; 0 for a single one at the end.
    pub save_every: u64,
    /// Precision of the networks' products on a CPU. GPUs compute in fp16 whatever it says.
    pub precision: Precision,
    /// Decay per step of the moving average of the parameters, which is used for rendering; with 0, the parameters of
    /// the last step are used.
    pub ema_decay: f64,
}

impl TrainConfig {
    /// Value of `max_steps` with which only the time limit ends the run.
    pub const NO_STEP_LIMIT: u64 = 999_999_999;
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            max_steps: 20_000,
            max_seconds: None,
            batch_samples: 1 << 18,
            seed: 0,
            background: Background::Random,
            huber_delta: 0.1,
            distortion_loss: 0.0,
            depth_loss: 0.0,
            scale_gradients_within: 0.0,
            exposure: false,
            refine_cameras: false,
            eval_every: 0,
            save_every: 1000,
            precision: Precision::Fp32,
            ema_decay: 0.95,
        }
    }
}

/// Background behind the field, in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
// The variants' documentation would become help texts of the program.
#[allow(missing_docs)]
pub enum Background {
    White,
    Black,
    /// A new random colour for every ray and step, so that the field cannot fake transparency with colour
    Random,
}

impl Background {
    /// Returns the name used in config files.
    pub fn as_str(self) -> &'static str {
        match self {
            Background::White => "white",
            Background::Black => "black",
            Background::Random => "random",
        }
    }
}

/// Adam and its learning rate schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Initial learning rate, after the warm-up, of features and network weights.
    pub learning_rate: f64,
    /// Learning rate of the kernel function's parameters θ.
    pub kernel_learning_rate: f64,
    /// Learning rate of coordinate networks.
    pub waves_learning_rate: f64,
    /// Learning rate of the photographs' exposures.
    pub exposure_learning_rate: f64,
    /// Learning rate of the camera corrections, in radians and in units of the unit cube.
    pub camera_learning_rate: f64,
    /// Decay rate of Adam's first moment.
    pub beta1: f64,
    /// Decay rate of Adam's second moment.
    pub beta2: f64,
    /// Number that Adam adds to the root of the second moment.
    pub epsilon: f64,
    /// L2 penalty on the weights of the networks, not on the features of the grid. Adam divides the gradient of the
    /// penalty by the root of the second moment as well, so the penalty wears down rarely active neurons: at 1e-6, half
    /// of a layer is dead after a long run.
    pub l2_reg: f64,
    /// Weight of the squared total variation loss on dense levels; 0 for none.
    pub total_variation: f64,
    /// Change of the learning rates over the run.
    pub schedule: ScheduleConfig,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig {
            learning_rate: 1e-2,
            kernel_learning_rate: 3e-2,
            waves_learning_rate: 5e-3,
            exposure_learning_rate: 1e-3,
            camera_learning_rate: 3e-6,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-15,
            l2_reg: 0.0,
            total_variation: 0.0,
            schedule: ScheduleConfig::default(),
        }
    }
}

/// Learning rate schedule of a run; see [`crate::train::schedule`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Shape of the schedule.
    pub kind: ScheduleKind,
    /// Number of warm-up steps, over which the learning rate rises linearly.
    pub warmup_steps: u64,
    /// `step` only: fractions of the run at which the learning rate is multiplied by `gamma`.
    pub milestones: Vec<f64>,
    /// `step` only: factor on the learning rate at each milestone.
    pub gamma: f64,
    /// `cosine` and `exponential` only: ratio of the final to the initial learning rate.
    pub final_fraction: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        ScheduleConfig {
            kind: ScheduleKind::Step,
            warmup_steps: 100,
            milestones: vec![0.5, 0.75, 0.9],
            gamma: 0.33,
            final_fraction: 0.01,
        }
    }
}

/// Shape of the learning rate decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Multiplied by `gamma` at each of the milestones.
    Step,
    /// Decays along half a cosine.
    Cosine,
    /// Constant after the warm-up.
    Constant,
    /// Decays exponentially.
    Exponential,
}

/// The scene and how it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SceneConfig {
    /// The scene's folder.
    pub path: PathBuf,
    /// Format of the scene. None: detected from the content of the folder.
    pub format: Option<Format>,
    /// Folder of the COLMAP reconstruction inside the scene's folder. Empty: `sparse/0`, `sparse` or `colmap/sparse/0`.
    pub sparse: PathBuf,
    /// Whether to skip images that a COLMAP reconstruction names but that are missing.
    pub allow_missing: bool,
    /// Axes of the cameras in transforms files.
    pub pose_convention: PoseConvention,
    /// Kind of scene that the defaults are for.
    pub preset: Preset,
    /// Factor by which the width and height of the images are reduced, by area averaging.
    pub downscale: u32,
    /// Scale of the map from scene units to the unit cube, `x_unit = scale · x_scene + offset`. None: chosen by the
    /// scene reader.
    pub scale: Option<f64>,
    /// Offset of that map, in unit-cube units; see `scale`.
    pub offset: Option<[f64; 3]>,
    /// `ndc` only: depth of the nearest scene content, in scene units. None: taken from the scene.
    pub nearest: Option<f64>,
}

impl Default for SceneConfig {
    fn default() -> Self {
        SceneConfig {
            path: PathBuf::new(),
            format: None,
            sparse: PathBuf::new(),
            allow_missing: false,
            pose_convention: PoseConvention::OpenGl,
            preset: Preset::Auto,
            downscale: 1,
            scale: None,
            offset: None,
            nearest: None,
        }
    }
}
