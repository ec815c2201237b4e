//! Writes Wavefront OBJ, and the material file of a textured surface.

use std::io::{self, Write};

use super::Surface;
use crate::geometry::is_zero;

/// Name of the material of a texture.
const MATERIAL: &str = "baked";

impl Surface<'_> {
    /// Writes Wavefront OBJ, whose materials are in the file `materials` if it has a texture. Colours follow the
    /// coordinates, where most programs look for them.
    pub(super) fn write_obj(&self, file: &mut dyn Write, materials: &str) -> io::Result<()> {
        if self.texture.is_some() {
            writeln!(file, "mtllib {materials}")?;
        }
        let decimals = self.decimals();
        for (i, [x, y, z]) in self.mesh.vertices.iter().enumerate() {
            match decimals {
                None => write!(file, "v {x} {y} {z}")?,
                Some(decimals) => {
                    let [x, y, z] = self.place(i);
                    write!(file, "v {x:.decimals$} {y:.decimals$} {z:.decimals$}")?;
                }
            }
            match self.colors.map(|colors| colors[i].map(|color| color.clamp(0.0, 1.0))) {
                Some([r, g, b]) => writeln!(file, " {r:.4} {g:.4} {b:.4}")?,
                None => writeln!(file)?,
            }
        }
        for [x, y, z] in self.normals.unwrap_or(&[]) {
            writeln!(file, "vn {x:.5} {y:.5} {z:.5}")?;
        }
        if let Some(texture) = self.texture {
            for [u, v] in (0..self.mesh.triangles.len()).flat_map(|triangle| texture.atlas.corners(triangle)) {
                // In OBJ files, v points up.
                writeln!(file, "vt {u:.6} {:.6}", 1.0 - v)?;
            }
            writeln!(file, "usemtl {MATERIAL}")?;
        }
        for (number, triangle) in self.mesh.triangles.iter().enumerate() {
            write!(file, "f")?;
            for (corner, vertex) in triangle.iter().map(|vertex| u64::from(*vertex) + 1).enumerate() {
                let of_texture = 3 * number + corner + 1;
                match (self.texture, self.normals) {
                    (Some(_), Some(_)) => write!(file, " {vertex}/{of_texture}/{vertex}")?,
                    (Some(_), None) => write!(file, " {vertex}/{of_texture}")?,
                    (None, Some(_)) => write!(file, " {vertex}//{vertex}")?,
                    (None, None) => write!(file, " {vertex}")?,
                }
            }
            writeln!(file)?;
        }
        Ok(())
    }

    /// Writes the file of materials that belongs to a Wavefront OBJ with a texture, whose image is the file `image`.
    pub(super) fn write_mtl(file: &mut dyn Write, image: &str) -> io::Result<()> {
        // Ambient and diffuse colour 1 and the illumination model 0, constant colour: the texture as it is.
        writeln!(file, "newmtl {MATERIAL}\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 0\nmap_Kd {image}")
    }

    /// Returns the number of decimals that resolve the coordinates of a mesh with an origin of its own as finely as
    /// single precision resolves its extent.
    fn decimals(&self) -> Option<usize> {
        let (low, high) = self.mesh.bounds();
        let extent = (0..3).map(|k| f64::from(high[k]) - f64::from(low[k])).fold(0.0, f64::max);
        let needed = -(extent * f64::from(f32::EPSILON)).log10();
        (!is_zero(&self.mesh.origin)).then(|| needed.ceil().clamp(0.0, 17.0) as usize)
    }
}
