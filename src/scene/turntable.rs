//! A scene without photographs: cameras all around an object, for paths that are derived from a scene's cameras.

use std::f64::consts::TAU;
use std::path::PathBuf;

use nalgebra::Vector3;

use super::{Capture, Format, Scene, Splits, View};
use crate::geometry::pose::Pose;
use crate::geometry::{Camera, Intrinsics, UnitCube};

/// Number of cameras, their elevation, and their vertical field of view, in radians.
const N_CAMERAS: usize = 12;
const ELEVATION: f64 = 0.3;
const FIELD_OF_VIEW: f64 = 0.7;
/// Pixels along a side of an image.
const SIDE: u32 = 512;

impl Scene {
    /// Returns a scene with cameras on a circle around the y axis, which see all of a ball of `radius` around `middle`
    /// (scene units).
    pub(crate) fn turntable(name: &str, unit_cube: UnitCube, middle: [f32; 3], radius: f32) -> Scene {
        let middle = Vector3::from(middle.map(f64::from));
        let distance = f64::from(radius) / (0.5 * FIELD_OF_VIEW).sin();
        let view = |i: usize| {
            let azimuth = TAU * i as f64 / N_CAMERAS as f64;
            let (level, height) = (ELEVATION.cos(), ELEVATION.sin());
            let position = middle + Vector3::new(azimuth.sin() * level, height, azimuth.cos() * level) * distance;
            let camera = Camera {
                camera_to_world: Pose::look_at(position, middle, Vector3::y()).camera_to_world(),
                intrinsics: Intrinsics::from_fov_y(SIDE, SIDE, FIELD_OF_VIEW as f32),
            };
            View::new(format!("around_{i}"), "", camera)
        };
        Scene {
            path: PathBuf::new(),
            name: name.to_owned(),
            format: Format::Blender,
            splits: Splits { train: (0..N_CAMERAS).map(view).collect(), ..Splits::default() },
            unit_cube,
            capture: Capture::unknown(),
            points: Vec::new(),
            notes: Vec::new(),
            background: [1.0; 3],
        }
    }
}
