//! Smooth flights through given cameras: Catmull-Rom splines for positions, slerp for orientations.

use super::camera_path::{CameraPath, camera, fitted, no_views};
use super::options::{DEFAULT_FPS, PathOptions};
use crate::geometry::pose::Pose;
use crate::geometry::{Camera, Intrinsics};
use crate::scene::View;
use crate::{Error, Result};
use nalgebra::{UnitQuaternion, Vector3};

/// Which of the given cameras a flight passes through, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// All cameras in the order of the file.
    File,
    /// At most `n_keys` cameras that are spread far apart, each followed by the nearest of the remaining ones.
    Nearest {
        /// Maximum number of cameras.
        n_keys: usize,
    },
}

const SECONDS_BETWEEN_KEYS: f32 = 1.0;

#[derive(Clone, Copy)]
struct Key {
    intrinsics: Intrinsics,
    pose: Pose,
}

pub(super) fn through(views: &[View], order: Order, options: &PathOptions) -> Result<CameraPath> {
    let first = views.first().ok_or_else(no_views)?;
    let size = options.size_or(&first.camera.intrinsics)?;
    let keys = views.iter().map(|view| key(view, size)).collect::<Result<Vec<_>>>()?;
    let keys = match order {
        Order::File => keys,
        Order::Nearest { n_keys } => chained(spread(&keys, n_keys)),
    };
    let n_segments = (keys.len() - 1).max(1);
    let fps = options.fps_or(DEFAULT_FPS)?;
    let n_frames = options.n_frames(n_segments as f32 * SECONDS_BETWEEN_KEYS, fps)?;
    // From the first key to the last, both included.
    let step = (keys.len() - 1) as f64 / (n_frames - 1).max(1) as f64;
    Ok(CameraPath {
        frames: (0..n_frames).map(|i| at(&keys, i as f64 * step)).collect(),
        fps,
        notes: Vec::new(),
        crop: None,
    })
}

/// Returns `n_frames` cameras at equal steps along `cameras`, from the first to the last. Returns `None` if a camera is
/// mirrored, and the cameras themselves if that is their number.
pub(super) fn resampled(cameras: &[Camera], n_frames: usize) -> Option<Vec<Camera>> {
    if n_frames == cameras.len() {
        return Some(cameras.to_vec());
    }
    let key = |camera: &Camera| Some(Key { intrinsics: camera.intrinsics, pose: Pose::of(&camera.camera_to_world)? });
    let keys = cameras.iter().map(key).collect::<Option<Vec<_>>>()?;
    let step = (keys.len() - 1) as f64 / (n_frames - 1).max(1) as f64;
    Some((0..n_frames).map(|i| at(&keys, i as f64 * step)).collect())
}

fn key(view: &View, size: (u32, u32)) -> Result<Key> {
    let pose = Pose::of(&view.camera.camera_to_world).ok_or_else(|| {
        Error::config(format!(
            "{} has a mirrored camera, which cannot be interpolated; use the dataset path",
            view.name
        ))
    })?;
    let intrinsics = fitted(&view.camera, size).intrinsics.straightened();
    Ok(Key { intrinsics, pose })
}

fn distance(a: &Key, b: &Key) -> f64 {
    (a.pose.position - b.pose.position).norm()
}

/// Selects at most `n_keys` of `keys`, starting with the first; each next key is the one farthest from those chosen.
fn spread(keys: &[Key], n_keys: usize) -> Vec<Key> {
    let mut chosen = vec![keys[0]];
    let mut to_chosen: Vec<f64> = keys.iter().map(|key| distance(key, &keys[0])).collect();
    while chosen.len() < n_keys.min(keys.len()) {
        let farthest = (0..keys.len()).max_by(|&a, &b| to_chosen[a].total_cmp(&to_chosen[b])).unwrap_or(0);
        chosen.push(keys[farthest]);
        for (nearest, key) in to_chosen.iter_mut().zip(keys) {
            *nearest = nearest.min(distance(key, &keys[farthest]));
        }
    }
    chosen
}

