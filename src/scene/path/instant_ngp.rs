//! Camera paths as saved by instant-ngp's viewer: key cameras in its own coordinates, joined by a cubic B-spline.
//!
//! instant-ngp's world is its unit cube with cyclically permuted axes, and its cameras look along +z with y down. With
//! `c = scale · (c_scene) + offset` for positions, and the camera's y and z axes negated, its coordinates are
//! `(x, y, z)_ngp = (y, z, x)` (`nerf_matrix_to_ngp` in its loader). `R` is the quaternion (x, y, z, w) of the
//! resulting rotation and `T` the position; `fov` is the vertical field of view in degrees. Slices and apertures have
//! no counterpart here and are not read.

use super::camera_path::{CameraPath, camera};
use super::file::{read_fov, read_list};
use super::options::{DEFAULT_FPS, PathOptions};
use crate::Result;
use crate::geometry::pose::Pose;
use crate::geometry::{Camera, Intrinsics, UnitCube};
use crate::scene::Scene;
use crate::scene::json::Node;
use nalgebra::{Matrix3, Quaternion, Rotation3, UnitQuaternion, Vector3, Vector4};

const SECONDS_BETWEEN_KEYS: f32 = 1.0;

/// A key camera in instant-ngp's coordinates.
#[derive(Clone, Copy)]
struct Key {
    /// Quaternion x, y, z, w.
    rotation: Vector4<f64>,
    position: Vector3<f64>,
    /// Vertical field of view in radians.
    fov_y: f64,
}

pub(super) fn read(root: &Node, scene: &Scene, options: &PathOptions) -> Result<CameraPath> {
    let keys = read_list(root, "path", "path")?.iter().map(read_key).collect::<Result<Vec<_>>>()?;
    let closed = root.get("loop").map(|node| node.flag()).transpose()?.unwrap_or(false);
    let n_segments = if closed { keys.len() } else { keys.len() - 1 };
    let duration = root.get("duration_seconds").map(|node| node.positive()).transpose()?;
    let fps = options.fps_or(DEFAULT_FPS)?;
    let seconds = duration.map_or(n_segments.max(1) as f32 * SECONDS_BETWEEN_KEYS, |seconds| seconds as f32);
    let n_frames = options.n_frames(seconds, fps)?;
    let size = match (options.size, scene.splits.train.first()) {
        (None, None) => {
            return Err(root.error(
                "has no frame size of its own, and the scene is not at hand; give --width and --height, or --scene DIR",
            ));
        }
        (_, view) => options.size_or(&view.map_or(Intrinsics::from_fov_y(1, 1, 1.0), |view| view.camera.intrinsics))?,
    };
    // An open path ends at its last key; a closed one ends one step before its first.
    let n_steps = if closed { n_frames } else { (n_frames - 1).max(1) };
    let frame = |i: usize| {
        let time = i as f64 * n_segments as f64 / n_steps as f64;
        to_scene(&at(&keys, closed, time), size, &scene.unit_cube)
    };
    Ok(CameraPath { frames: (0..n_frames).map(frame).collect(), fps, notes: Vec::new(), crop: None })
}

fn read_key(node: &Node) -> Result<Key> {
    let rotation = node.require("R", "the rotation as a quaternion x, y, z, w")?;
    let quaternion = Vector4::from(rotation.numbers::<4>()?);
    let length = quaternion.norm();
    if length < 1e-6 {
        return Err(rotation.error("is 0, which is not a rotation; save the path again"));
    }
    let position = node.require("T", "the position")?.numbers::<3>()?;
    Ok(Key { rotation: quaternion / length, position: position.into(), fov_y: f64::from(read_fov(node)?) })
}

/// Returns the camera at `time`, measured in keys. The uniform cubic B-spline is smoothing: it passes near its keys,
/// not through them. The end keys are repeated, or joined if the path is closed.
fn at(keys: &[Key], closed: bool, time: f64) -> Key {
    let (before, t) = (time.floor(), time.fract());
    let index = |offset: i64| {
        let (i, n) = (before as i64 + offset, keys.len() as i64);
        (if closed { i.rem_euclid(n) } else { i.clamp(0, n - 1) }) as usize
    };
    let weights = [
        (1.0 - t).powi(3) / 6.0,
        (3.0 * t.powi(3) - 6.0 * t * t + 4.0) / 6.0,
        (-3.0 * t.powi(3) + 3.0 * t * t + 3.0 * t + 1.0) / 6.0,
        t.powi(3) / 6.0,
    ];
    let mut sum = Key { rotation: Vector4::zeros(), position: Vector3::zeros(), fov_y: 0.0 };
    for (offset, weight) in (-1..).zip(weights) {
        let key = &keys[index(offset)];
        // A quaternion and its negative are the same rotation; the nearer one is added.
        let sign = if sum.rotation.dot(&key.rotation) < 0.0 { -1.0 } else { 1.0 };
        sum.rotation += key.rotation * (sign * weight);
        sum.position += key.position * weight;
        sum.fov_y += key.fov_y * weight;
    }
    sum
}

fn to_scene(key: &Key, (width, height): (u32, u32), unit_cube: &UnitCube) -> Camera {
    let axes = UnitQuaternion::new_normalize(Quaternion::from(key.rotation)).to_rotation_matrix();
    let uncycle = |v: Vector3<f64>| Vector3::new(v.z, v.x, v.y);
    let columns = [0, 1, 2].map(|c| uncycle(axes.matrix().column(c).into()));
    let axes = Matrix3::from_columns(&[columns[0], -columns[1], -columns[2]]);
    let offset = Vector3::from(unit_cube.offset.map(f64::from));
    let pose = Pose {
        rotation: Rotation3::from_matrix_unchecked(axes).into(),
        position: (uncycle(key.position) - offset) / f64::from(unit_cube.scale),
    };
    camera(Intrinsics::from_fov_y(width, height, key.fov_y as f32), &pose)
}
