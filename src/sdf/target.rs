//! The mesh to which a field is fitted, mapped to the unit cube and prepared for distance queries.

use std::path::Path;

use crate::Result;
use crate::device::Device;
use crate::geometry::UnitCube;
use crate::mesh::{Bvh, Edges, Mesh, Sampler};

/// The ground-truth mesh.
pub struct Target {
    /// The mesh in the unit cube, with triangles facing outwards.
    pub mesh: Mesh,
    /// Hierarchy of the mesh for distances and signs.
    pub bvh: Bvh,
    /// Draws points on the mesh.
    pub sampler: Sampler,
    /// Counts over the edges of the mesh.
    pub edges: Edges,
    /// Longest side of the mesh's bounding box in the unit cube: the unit in which distances are reported.
    pub size: f32,
    /// Map from the mesh's own coordinates to the unit cube.
    pub unit_cube: UnitCube,
    /// Whether the file's triangles faced inwards and were flipped.
    pub was_inside_out: bool,
}

impl Target {
    /// Reads and prepares a mesh file, with coordinates relative to `origin`, or to what [`Mesh::read`] chooses.
    ///
    /// # Errors
    /// Returns the errors of [`Mesh::read`], and an error if the device fails.
    pub fn read(device: &Device, path: &Path, origin: Option<[f64; 3]>) -> Result<Self> {
        Target::new(device, Mesh::read(path, origin)?)
    }

    /// Maps a mesh to the unit cube and prepares it.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(device: &Device, mesh: Mesh) -> Result<Self> {
        let unit_cube = mesh.fit();
        let mut mesh = mesh.mapped([0.0; 3], |point| unit_cube.to_unit(point));
        let was_inside_out = mesh.face_outwards();
        let bvh = Bvh::new(device, &mesh)?;
        let sampler = bvh.sampler(device, &mesh)?;
        let (low, high) = mesh.bounds();
        let size = (0..3).map(|k| high[k] - low[k]).fold(0.0, f32::max);
        Ok(Target { edges: Edges::of(&mesh), size, mesh, bvh, sampler, unit_cube, was_inside_out })
    }

    /// Returns what the user should know about the mesh, one sentence per note.
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
