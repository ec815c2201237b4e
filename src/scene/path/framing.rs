//! Where a scene's cameras are and what they look at: the basis of generated paths.

use crate::scene::fit::{meeting_point, vector};
use crate::scene::{Scene, View};
use nalgebra::Vector3;
use std::f64::consts::TAU;

/// Cosine of the angle (20°) within which the mean up direction of the cameras is snapped to a coordinate axis: rigs
/// are upright in their own world, and a slightly tilted orbit looks wrong.
const NEARLY_AN_AXIS: f64 = 0.94;

/// Largest elevation of orbits, in radians: directly above the centre, the upright direction is undefined.
const MAX_ELEVATION: f64 = 80.0 * std::f64::consts::PI / 180.0;

/// Smallest radius in sides of the unit cube: a circle of radius 0, around a camera in the centre, would have no
/// direction to look in.
const LEAST_RADIUS: f64 = 1e-3;

/// Largest gap between neighbouring azimuths: cameras that leave a wider gap stand on one side of the scene.
const WIDEST_GAP: f64 = TAU / 3.0;

/// Azimuths within `half` of `middle`, in radians.
#[derive(Clone, Copy)]
pub(super) struct Arc {
    pub middle: f64,
    pub half: f64,
}

/// The training cameras in spherical coordinates around what they look at.
pub(super) struct Framing {
    /// Where their viewing axes meet, or the centre of the unit cube if the axes are parallel, in scene coordinates.
    pub centre: Vector3<f64>,
    /// Axes of the sphere, of length 1: the directions of azimuth 0 (that of the first camera), of azimuth π/2, and up.
    pub axes: [Vector3<f64>; 3],
    /// Median distance of the cameras from the centre, in scene units.
    pub radius: f64,
    /// Azimuths of the cameras in radians, ascending, from −π to π.
    azimuths: Vec<f64>,
    /// Elevations of the cameras above the horizon in radians, ascending, at most 80° up or down.
    pub elevations: Vec<f64>,
}

impl Framing {
    /// Computes the framing of the training cameras, of which a scene has at least one.
    pub fn of(scene: &Scene) -> Self {
        let views = &scene.splits.train;
        let up = up_axis(views);
        let centre = meeting_point(views).unwrap_or_else(|| vector(scene.unit_cube.to_scene([0.5; 3])));
        let offsets: Vec<_> = views.iter().map(|view| vector(view.camera.position()) - centre).collect();
        let mut distances: Vec<f64> = offsets.iter().map(Vector3::norm).collect();
        distances.sort_by(f64::total_cmp);
        let elevation = |offset: &Vector3<f64>| offset.dot(&up).atan2(offset.cross(&up).norm());
        let mut elevations: Vec<f64> =
            offsets.iter().map(|offset| elevation(offset).clamp(-MAX_ELEVATION, MAX_ELEVATION)).collect();
        elevations.sort_by(f64::total_cmp);
        let start = horizontal(&offsets[0], &up);
        let radius = quantile(&distances, 0.5).max(LEAST_RADIUS / f64::from(scene.unit_cube.scale));
        let side = up.cross(&start);
        let mut azimuths: Vec<f64> = offsets.iter().map(|offset| offset.dot(&side).atan2(offset.dot(&start))).collect();
        azimuths.sort_by(f64::total_cmp);
        Self { centre, axes: [start, side, up], radius, azimuths, elevations }
    }

    /// Returns the arc that the cameras occupy, if they leave a gap wider than [`WIDEST_GAP`].
    pub fn arc(&self) -> Option<Arc> {
        let next = self.azimuths.iter().skip(1).copied().chain([self.azimuths[0] + TAU]);
        let gaps = self.azimuths.iter().zip(next).map(|(azimuth, next)| (next - azimuth, next));
        let (gap, begin) = gaps.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let half = 0.5 * (TAU - gap);
        (gap > WIDEST_GAP).then_some(Arc { middle: begin + half, half })
    }

    /// Returns the elevation below which the fraction `share` of the cameras lie.
    pub fn elevation(&self, share: f64) -> f64 {
        quantile(&self.elevations, share)
    }

    /// Returns the point at these angles (radians) and the median distance.
    pub fn point(&self, azimuth: f64, elevation: f64) -> Vector3<f64> {
        let [start, side, up] = self.axes;
        let horizontal = start * azimuth.cos() + side * azimuth.sin();
        self.centre + (horizontal * elevation.cos() + up * elevation.sin()) * self.radius
    }
}

/// What a scene's cameras look at, and from where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Focus {
    /// Where their viewing axes meet, or the middle of the unit cube, in scene coordinates.
    pub center: [f32; 3],
    /// The upright direction, of length 1; y for a scene without cameras.
    pub up: [f32; 3],
    /// Median distance of the cameras from the centre in scene units; of a scene without cameras, half the unit cube's
    /// side.
    pub radius: f32,
}

/// Returns what the training cameras of a scene look at.
pub(crate) fn focus(scene: &Scene) -> Focus {
    if scene.splits.train.is_empty() {
        let center = scene.unit_cube.to_scene([0.5; 3]);
        return Focus { center, up: [0.0, 1.0, 0.0], radius: 0.5 / scene.unit_cube.scale };
    }
    let framing = Framing::of(scene);
    let single = |v: Vector3<f64>| [v.x as f32, v.y as f32, v.z as f32];
    Focus { center: single(framing.centre), up: single(framing.axes[2]), radius: framing.radius as f32 }
}

pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

impl Scene {
    /// Returns the direction that is up in the scene, of length 1: the mean up direction of the training cameras, of
    /// which there must be one, or the coordinate axis that it is close to.
    pub fn up(&self) -> [f64; 3] {
        up_axis(&self.splits.train).into()
    }
}

/// Returns the mean up direction of the cameras, or the coordinate axis that it is close to.
pub(in crate::scene) fn up_axis(views: &[View]) -> Vector3<f64> {
    let sum: Vector3<f64> = views.iter().map(|view| vector(view.camera.up()).normalize()).sum();
    let Some(mean) = sum.try_normalize(1e-6) else { return Vector3::z() };
    let longest = mean.iamax();
    if mean[longest].abs() < NEARLY_AN_AXIS {
        return mean;
    }
    Vector3::from_fn(|axis, _| if axis == longest { mean[longest].signum() } else { 0.0 })
}

/// Returns the horizontal component of `offset` as a direction, or any horizontal direction if `offset` points straight
/// up or down.
fn horizontal(offset: &Vector3<f64>, up: &Vector3<f64>) -> Vector3<f64> {
    let along = |v: &Vector3<f64>| (v - up * v.dot(up)).try_normalize(1e-6 * v.norm());
    along(offset).or_else(|| along(&Vector3::x())).or_else(|| along(&Vector3::y())).unwrap_or_else(Vector3::z)
}
