//! Writes binary PLY.

use std::io::{self, Write};

use super::{Surface, eight_bits};
use crate::geometry::is_zero;

impl Surface<'_> {
    /// Writes binary PLY, little-endian; a point cloud has no element `face`. Coordinates are floats, or
    /// doubles if the mesh has an origin of its own.
    pub(super) fn write_ply(&self, file: &mut dyn Write) -> io::Result<()> {
        let mesh = self.mesh;
        writeln!(file, "ply\nformat binary_little_endian 1.0\nelement vertex {}", mesh.vertices.len())?;
        let in_double = !is_zero(&mesh.origin);
        let scalar = if in_double { "double" } else { "float" };
        writeln!(file, "property {scalar} x\nproperty {scalar} y\nproperty {scalar} z")?;
        if self.normals.is_some() {
            writeln!(file, "property float nx\nproperty float ny\nproperty float nz")?;
        }
        if self.colors.is_some() {
            writeln!(file, "property uchar red\nproperty uchar green\nproperty uchar blue")?;
        }
        if !mesh.triangles.is_empty() {
            writeln!(file, "element face {}\nproperty list uchar int vertex_indices", mesh.triangles.len())?;
        }
        writeln!(file, "end_header")?;
        for (i, vertex) in mesh.vertices.iter().enumerate() {
            match in_double {
                true => self.place(i).iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))?,
                false => vertex.iter().try_for_each(|number| file.write_all(&number.to_le_bytes()))?,
            }
            for number in self.normals.iter().flat_map(|normals| &normals[i]) {
                file.write_all(&number.to_le_bytes())?;
            }
            if let Some(colors) = self.colors {
                file.write_all(&colors[i].map(eight_bits))?;
            }
        }
        for triangle in &mesh.triangles {
            file.write_all(&[3])?;
            triangle.iter().try_for_each(|vertex| file.write_all(&vertex.to_le_bytes()))?;
        }
        Ok(())
    }
}
