//! Maps from space to the field: which part of the world a model covers, and how evenly. `kernels/space.cuh` holds their
//! formulas, `docs/scenes.md` explains them.

use nalgebra::{Matrix3, Vector3};
use serde::{Deserialize, Serialize};

use super::{Camera, View};
use crate::{Error, Result};

/// How space is laid out in a field's unit cube.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "map", rename_all = "lowercase")]
pub enum Space {
    /// As it is: a box.
    #[default]
    Identity,
    /// Forward-facing scenes, in normalised device coordinates.
    Ndc(Ndc),
    /// Unbounded scenes, drawn together around the middle of the unit cube.
    Contraction,
}

/// The frustum of a forward-facing rig, which becomes the unit cube (NeRF, appendix C).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ndc {
    /// The rig's axes in the scene, of length 1: right, up and backwards.
    pub axes: [[f32; 3]; 3],
    /// The middle of the cameras, in scene coordinates.
    pub position: [f32; 3],
    /// Distance of the near plane from there, in scene units: what lies before it is not in the field.
    pub near: f32,
    /// Tangents of half the frustum's angles of width and of height.
    pub tangents: [f32; 2],
}

/// The share of the nearest depth at which the near plane lies: other cameras may see a little nearer (LLFF, NeRF).
const NEAR_SHARE: f64 = 0.75;

/// By how much the frustum is wider than what the cameras see.
const MARGIN: f64 = 1.02;

/// Cosine of the angle from the rig's axis at which a ray is no longer counted as forward-facing.
const LEAST_FORWARD: f64 = 0.2;

impl Ndc {
    /// The frustum that holds all rays of `views`, whose nearest content is `nearest` scene units before the cameras.
    ///
    /// # Errors
    /// Where the cameras do not face one way.
    pub fn of(views: &[View], nearest: f64) -> Result<Self> {
        let mean = |f: &dyn Fn(&Camera) -> [f32; 3]| -> Vector3<f64> {
            views.iter().map(|view| Vector3::from(f(&view.camera).map(f64::from))).sum::<Vector3<f64>>()
                / views.len().max(1) as f64
        };
        let position = mean(&Camera::position);
        let back = -mean(&Camera::forward);
        let right = mean(&Camera::up).cross(&back);
        let (Some(back), Some(right)) = (back.try_normalize(0.1), right.try_normalize(0.05)) else {
            return Err(apart());
        };
        let axes = Matrix3::from_columns(&[right, back.cross(&right), back]);
        let near = nearest * NEAR_SHARE;
        let mut tangents = [0.0f64; 2];
        for view in views {
            for (origin, direction) in corner_rays(&view.camera) {
                let (o, d) = (axes.transpose() * (origin - position), axes.transpose() * direction);
                if d.z > -LEAST_FORWARD || o.z <= -near {
                    return Err(apart());
                }
                let at_near = o + d * ((near + o.z) / -d.z);
                for axis in 0..2 {
                    let ends = [at_near[axis] / near, d[axis] / -d.z];
                    tangents[axis] = ends.iter().fold(tangents[axis], |most, end| most.max(end.abs()));
                }
            }
        }
        Ok(Ndc {
            axes: axes.column_iter().map(|axis| std::array::from_fn(|k| axis[k] as f32)).collect::<Vec<_>>().try_into().expect("three axes"),
            position: std::array::from_fn(|k| position[k] as f32),
            near: near as f32,
            tangents: tangents.map(|tangent| (tangent * MARGIN) as f32),
        })
    }
}

fn apart() -> Error {
    Error::config(
        "march.space is ndc, but the cameras do not all look one way at something before them; set march.space to \
         contraction or identity",
    )
}

/// Rays through the corners of an image and the middles of its sides.
fn corner_rays(camera: &Camera) -> impl Iterator<Item = (Vector3<f64>, Vector3<f64>)> + '_ {
    let (width, height) = (camera.intrinsics.width as f32, camera.intrinsics.height as f32);
    (0..9).map(move |i| {
        let (origin, direction) = camera.ray((i % 3) as f32 * 0.5 * width, (i / 3) as f32 * 0.5 * height);
        (Vector3::from(origin.map(f64::from)), Vector3::from(direction.map(f64::from)))
    })
}
