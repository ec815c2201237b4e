//! The crop box of nerfstudio's camera paths: a centre, the lengths of the sides, and a rotation.

use serde_json::{Value, json};

use crate::Result;
use crate::geometry::{Bounds, Corners, SceneBox};
use crate::scene::json::Node;

/// Returns a box as nerfstudio writes it; `crop` is in coordinates relative to `origin`.
pub(super) fn written(crop: &Corners, origin: &[f64; 3]) -> Value {
    let along = |value: fn(f64, f64) -> f64| [0, 1, 2].map(|k| value(crop.min[k], crop.max[k]));
    let (middle, sides) = (along(|low, high| 0.5 * (low + high)), along(|low, high| high - low));
    let center = [0, 1, 2].map(|k| middle[k] + origin[k]);
    json!({ "crop_center": center, "crop_scale": sides, "crop_rot": [0.0, 0.0, 0.0] })
}

/// Reads a box in the coordinates of the scene's files, relative to `origin`; None for a turned one.
///
/// # Errors
/// Returns an error if the box is malformed or empty.
pub(super) fn read(node: &Node, origin: &[f64; 3]) -> Result<Option<Bounds>> {
    let numbers = |key: &str, what: &str| node.require(key, what)?.numbers::<3>();
    let (center, sides) = (numbers("crop_center", "3 numbers")?, numbers("crop_scale", "3 lengths")?);
    if node.get("crop_rot").is_some_and(|rotation| !rotation.is_off()) {
        return Ok(None);
    }
    if !sides.iter().all(|&side| side > 0.0) {
        return Err(node.error("has a side that is not longer than 0; save the path again"));
    }
    let corner = |sign: f64| [0, 1, 2].map(|k| center[k] + 0.5 * sign * sides[k]);
    Ok(Some(SceneBox::new(corner(-1.0), corner(1.0))?.relative(origin)))
}
