//! The surface of a distance field. Since the field tells how far its surface is, whole blocks of points without one are passed
//! over after a single question.

use super::distances;
use crate::fit::Predictor;
use crate::mesh::{Mesh, marching_cubes};
use crate::{Error, Result};

/// Points of a block along each axis; a slab is as thick.
const BLOCK: usize = 8;
/// A block may hold the surface where the distance at its middle is below the way to its farthest neighbouring point times
/// this: fitted distances are no exact ones.
const TRUST: f32 = 1.5;

/// The surface at `resolution` cells per axis of the unit cube; `progress` is told how many layers are done.
///
/// # Errors
/// Where the field has no surface; as [`marching_cubes`].
pub fn extract(predictor: &Predictor, resolution: usize, progress: &mut dyn FnMut(usize)) -> Result<Mesh> {
    let points = resolution + 1;
    let blocks = points.div_ceil(BLOCK);
    let place = |corner: [usize; 3]| corner.map(|c| c as f32 / resolution as f32);
    // From the middle of a block to the farthest point next to it.
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
