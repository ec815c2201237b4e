//! The unit cube of a model, and its placement in the scene.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The similarity transform from scene coordinates to the unit cube `[0, 1]³` that a model covers:
/// `x_unit = scale · x_scene + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitCube {
    /// Unit cubes per scene unit.
    pub scale: f32,
    /// Position of the scene's origin in the unit cube.
    pub offset: [f32; 3],
}

impl UnitCube {
    /// What instant-ngp's loader uses for scenes that do not specify a scale (`NERF_SCALE` 0.33, offset 0.5). The unit
    /// cube then holds the NeRF paper's synthetic scenes, which extend to ±1.5 around the origin.
    pub const BLENDER: UnitCube = UnitCube { scale: 0.33, offset: [0.5; 3] };

    /// Returns the unit cube with another scale around the same centre.
    pub fn with_scale(&self, scale: f32) -> Self {
        let centre = self.to_scene([0.5; 3]);
        UnitCube { scale, offset: std::array::from_fn(|axis| 0.5 - scale * centre[axis]) }
    }

    /// Maps scene coordinates to the unit cube.
    pub fn to_unit(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|axis| self.scale * point[axis] + self.offset[axis])
    }

    /// Maps the unit cube back to scene coordinates.
    pub fn to_scene(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|axis| (point[axis] - self.offset[axis]) / self.scale)
    }
}

impl fmt::Display for UnitCube {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x_unit = {} x_scene + {:?}", self.scale, self.offset)
    }
}
