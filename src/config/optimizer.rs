//! Keys of the optimizer.

use serde::{Deserialize, Serialize};

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
