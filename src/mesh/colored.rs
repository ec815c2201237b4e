//! A surface with everything that is written to its file.

use super::{Mesh, Surface, Texture};
use crate::geometry::Upright;

/// A surface, or a point cloud if it has no triangles, with normals and colours.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColoredMesh {
    /// Vertices and triangles.
    pub mesh: Mesh,
    /// Unit normal of each vertex.
    pub normals: Vec<[f32; 3]>,
    /// Colour of each vertex, sRGB from 0 to 1, if the field has any and there is no texture.
    pub colors: Option<Vec<[f32; 3]>>,
    /// Colours between the vertices.
    pub texture: Option<Texture>,
}

impl ColoredMesh {
    /// Turns the surface, its normals and its origin.
    pub fn turn(&mut self, upright: &Upright) {
        let vectors = self.mesh.vertices.iter_mut().chain(&mut self.normals);
        vectors.for_each(|vector| *vector = upright.turn(*vector));
        self.mesh.origin = upright.turn_origin(self.mesh.origin);
    }

    /// Returns what is written to a file.
    pub fn surface(&self) -> Surface<'_> {
        Surface {
            mesh: &self.mesh,
            normals: Some(&self.normals),
            colors: self.colors.as_deref(),
            texture: self.texture.as_ref(),
        }
    }
}
