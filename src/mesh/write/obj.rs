use std::io::{self, Write};

use super::Surface;

impl Surface<'_> {
    /// Writes Wavefront OBJ. Colours follow the coordinates, where most programs look for them.
    pub(super) fn write_obj(&self, file: &mut dyn Write) -> io::Result<()> {
        for (i, [x, y, z]) in self.mesh.vertices.iter().enumerate() {
            write!(file, "v {x} {y} {z}")?;
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
}
