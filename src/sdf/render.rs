//! Rendering of distance fields by sphere tracing (Hart, "Sphere tracing", The Visual Computer 1996), shaded with the
//! field's gradient.

use nalgebra::{Vector3, vector};

use super::gradient::gradients;
use super::{MeshFacts, distances};
use crate::checkpoint::Checkpoint;
use crate::fit::Predictor;
use crate::geometry::{Bounds, Camera, FieldToScene, Space, UnitCube};
use crate::render::{Frame, Layer, Render, RenderOptions};
use crate::scene::Scene;
use crate::{Error, Result};

/// Distance below which a ray counts as on the surface, in sides of the unit cube.
const ON_SURFACE: f32 = 3e-4;
/// Fraction of the predicted distance that a ray advances per step, since predicted distances may be too large.
const STRIDE: f32 = 0.9;
/// Number of steps after which a ray that grazes the surface counts as a miss.
const MOST_STEPS: usize = 200;
/// Step of the finite differences that give the gradient.
const GRADIENT: f32 = 1e-3;
/// sRGB colour of the material.
const CLAY: [f32; 3] = [0.86, 0.78, 0.70];
/// Fraction of the colour that is visible where no light falls.
const AMBIENT: f32 = 0.3;
/// Margin of the traced box around the mesh's bounding box, since the field's surface may extend beyond the mesh.
const BOX_MARGIN: f32 = 0.01;

/// Renders a distance field.
pub struct SphereTracer {
    predictor: Predictor,
    unit_cube: UnitCube,
    low: [f32; 3],
    high: [f32; 3],
}

/// A ray being traced, in the unit cube.
struct Ray {
    pixel: usize,
    /// 1 outside of the mesh; −1 within it, where a crop box has cut it open; 0 before that is known.
    side: f32,
    origin: Vector3<f32>,
    direction: Vector3<f32>,
    t: f32,
    end: f32,
}

impl Ray {
    fn point(&self) -> [f32; 3] {
        (self.origin + self.direction * self.t).into()
    }
}

impl SphereTracer {
    /// Creates a renderer of the checkpoint's field.
    ///
    /// # Errors
    /// Returns the errors of [`MeshFacts::from_checkpoint`].
    pub fn new(predictor: Predictor, checkpoint: &Checkpoint) -> Result<Self> {
        let facts = MeshFacts::from_checkpoint(checkpoint)?;
        Ok(SphereTracer::around(predictor, &facts, checkpoint.header.unit_cube))
    }

    /// Creates a renderer of a field that was fitted to the mesh with these `facts`.
    pub fn around(predictor: Predictor, facts: &MeshFacts, unit_cube: UnitCube) -> Self {
        let (low, high) = (facts.low.map(|x| x - BOX_MARGIN), facts.high.map(|x| x + BOX_MARGIN));
        SphereTracer { predictor, unit_cube, low, high }
    }

    /// Returns the field.
    pub fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// Returns how the field's box is placed in the coordinates of the mesh.
    pub fn place(&self) -> FieldToScene {
        FieldToScene { space: Space::Identity, unit_cube: self.unit_cube, side: 1.0 }
    }

    /// Returns the rays of a camera that intersect the mesh's box and `crop`, a box of the scene.
    fn rays(&self, camera: &Camera, crop: Option<Bounds>) -> Vec<Ray> {
        let own = Bounds { low: self.low, high: self.high };
        let to_unit = |b: Bounds| Bounds { low: self.unit_cube.to_unit(b.low), high: self.unit_cube.to_unit(b.high) };
        let Some(bounds) = crop.map_or(Some(own), |crop| own.common(&to_unit(crop))) else { return Vec::new() };
        let side = if crop.is_some() { 0.0 } else { 1.0 };
        let (width, height) = (camera.intrinsics.width as usize, camera.intrinsics.height as usize);
        let ray = |pixel: usize| {
            let (origin, direction) = camera.ray((pixel % width) as f32 + 0.5, (pixel / width) as f32 + 0.5);
            let origin = self.unit_cube.to_unit(origin);
            let (mut enter, mut leave) = (0.0f32, f32::INFINITY);
            for k in 0..3 {
                let inverse = 1.0 / direction[k];
                let (a, b) = ((bounds.low[k] - origin[k]) * inverse, (bounds.high[k] - origin[k]) * inverse);
                (enter, leave) = (enter.max(a.min(b)), leave.min(a.max(b)));
            }
            let (origin, direction) = (Vector3::from(origin), Vector3::from(direction));
            (enter < leave).then_some(Ray { pixel, side, origin, direction, t: enter, end: leave })
        };
        (0..width * height).filter_map(ray).collect()
    }

