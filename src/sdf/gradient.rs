//! The gradient of a distance field.

use nalgebra::Vector3;

use super::distances;
use crate::Result;
use crate::fit::Predictor;

/// k_c, the corners of a tetrahedron.
const CORNERS: [[f32; 3]; 4] = [[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]];

/// Computes ∇f at points of the unit cube by finite differences, 1/4h Σ_c k_c f(x + h k_c) with h = `step`. Points
/// nearer to the cube's faces than h are moved inwards to distance h from them.
///
/// # Errors
/// Returns an error if the device fails, or if the field gives a value that is not finite.
pub(super) fn gradients(predictor: &Predictor, points: &[[f32; 3]], step: f32) -> Result<Vec<Vector3<f32>>> {
    let around = |point: &[f32; 3]| {
        let middle = point.map(|x| x.clamp(step, 1.0 - step));
        CORNERS.map(|corner| std::array::from_fn(|k| middle[k] + step * corner[k]))
    };
    let corners: Vec<[f32; 3]> = points.iter().flat_map(around).collect();
    let values = distances(predictor, &corners)?;
    let gradient = |values: &[f32]| {
        let sum: Vector3<f32> = CORNERS.iter().zip(values).map(|(&corner, &value)| Vector3::from(corner) * value).sum();
        sum / (4.0 * step)
    };
    Ok(values.chunks(CORNERS.len()).map(gradient).collect())
}
