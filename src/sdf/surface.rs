//! Surface extraction from a distance field. Since the field gives the distance to its surface, a single evaluation is
//! enough to skip a whole block of points that is far from it.

use super::distances;
use crate::fit::Predictor;
use crate::mesh::{Mesh, marching_cubes};
use crate::{Error, Result};

/// Number of points of a block along each axis, and number of layers of a slab.
const BLOCK: usize = 8;
/// A block may contain the surface if the distance at its middle is below this factor times the distance to the
/// farthest neighbouring point. The factor is above 1 because predicted distances are not exact.
const TRUST: f32 = 1.5;

/// Extracts the surface at `resolution` cells per axis of the unit cube. `progress` is called with the number of
/// completed layers.
///
/// # Errors
/// Returns an error if the field has no surface, if the device fails or the field gives a value that
/// is not finite, and the errors of [`marching_cubes`].
pub fn extract(predictor: &Predictor, resolution: usize, progress: &mut dyn FnMut(usize)) -> Result<Mesh> {
    let points = resolution + 1;
    let blocks = points.div_ceil(BLOCK);
    let place = |corner: [usize; 3]| corner.map(|c| c as f32 / resolution as f32);
    // Distance from the middle of a block to the farthest point next to it, times `TRUST`.
    let reach = TRUST * 3f32.sqrt() * (0.5 * (BLOCK - 1) as f32 + 1.0) / resolution as f32;
    let mesh = marching_cubes(resolution, BLOCK, |layers, values| {
        let middle = 0.5 * (BLOCK - 1) as f32 / resolution as f32;
        let corners: Vec<[usize; 2]> =
            (0..blocks * blocks).map(|block| [block % blocks * BLOCK, block / blocks * BLOCK]).collect();
        let middles: Vec<[f32; 3]> =
            corners.iter().map(|&[x, y]| place([x, y, layers.start]).map(|c| c + middle)).collect();
        let coarse = distances(predictor, &middles)?;
        let mut asked = Vec::new();
        for (&[x0, y0], &distance) in corners.iter().zip(&coarse) {
            let is_near = distance.abs() < reach;
            for z in 0..layers.len() {
                for y in y0..points.min(y0 + BLOCK) {
                    for x in x0..points.min(x0 + BLOCK) {
                        let at = (z * points + y) * points + x;
                        if is_near { asked.push(at) } else { values[at] = distance }
                    }
                }
            }
        }
        let places: Vec<[f32; 3]> = asked
            .iter()
            .map(|at| place([at % points, at / points % points, at / points / points + layers.start]))
            .collect();
        for (at, distance) in asked.into_iter().zip(distances(predictor, &places)?) {
            values[at] = distance;
        }
        progress(layers.end);
        Ok(())
    })?;
    if !mesh.triangles.is_empty() {
        return Ok(mesh);
    }
    Err(Error::config("the field has no surface: its distances are nowhere below 0; train it for longer"))
}
