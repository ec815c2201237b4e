//! Writes binary STL.

use std::io::{self, Write};

use super::Surface;
use crate::geometry::is_zero;
use crate::mesh::unit;

impl Surface<'_> {
    /// Writes binary STL: a header of 80 bytes, then each triangle with its normal.
    pub(super) fn write_stl(&self, file: &mut dyn Write) -> io::Result<()> {
        file.write_all(&[b' '; 80])?;
        file.write_all(&(self.mesh.triangles.len() as u32).to_le_bytes())?;
        for triangle in 0..self.mesh.triangles.len() {
            let normal = unit(self.mesh.cross(triangle));
            let corners = match is_zero(&self.mesh.origin) {
                true => self.mesh.corners(triangle),
                false => self.mesh.triangles[triangle].map(|vertex| self.place(vertex as usize).map(|x| x as f32)),
            };
            for number in normal.iter().chain(corners.as_flattened()) {
                file.write_all(&number.to_le_bytes())?;
            }
            file.write_all(&[0, 0])?;
        }
        Ok(())
    }
}