/// Reorders `keys` so that each is followed by the nearest of the remaining ones.
fn chained(mut keys: Vec<Key>) -> Vec<Key> {
    for last in 0..keys.len().saturating_sub(1) {
        let to_last = |i: &usize| distance(&keys[*i], &keys[last]);
        let nearest = (last + 1..keys.len()).min_by(|a, b| to_last(a).total_cmp(&to_last(b)));
        keys.swap(last + 1, nearest.unwrap_or(last + 1));
    }
    keys
}

/// Returns the camera at `time`; key `i` is at time `i`.
fn at(keys: &[Key], time: f64) -> Camera {
    let last = keys.len() - 1;
    let before = (time as usize).min(last.saturating_sub(1));
    let t = time - before as f64;
    let neighbour = |offset: isize| &keys[before.saturating_add_signed(offset).min(last)];
    let [p0, p1, p2, p3] = [-1, 0, 1, 2].map(neighbour);
    let pose = Pose {
        position: catmull_rom([p0, p1, p2, p3].map(|key| key.pose.position), t),
        rotation: slerp(&p1.pose.rotation, &p2.pose.rotation, t),
    };
    camera(blend(&p1.intrinsics, &p2.intrinsics, t as f32), &pose)
}

/// Evaluates the uniform cubic that passes through p1 at 0 and p2 at 1, with tangents given by the neighbouring points.
fn catmull_rom([p0, p1, p2, p3]: [Vector3<f64>; 4], t: f64) -> Vector3<f64> {
    let (m1, m2) = ((p2 - p0) * 0.5, (p3 - p1) * 0.5);
    let (t2, t3) = (t * t, t * t * t);
    p1 * (2.0 * t3 - 3.0 * t2 + 1.0) + m1 * (t3 - 2.0 * t2 + t) + p2 * (3.0 * t2 - 2.0 * t3) + m2 * (t3 - t2)
}

/// Interpolates along the shorter arc. Opposite orientations have no shortest arc; for them, returns the nearer one.
fn slerp(a: &UnitQuaternion<f64>, b: &UnitQuaternion<f64>, t: f64) -> UnitQuaternion<f64> {
    a.try_slerp(b, t, 1e-9).unwrap_or(if t < 0.5 { *a } else { *b })
}

fn blend(a: &Intrinsics, b: &Intrinsics, t: f32) -> Intrinsics {
    let mix = |a: f32, b: f32| a + (b - a) * t;
    Intrinsics { fl_x: mix(a.fl_x, b.fl_x), fl_y: mix(a.fl_y, b.fl_y), cx: mix(a.cx, b.cx), cy: mix(a.cy, b.cy), ..*a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_at(x: f64) -> Key {
        let pose = Pose { position: Vector3::new(x, 0.0, 0.0), rotation: UnitQuaternion::identity() };
        Key { intrinsics: Intrinsics::from_fov_x(8, 8, 1.0), pose }
    }

    fn places(keys: &[Key]) -> Vec<f64> {
        keys.iter().map(|key| key.pose.position.x).collect()
    }

    #[test]
    fn spread_takes_the_farthest_first() {
        let keys = [0.0, 0.1, 5.0, 10.0, 9.9].map(key_at);
        assert_eq!(places(&spread(&keys, 3)), [0.0, 10.0, 5.0]);
        assert_eq!(spread(&keys, 99).len(), 5);
    }

    #[test]
    fn chain_goes_to_the_nearest() {
        assert_eq!(places(&chained([0.0, 10.0, 4.0, 7.0].map(key_at).to_vec())), [0.0, 4.0, 7.0, 10.0]);
    }

    #[test]
    fn splines_pass_their_points_and_keep_lines_straight() {
        let points = [0.0, 1.0, 2.0, 3.0].map(|x| Vector3::new(x, 2.0 * x, 0.0));
        assert_eq!(catmull_rom(points, 0.0), points[1]);
        assert!((catmull_rom(points, 1.0) - points[2]).norm() < 1e-12);
        assert!((catmull_rom(points, 0.25) - Vector3::new(1.25, 2.5, 0.0)).norm() < 1e-12);
    }
}
