//! Keys of ray marching.

use serde::{Deserialize, Serialize};

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
    /// Forward-facing scenes: normalized device coordinates (NeRF, appendix C).
    Ndc,
    /// Unbounded scenes: contracted into a ball (mip-NeRF 360, equation 10).
    Contraction,
}
