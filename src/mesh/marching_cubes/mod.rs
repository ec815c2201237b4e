//! Extraction of surfaces from fields: marching cubes over the unit cube or a part of it, slab by slab, so that only a
//! few layers of the field's values are in memory at a time.

mod lattice;
mod table;

pub use lattice::Lattice;

use std::ops::Range;

use super::{MOST_TRIANGLES, Mesh};
use crate::{Error, Result, memory};

/// Least distance of vertices from the grid corners, in sides of a cell. Without it, a surface that passes through a
/// corner would have many vertices at one place.
const LEAST_SHARE: f32 = 1e-3;
/// Vertex number of an edge that the surface does not cross.
const NO_VERTEX: u32 = u32::MAX;

/// Extracts the surface where a field is zero in the cells of a lattice, with shared vertices.
///
/// `fill(layers, values)` sets the field at the points of some layers, `values[z, y, x]`, negative inside. It is called
/// for `slab` layers at a time, from z = 0 on. Whatever the values are, the surface is capped where the inside reaches
/// the faces of the unit cube. It is open only where the lattice ends inside the cube; over the whole cube it is
/// closed.
///
/// # Errors
/// Returns the errors of `fill`, and an error if the field is not finite or the surface has more than
/// [`MOST_TRIANGLES`] triangles.
pub fn marching_cubes(
    lattice: &Lattice,
    slab: usize,
    mut fill: impl FnMut(Range<usize>, &mut [f32]) -> Result<()>,
) -> Result<Mesh> {
    let (points, layer) = (lattice.points()[2], lattice.layer());
    // Values of a slab and of the layer below it, five layers of vertex numbers, and the surface itself, estimated at a
    // few layers.
    let bytes = (layer * size_of::<f32>()) as f64 * (slab.min(points) + 6 + 16) as f64;
    let what = format!("a surface at the resolution {}", lattice.resolution());
    memory::require(&what, bytes, "lower --resolution")?;
    let mut surface = Surface::new(lattice);
    let mut values = vec![0.0; slab * layer];
    for first in (0..points).step_by(slab) {
        let layers = first..points.min(first + slab);
        let values = &mut values[..layers.len() * layer];
        fill(layers.clone(), values)?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Error::config(
                "the field gives values that are not finite, so that its training diverged; use an earlier checkpoint",
            ));
        }
        for (z, values) in layers.zip(values.chunks_mut(layer)) {
            close(lattice, z, values);
            surface.add_layer(z, values)?;
        }
    }
    Ok(surface.mesh)
}

/// Moves points of a layer that are inside to the outside if they lie on a face of the unit cube.
fn close(lattice: &Lattice, z: usize, values: &mut [f32]) {
    let whole = lattice.is_on_face(2, z);
    for (at, value) in values.iter_mut().enumerate().filter(|(_, value)| **value < 0.0) {
        let [x, y, _] = lattice.corner(at);
        if whole || lattice.is_on_face(0, x) || lattice.is_on_face(1, y) {
            *value = -*value;
        }
    }
}

/// The surface below the most recently added layer.
struct Surface<'a> {
    lattice: &'a Lattice,
    mesh: Mesh,
    /// Values of the most recently added layer.
    below: Vec<f32>,
    /// Numbers of the vertices on the edges that begin at each point of a layer: along x and y, in the previous and the
    /// last layer. `upright` has those along z between the two layers.
    flat: [[Vec<u32>; 2]; 2],
    upright: Vec<u32>,
}

impl<'a> Surface<'a> {
    fn new(lattice: &'a Lattice) -> Self {
        let layer = lattice.layer();
        let edges = || vec![NO_VERTEX; layer];
        Surface {
            lattice,
            mesh: Mesh::default(),
            below: vec![0.0; layer],
            flat: [[edges(), edges()], [edges(), edges()]],
            upright: edges(),
        }
    }

    fn add_layer(&mut self, z: usize, values: &[f32]) -> Result<()> {
        self.flat.swap(0, 1);
        self.place_flat(z, values);
        if z > 0 {
            self.place_upright(z - 1, values);
            self.march(values);
        }
        self.below.copy_from_slice(values);
        if self.mesh.triangles.len() <= MOST_TRIANGLES {
            return Ok(());
        }
        Err(Error::config(format!(
            "the surface has more than {MOST_TRIANGLES} triangles at the resolution {}; lower --resolution",
            self.lattice.resolution()
        )))
    }

    /// Places vertices on the edges of a layer along x and y.
    fn place_flat(&mut self, z: usize, values: &[f32]) {
        let [points, rows, _] = self.lattice.points();
        let [_, [along_x, along_y]] = &mut self.flat;
        for at in 0..values.len() {
            let (x, y) = (at % points, at / points);
            let corner = [x, y, z];
            let from = values[at];
            let to_x = if x + 1 < points { values[at + 1] } else { from };
            let to_y = if y + 1 < rows { values[at + points] } else { from };
            along_x[at] = place(&mut self.mesh, self.lattice, corner, 0, from, to_x);
            along_y[at] = place(&mut self.mesh, self.lattice, corner, 1, from, to_y);
        }
    }

    /// Places vertices on the edges from layer z to the next.
    fn place_upright(&mut self, z: usize, above: &[f32]) {
        let [points, ..] = self.lattice.points();
        for (at, (&from, &to)) in self.below.iter().zip(above).enumerate() {
            self.upright[at] = place(&mut self.mesh, self.lattice, [at % points, at / points, z], 2, from, to);
        }
    }

    /// Adds the triangles of the cells between the last layer and the one above it.
    fn march(&mut self, above: &[f32]) {
        let [points, rows, _] = self.lattice.points();
        let table = &*table::TRIANGLES;
        for y in 0..rows - 1 {
            // Corners at x, in the order of the bits y and z; those at x + 1 are added as x advances.
            let column = |x: usize| {
                let at = y * points + x;
                let corners = [self.below[at], self.below[at + points], above[at], above[at + points]];
                (0..4).fold(0u8, |bits, i| bits | u8::from(corners[i] < 0.0) << (2 * i))
            };
            let mut here = column(0);
            for x in 0..points - 1 {
                let next = column(x + 1);
                let inside = here | next << 1;
                here = next;
                for triangle in &table[inside as usize] {
                    let vertices = triangle.map(|edge| self.vertex(edge, y * points + x, points));
                    self.mesh.triangles.push(vertices);
                }
            }
        }
    }

    /// Returns the vertex on an edge of the cell whose lowest corner is at `at`.
    fn vertex(&self, edge: u8, at: usize, points: usize) -> u32 {
        let corner = table::lower_corner(edge);
        let at = at + usize::from(corner & 1) + usize::from(corner >> 1 & 1) * points;
        match edge / 4 {
            2 => self.upright[at],
            axis => self.flat[usize::from(corner >> 2)][usize::from(axis)][at],
        }
    }
}

/// Adds a vertex where the field crosses zero between a corner and the next one along an axis, if it does.
fn place(mesh: &mut Mesh, lattice: &Lattice, corner: [usize; 3], axis: usize, from: f32, to: f32) -> u32 {
    if (from < 0.0) == (to < 0.0) {
        return NO_VERTEX;
    }
    let share = (from / (from - to)).clamp(LEAST_SHARE, 1.0 - LEAST_SHARE);
    mesh.vertices.push(lattice.beyond(corner, axis, share));
    mesh.vertices.len() as u32 - 1
}
