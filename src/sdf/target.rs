//! The mesh that a field is fitted to, in the unit cube and ready to be asked how far it is.

use std::path::Path;

use crate::Result;
use crate::device::Device;
use crate::mesh::{Bvh, Edges, Mesh, Sampler};
use crate::scene::UnitCube;

/// A mesh as the truth.
pub struct Target {
    /// In the unit cube, facing outwards.
    pub mesh: Mesh,
    pub bvh: Bvh,
    pub sampler: Sampler,
    pub edges: Edges,
    /// The longest side of the mesh's box, in the unit cube: what distances are given in.
    pub size: f32,
    /// From the mesh's own coordinates.
    pub unit_cube: UnitCube,
    /// Whether the file's triangles ran clockwise, and were turned.
    pub was_inside_out: bool,
}

impl Target {
    /// # Errors
    /// As [`Mesh::read`]; of the device.
    pub fn read(device: &Device, path: &Path) -> Result<Self> {
        Target::new(device, Mesh::read(path)?)
    }

    /// # Errors
    /// Of the device.
    pub fn new(device: &Device, mesh: Mesh) -> Result<Self> {
        let unit_cube = mesh.fit();
        let mut mesh = mesh.mapped(|point| unit_cube.to_unit(point));
        let was_inside_out = mesh.face_outwards();
        let bvh = Bvh::new(device, &mesh)?;
        let sampler = bvh.sampler(device, &mesh)?;
        let (low, high) = mesh.bounds();
        let size = (0..3).map(|k| high[k] - low[k]).fold(0.0, f32::max);
        Ok(Target { edges: Edges::of(&mesh), size, mesh, bvh, sampler, unit_cube, was_inside_out })
    }

    /// What the user should know of the mesh, a sentence each.
    pub fn notes(&self) -> Vec<String> {
        let Edges { boundary, flipped, crowded, .. } = self.edges;
        let mut notes = Vec::new();
        if boundary > 0 {
            notes.push(format!(
                "the mesh has {boundary} boundary edges, where its surface ends; what is inside is taken from winding numbers, \
                 which close holes smoothly"
            ));
        }
        if flipped > 0 {
            notes.push(format!(
                "at {flipped} edges of the mesh, triangles face opposite sides, so that inside and outside may be mistaken there; \
                 make its normals consistent"
            ));
        }
        if crowded > 0 {
            notes.push(format!("{crowded} edges of the mesh have more than two triangles"));
        }
        if self.was_inside_out {
            notes.push("the mesh's triangles face inwards, and were turned".to_owned());
        }
        notes
    }
}