    /// Advances rays until they reach the surface, and returns those that do. Rays that leave the box are dropped.
    fn trace(&self, mut rays: Vec<Ray>) -> Result<Vec<Ray>> {
        let mut hits = Vec::new();
        for _ in 0..MOST_STEPS {
            if rays.is_empty() {
                break;
            }
            let points: Vec<[f32; 3]> = rays.iter().map(Ray::point).collect();
            let mut on_their_way = Vec::new();
            for (mut ray, distance) in rays.into_iter().zip(distances(&self.predictor, &points)?) {
                if ray.side == 0.0 {
                    ray.side = if distance < 0.0 { -1.0 } else { 1.0 };
                }
                let distance = ray.side * distance;
                if distance < ON_SURFACE {
                    hits.push(ray);
                    continue;
                }
                ray.t += STRIDE * distance;
                if ray.t < ray.end {
                    on_their_way.push(ray);
                }
            }
            rays = on_their_way;
        }
        Ok(hits)
    }

    /// Returns the normalized gradients of the field.
    fn normals(&self, rays: &[Ray]) -> Result<Vec<Vector3<f32>>> {
        let points: Vec<[f32; 3]> = rays.iter().map(Ray::point).collect();
        let unit = |gradient: Vector3<f32>| gradient.try_normalize(0.0).unwrap_or_default();
        Ok(gradients(&self.predictor, &points, GRADIENT)?.into_iter().map(unit).collect())
    }
}

impl Render for SphereTracer {
    fn render(&self, camera: &Camera, options: &RenderOptions) -> Result<Frame> {
        if options.layer != Layer::Field {
            return Err(Error::config(
                "a distance field has no occupancy grid, and no original image to show or to compare with",
            ));
        }
        let (width, height) = (camera.intrinsics.width as usize, camera.intrinsics.height as usize);
        let n = width * height;
        let rgb: Vec<f32> = (0..n).flat_map(|_| options.background).collect();
        let mut frame = Frame { width, height, rgb, depth: vec![0.0; n], opacity: vec![0.0; n] };
        let hits = self.trace(self.rays(camera, options.crop))?;
        let normals = self.normals(&hits)?;
        // The light comes from behind the camera, above and to the left of it.
        let [forward, up] = [camera.forward(), camera.up()].map(|axis| Vector3::from(axis).normalize());
        let light = (up * 0.7 - forward - forward.cross(&up) * 0.5).normalize();
        for (ray, normal) in hits.iter().zip(normals) {
            let lit = AMBIENT + (1.0 - AMBIENT) * (ray.side * normal.dot(&light)).max(0.0);
            for (k, clay) in CLAY.iter().enumerate() {
                frame.rgb[3 * ray.pixel + k] = lit * clay;
            }
            frame.depth[ray.pixel] = ray.t / self.unit_cube.scale;
            frame.opacity[ray.pixel] = 1.0;
        }
        Ok(frame)
    }
}

/// Returns a scene with cameras around the mesh and y up, from which camera paths can be generated.
///
/// # Errors
/// Returns the errors of [`MeshFacts::from_checkpoint`].
pub fn turntable_scene(checkpoint: &Checkpoint) -> Result<Scene> {
    let facts = MeshFacts::from_checkpoint(checkpoint)?;
    let header = &checkpoint.header;
    let (low, high) = (header.unit_cube.to_scene(facts.low), header.unit_cube.to_scene(facts.high));
    let middle = vector![low[0] + high[0], low[1] + high[1], low[2] + high[2]] * 0.5;
    let radius = (Vector3::from(high) - middle).norm();
    Ok(Scene::turntable(&header.scene, header.unit_cube, middle.into(), radius))
}
