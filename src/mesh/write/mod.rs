//! Writing of mesh files: PLY, OBJ, STL and GLB, completely or not at all.

mod glb;
mod obj;
mod ply;
mod stl;

use std::path::Path;

use super::Mesh;
use crate::{Error, Result, atomic, names};

/// A surface, or a point cloud if the mesh has no triangles.
#[derive(Clone, Copy)]
pub struct Surface<'a> {
    /// Vertices and triangles.
    pub mesh: &'a Mesh,
    /// One for each vertex, of length 1.
    pub normals: Option<&'a [[f32; 3]]>,
    /// One for each vertex, sRGB from 0 to 1.
    pub colors: Option<&'a [[f32; 3]]>,
}

/// File format of a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum MeshFormat {
    /// Binary PLY with normals and colours
    Ply,
    /// Wavefront OBJ, text, with normals and with colours after the coordinates
    Obj,
    /// Binary STL: triangles only
    Stl,
    /// Binary glTF with normals and colours
    Glb,
}

impl MeshFormat {
    /// Returns the format that the extension of a file name stands for.
    ///
    /// # Errors
    /// Returns an error if it stands for none.
    pub fn of(path: &Path) -> Result<MeshFormat> {
        match names::extension(path).as_str() {
            "ply" => Ok(MeshFormat::Ply),
            "obj" => Ok(MeshFormat::Obj),
            "stl" => Ok(MeshFormat::Stl),
            "glb" => Ok(MeshFormat::Glb),
            _ => Err(Error::file(path, "a mesh is written as .ply, .obj, .stl or .glb; choose one, or say --format")),
        }
    }
}

impl Surface<'_> {
    /// Writes the file `path`, completely or not at all.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written, or if the surface is too large for the format.
    pub fn write(&self, path: &Path, format: MeshFormat) -> Result<()> {
        if format == MeshFormat::Glb && self.glb_bytes() > u64::from(u32::MAX) {
            return Err(Error::file(
                path,
                "is beyond the 4 GiB that a GLB file holds; write .ply, or lower the resolution",
            ));
        }
        atomic::write(path, |file| match format {
            MeshFormat::Ply => self.write_ply(file),
            MeshFormat::Obj => self.write_obj(file),
            MeshFormat::Stl => self.write_stl(file),
            MeshFormat::Glb => self.write_glb(file),
        })
    }
}

/// Converts a colour from 0 to 1 to eight bits.
fn eight_bits(color: f32) -> u8 {
    (color.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pyramid() -> Mesh {
        Mesh {
            vertices: vec![[0.0; 3], [1.5, 0.0, 0.0], [0.0, 1.0, -3e-5], [0.0, 0.1, 1.0]],
            triangles: vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]],
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mesh = pyramid();
        let normals = mesh.vertex_normals();
        let colors = [[0.0, 0.5, 1.0]; 4];
        for name in ["a.ply", "a.obj", "a.stl", "a.glb"] {
            let path = folder.path().join(name);
            for (normals, colors) in [(None, None), (Some(&normals[..]), None), (Some(&normals[..]), Some(&colors[..]))]
            {
                let surface = Surface { mesh: &mesh, normals, colors };
                surface.write(&path, MeshFormat::of(&path).unwrap()).unwrap();
                let again = Mesh::read(&path).unwrap();
                // STL does not keep the order of vertices.
                let corners = |mesh: &Mesh| (0..4).map(|t| mesh.corners(t)).collect::<Vec<_>>();
                assert_eq!(corners(&again), corners(&mesh), "{name}");
                assert_eq!(again.vertices.len(), 4, "{name}");
            }
        }
    }

    #[test]
    fn formats_go_by_extension() {
        assert_eq!(MeshFormat::of(Path::new("a/b.GLB")).unwrap(), MeshFormat::Glb);
        assert!(MeshFormat::of(Path::new("a/ply")).unwrap_err().to_string().contains("say --format"));
    }
}
