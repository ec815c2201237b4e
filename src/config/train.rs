//! Keys of training.

use serde::{Deserialize, Serialize};

use crate::device::Precision;

/// Settings of a training run: length, batch size, losses, evaluation and checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of training steps.
    pub max_steps: u64,
    /// Seconds of training, not counting loading and saving; the run ends at whichever of the two limits is reached
    /// first.
    pub max_seconds: Option<f64>,
    /// Target number of samples that are processed at a time; a step has `accumulate` times as many.
    pub batch_samples: u32,
    /// Number of batches whose gradients a step adds up before the parameters change.
    pub accumulate: u32,
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
            accumulate: 1,
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
