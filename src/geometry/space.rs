//! Maps from space to the field: which part of the world a model covers, and how evenly. `kernels/radiance/space.cuh`
//! contains their formulas, and `docs/scenes.md` explains them.

use nalgebra::{Matrix3, Vector3};
use serde::{Deserialize, Serialize};

use super::{Camera, pose};
use crate::{Error, Result};

/// How space is mapped to a field's unit cube.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "map", rename_all = "lowercase")]
pub enum Space {
    /// No mapping: a box.
    #[default]
    Identity,
    /// Normalized device coordinates, for forward-facing scenes.
    Ndc(Ndc),
    /// Unbounded scenes, contracted around the centre of the unit cube.
    Contraction,
}

impl Space {
    /// Describes the map, for scene coordinates relative to `origin`.
    pub fn describe(&self, origin: &[f64; 3]) -> String {
        match self {
            Space::Identity => "space as it is".to_owned(),
            Space::Contraction => "space contracted around the unit cube's middle".to_owned(),
            Space::Ndc(ndc) => {
                let [width, height] = ndc.tangents.map(|tangent| 2.0 * tangent.atan().to_degrees());
                let near = ndc.near;
                let at: [f64; 3] = std::array::from_fn(|k| f64::from(ndc.frame[k][3]) + origin[k]);
                format!(
                    "normalized device coordinates of a frustum of {width:.1}° by {height:.1}° from {at:.3?}, near plane at {near:.4}"
                )
            }
        }
    }
}

/// The frustum of a forward-facing rig, which is mapped to the unit cube (NeRF, appendix C).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ndc {
    /// Pose of the rig: a row-major 3×4 camera-to-world matrix with orthonormal axes, in scene coordinates.
    pub frame: [[f32; 4]; 3],
    /// Distance of the near plane from the rig's position, in scene units. The field does not cover what lies in front
    /// of the near plane.
    pub near: f32,
    /// Tangents of half the frustum's horizontal and vertical angles.
    pub tangents: [f32; 2],
}

/// Depth of the near plane as a fraction of the nearest depth: other cameras may see slightly closer (LLFF, NeRF).
const NEAR_SHARE: f64 = 0.75;

/// Factor by which the frustum is wider than what the cameras see.
const MARGIN: f64 = 1.02;

/// Cosine of the angle to the rig's axis at which a ray no longer counts as forward-facing.
const LEAST_FORWARD: f64 = 0.17;

impl Ndc {
    /// Returns the frustum that holds all rays of `cameras`, whose nearest content is `nearest` scene units in front of
    /// the cameras.
    ///
    /// # Errors
    /// Returns an error if the cameras do not face one way.
    pub fn of<'a>(cameras: impl Iterator<Item = &'a Camera> + Clone, nearest: f64) -> Result<Self> {
        let frame = pose::average(cameras.clone());
        let column = |axis: usize| Vector3::from_fn(|row, _| f64::from(frame[row][axis]));
        let axes = Matrix3::from_columns(&[0, 1, 2].map(column));
        let near = nearest * NEAR_SHARE;
        let mut tangents = [0.0f64; 2];
        for (origin, direction) in cameras.flat_map(border_rays) {
            let (o, d) = (axes.transpose() * (origin - column(3)), axes.transpose() * direction);
            if d.z > -LEAST_FORWARD || o.z <= -near {
                return Err(apart());
            }
            let at_near = o + d * ((near + o.z) / -d.z);
            for axis in 0..2 {
                let ends = [at_near[axis] / near, d[axis] / -d.z];
                tangents[axis] = ends.iter().fold(tangents[axis], |most, end| most.max(end.abs()));
            }
        }
        Ok(Ndc { frame, near: near as f32, tangents: tangents.map(|tangent| (tangent * MARGIN) as f32) })
    }
}

fn apart() -> Error {
    Error::config(
        "march.space is ndc, but the cameras do not all look one way at something that lies before all of them; set \
         march.space to contraction",
    )
}

/// Returns rays through the corners of an image, the midpoints of its sides and its centre.
fn border_rays(camera: &Camera) -> impl Iterator<Item = (Vector3<f64>, Vector3<f64>)> + '_ {
    let (width, height) = (camera.intrinsics.width as f32, camera.intrinsics.height as f32);
    (0..9).map(move |i| {
        let (origin, direction) = camera.ray((i % 3) as f32 * 0.5 * width, (i / 3) as f32 * 0.5 * height);
        (Vector3::from(origin.map(f64::from)), Vector3::from(direction.map(f64::from)))
    })
}
