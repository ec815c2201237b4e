use std::io::{self, Write};

use super::Surface;
use crate::geometry::is_zero;

impl Surface<'_> {
    /// Writes Wavefront OBJ. Colours follow the coordinates, where most programs look for them.
    pub(super) fn write_obj(&self, file: &mut dyn Write) -> io::Result<()> {
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
        for triangle in &self.mesh.triangles {
            let [a, b, c] = triangle.map(|vertex| u64::from(vertex) + 1);
            match self.normals {
                Some(_) => writeln!(file, "f {a}//{a} {b}//{b} {c}//{c}")?,
                None => writeln!(file, "f {a} {b} {c}")?,
            }
        }
        Ok(())
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
