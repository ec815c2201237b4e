//! The unit cube of a model, and its placement in the scene.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::is_zero;

/// The similarity transform from scene coordinates to the unit cube `[0, 1]³` that a model covers:
/// `x_unit = scale · x_scene + offset`.
///
/// Scene coordinates in memory are those of the scene's files minus [`origin`](Self::origin), which readers subtract in
/// double precision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitCube {
    /// Unit cubes per scene unit.
    pub scale: f32,
    /// Position of the origin of scene coordinates in the unit cube.
    pub offset: [f32; 3],
    /// Position of the origin of scene coordinates in the coordinates of the scene's files: 0 unless these are so large
    /// for the scene's extent that single precision could not represent it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub origin: [f64; 3],
}

impl UnitCube {
    /// What instant-ngp's loader uses for scenes that do not specify a scale (`NERF_SCALE` 0.33, offset 0.5). The unit
    /// cube then holds the NeRF paper's synthetic scenes, which extend to ±1.5 around the origin.
    pub const BLENDER: UnitCube = UnitCube::new(0.33, [0.5; 3]);

    /// Returns the map for scene coordinates that are those of the scene's files.
    pub const fn new(scale: f32, offset: [f32; 3]) -> Self {
        UnitCube { scale, offset, origin: [0.0; 3] }
    }

    /// Returns the map that takes `x_file`, in the coordinates of the scene's files, to `scale · x_file + offset`, for
    /// scene coordinates relative to `origin`. Offsets of scenes far from their origin are as large as their
    /// coordinates, so they are summed in double precision.
    pub(crate) fn of_files(scale: f64, offset: [f64; 3], origin: [f64; 3]) -> Self {
        let offset = std::array::from_fn(|k| (offset[k] + scale * origin[k]) as f32);
        UnitCube { scale: scale as f32, offset, origin }
    }

    /// Returns the unit cube with another scale around the same centre.
    pub(crate) fn with_scale(&self, scale: f32) -> Self {
        let centre = self.to_scene([0.5; 3]);
        UnitCube { scale, offset: std::array::from_fn(|axis| 0.5 - scale * centre[axis]), ..*self }
    }

    /// Maps scene coordinates to the unit cube.
    pub fn to_unit(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|axis| self.scale * point[axis] + self.offset[axis])
    }

    /// Maps the unit cube back to scene coordinates.
    pub fn to_scene(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|axis| (point[axis] - self.offset[axis]) / self.scale)
    }

    /// Maps the unit cube to the coordinates of the scene's files.
    pub fn to_files(&self, point: [f32; 3]) -> [f64; 3] {
        let in_scene = self.to_scene(point);
        std::array::from_fn(|axis| f64::from(in_scene[axis]) + self.origin[axis])
    }
}

impl fmt::Display for UnitCube {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnitCube { scale, offset, origin } = self;
        match is_zero(origin) {
            true => write!(f, "x_unit = {scale} x_scene + {offset:?}"),
            false => write!(f, "x_unit = {scale} (x_scene - {origin:?}) + {offset:?}"),
        }
    }
}
