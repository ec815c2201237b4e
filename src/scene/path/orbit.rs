//! Turns around a scene, or in front of a forward-facing one: the level orbit and the rising spiral.

use super::camera_path::{CameraPath, camera, fitted};
use super::framing::{Arc, Framing, quantile};
use super::options::{DEFAULT_FPS, PathOptions};
use crate::Result;
use crate::geometry::pose::Pose;
use crate::scene::fit::vector;
use crate::scene::{CaptureKind, Scene, View};
use nalgebra::Vector3;
use std::f64::consts::TAU;

const ORBIT_SECONDS: f32 = 6.0;
const SPIRAL_SECONDS: f32 = 12.0;
const SPIRAL_TURNS: f64 = 2.0;

/// Fractions of the cameras below the start and the end of the spiral: stray cameras at the extremes are left out.
const SPIRAL_RISE: (f64, f64) = (0.1, 0.9);

/// Fraction of forward-facing cameras within the ellipse that paths follow, as in the NeRF paper's videos.
const ELLIPSE_SHARE: f64 = 0.9;

pub(super) fn orbit(scene: &Scene, options: &PathOptions) -> Result<CameraPath> {
    if scene.capture.kind == CaptureKind::ForwardFacing {
        return before(scene, options, ORBIT_SECONDS, |t| (TAU * t, 0.0));
    }
    let framing = Framing::of(scene);
    let elevation = framing.elevation(0.5);
    // Around a scene photographed from one side, there is nothing to see from the other sides.
    let arc = framing.arc().filter(|_| scene.capture.kind == CaptureKind::Inward);
    around(scene, &framing, options, ORBIT_SECONDS, |t| match arc {
        None => (TAU * t, elevation),
        Some(Arc { middle, half }) => (middle + half * (TAU * t).sin(), elevation),
    })
}

pub(super) fn spiral(scene: &Scene, options: &PathOptions) -> Result<CameraPath> {
    if scene.capture.kind == CaptureKind::ForwardFacing {
        return before(scene, options, SPIRAL_SECONDS, |t| (SPIRAL_TURNS * TAU * t, (TAU * t).sin()));
    }
    let framing = Framing::of(scene);
    let (low, high) = (framing.elevation(SPIRAL_RISE.0), framing.elevation(SPIRAL_RISE.1));
    let arc = framing.arc().filter(|_| scene.capture.kind == CaptureKind::Inward);
    around(scene, &framing, options, SPIRAL_SECONDS, |t| {
        let turned = SPIRAL_TURNS * TAU * t;
        let azimuth = arc.map_or(turned, |arc| arc.middle + arc.half * turned.sin());
        (azimuth, low + (high - low) * t)
    })
}

/// Returns cameras on an ellipse around the average camera, perpendicular to its axis, that look at one point in front
/// of it. `place` returns the angle on the ellipse and the displacement along the axis, from −1 to 1, for times in
/// `[0, 1)`.
fn before(scene: &Scene, options: &PathOptions, seconds: f32, place: impl Fn(f64) -> (f64, f64)) -> Result<CameraPath> {
    let frame = scene.capture.frame.map(|row| row.map(f64::from));
    let column = |axis: usize| Vector3::from_fn(|row, _| frame[row][axis]);
    let [right, up, back, centre] = [0, 1, 2, 3].map(column);
    let reach = |axis: &Vector3<f64>| {
        let across = |view: &View| (vector(view.camera.position()) - centre).dot(axis).abs();
        let mut reaches: Vec<f64> = scene.splits.train.iter().map(across).collect();
        reaches.sort_by(f64::total_cmp);
        quantile(&reaches, ELLIPSE_SHARE)
    };
    let reaches = [right, up, back].map(|axis| reach(&axis));
    let target = centre - back * focus(scene);
    frames(scene, options, seconds, |t| {
        let (angle, along) = place(t);
        let position =
            centre + right * (reaches[0] * angle.cos()) + up * (reaches[1] * angle.sin()) + back * (reaches[2] * along);
        Pose::look_at(position, target, up)
    })
}

/// Returns the depth that the NeRF paper's paths look at, interpolated between near and far in inverse depth.
fn focus(scene: &Scene) -> f64 {
    let [near, far] = scene.capture.bounds.unwrap_or([1.0, 1.0]).map(f64::from);
    let (close, distant) = (0.9 * near, 5.0 * far);
    1.0 / (0.25 / close + 0.75 / distant)
}

/// Returns cameras that look at the centre from the azimuth and elevation that `angles` gives for times in `[0, 1)`.
fn around(
    scene: &Scene,
    framing: &Framing,
    options: &PathOptions,
    seconds: f32,
    angles: impl Fn(f64) -> (f64, f64),
) -> Result<CameraPath> {
    frames(scene, options, seconds, |t| {
        let (azimuth, elevation) = angles(t);
        Pose::look_at(framing.point(azimuth, elevation), framing.centre, framing.axes[2])
    })
}

/// Returns cameras like the first training camera, without its lens, at the poses for times in `[0, 1)`.
fn frames(scene: &Scene, options: &PathOptions, seconds: f32, pose: impl Fn(f64) -> Pose) -> Result<CameraPath> {
    let first = &scene.splits.train[0].camera;
    let intrinsics = fitted(first, options.size_or(&first.intrinsics)?).intrinsics.straightened();
    let fps = options.fps_or(DEFAULT_FPS)?;
    let n_frames = options.n_frames(seconds, fps)?;
    let frame = |i: usize| camera(intrinsics, &pose(i as f64 / n_frames as f64));
    Ok(CameraPath { frames: (0..n_frames).map(frame).collect(), fps, notes: Vec::new(), crop: None })
}
