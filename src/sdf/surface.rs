//! Surface extraction from a distance field. Since the field gives the distance to its surface, a single evaluation is
//! enough to skip a whole block of points that is far from it.

use super::distances;
use crate::fit::Predictor;
use crate::mesh::{Lattice, Mesh, marching_cubes};
use crate::{Error, Result};

/// Number of points of a block along each axis, and number of layers of a slab.
const BLOCK: usize = 8;
/// A block may contain the surface if the distance at its middle is below this factor times the distance to the
/// farthest neighbouring point. The factor is above 1 because predicted distances are not exact.
const TRUST: f32 = 1.5;

/// Extracts the surface in the cells of a lattice over the unit cube. `progress` is called with the number of completed
/// layers.
///
/// # Errors
/// Returns an error if there is no surface in a lattice over the whole cube, if the device fails or the field gives a
/// value that is not finite, and the errors of [`marching_cubes`].
pub fn extract(predictor: &Predictor, lattice: &Lattice, progress: &mut dyn FnMut(usize)) -> Result<Mesh> {
    let [columns, rows, _] = lattice.points();
    let blocks = [columns, rows].map(|points| points.div_ceil(BLOCK));
    let resolution = lattice.resolution() as f32;
    // Distance from the middle of a block to the farthest point next to it, times `TRUST`.
    let reach = TRUST * 3f32.sqrt() * (0.5 * (BLOCK - 1) as f32 + 1.0) / resolution;
    let mesh = marching_cubes(lattice, BLOCK, |layers, values| {
        let middle = 0.5 * (BLOCK - 1) as f32 / resolution;
        let corners: Vec<[usize; 2]> = (0..blocks[0] * blocks[1])
            .map(|block| [block % blocks[0], block / blocks[0]].map(|at| at * BLOCK))
            .collect();
        let middles: Vec<[f32; 3]> =
            corners.iter().map(|&[x, y]| lattice.place([x, y, layers.start]).map(|c| c + middle)).collect();
        let coarse = distances(predictor, &middles)?;
        let mut asked = Vec::new();
        for (&[x0, y0], &distance) in corners.iter().zip(&coarse) {
            let is_near = distance.abs() < reach;
            for z in 0..layers.len() {
                for y in y0..rows.min(y0 + BLOCK) {
                    for x in x0..columns.min(x0 + BLOCK) {
                        let at = (z * rows + y) * columns + x;
                        if is_near { asked.push(at) } else { values[at] = distance }
                    }
                }
            }
        }
        let first = layers.start * lattice.layer();
        let places: Vec<[f32; 3]> = asked.iter().map(|at| lattice.place(lattice.corner(at + first))).collect();
        for (at, distance) in asked.into_iter().zip(distances(predictor, &places)?) {
            values[at] = distance;
        }
        progress(layers.end);
        Ok(())
    })?;
    if mesh.triangles.is_empty() && lattice.is_whole() {
        let what = "the field has no surface: its distances are nowhere below 0; train it for longer";
        return Err(Error::config(what));
    }
    Ok(mesh)
}
