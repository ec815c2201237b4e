//! Turns around a scene: the level orbit and the rising spiral.

use super::framing::Framing;
use super::{CameraPath, DEFAULT_FPS, PathOptions, camera, fitted};
use crate::Result;
use crate::scene::pose::Pose;
use crate::scene::{Intrinsics, Lens, Scene};
use std::f64::consts::TAU;

const ORBIT_SECONDS: f32 = 6.0;
const SPIRAL_SECONDS: f32 = 12.0;
const SPIRAL_TURNS: f64 = 2.0;

/// Shares of the cameras below the start and the end of the spiral: stray cameras at the extremes are left out.
const SPIRAL_RISE: (f64, f64) = (0.1, 0.9);

pub(super) fn orbit(scene: &Scene, options: &PathOptions) -> Result<CameraPath> {
    let framing = Framing::of(scene);
    let elevation = framing.elevation(0.5);
    around(scene, &framing, options, ORBIT_SECONDS, |t| (TAU * t, elevation))
}

pub(super) fn spiral(scene: &Scene, options: &PathOptions) -> Result<CameraPath> {
    let framing = Framing::of(scene);
    let (low, high) = (framing.elevation(SPIRAL_RISE.0), framing.elevation(SPIRAL_RISE.1));
    around(scene, &framing, options, SPIRAL_SECONDS, |t| (SPIRAL_TURNS * TAU * t, low + (high - low) * t))
}

/// Cameras that look at the centre from the azimuth and elevation that `angles` gives for times in `[0, 1)`.
fn around(
    scene: &Scene,
    framing: &Framing,
    options: &PathOptions,
    seconds: f32,
    angles: impl Fn(f64) -> (f64, f64),
) -> Result<CameraPath> {
    let first = &scene.splits.train[0].camera;
    let fitted = fitted(first, options.size_or(&first.intrinsics)?).intrinsics;
    let intrinsics = Intrinsics { lens: Lens::Perspective, ..fitted };
    let fps = options.fps_or(DEFAULT_FPS)?;
    let n_frames = options.n_frames(seconds, fps)?;
    let frame = |i: usize| {
        let (azimuth, elevation) = angles(i as f64 / n_frames as f64);
        let position = framing.point(azimuth, elevation);
        camera(intrinsics, &Pose::look_at(position, framing.centre, framing.axes[2]))
    };
    Ok(CameraPath { frames: (0..n_frames).map(frame).collect(), fps })
}
