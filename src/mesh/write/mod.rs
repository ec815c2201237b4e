//! Writing of mesh files: PLY, OBJ, STL and GLB, completely or not at all.

mod glb;
mod obj;
mod ply;
mod stl;

use std::path::{Path, PathBuf};

use super::{Mesh, Texture};
use crate::geometry::is_zero;
use crate::{Error, Result, atomic, names};

/// A surface, or a point cloud if the mesh has no triangles.
#[derive(Clone, Copy)]
pub struct Surface<'a> {
    /// Vertices and triangles.
    pub mesh: &'a Mesh,
    /// Unit normal of each vertex.
    pub normals: Option<&'a [[f32; 3]]>,
    /// Colour of each vertex, sRGB from 0 to 1.
    pub colors: Option<&'a [[f32; 3]]>,
    /// Colours between the vertices.
    pub texture: Option<&'a Texture>,
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

    /// Returns whether files of this format can have a texture.
    pub fn has_textures(self) -> bool {
        matches!(self, MeshFormat::Obj | MeshFormat::Glb)
    }
}

/// Returns the files of the materials and of the image that belong to a Wavefront OBJ with a texture: those of its
/// name, with `_` for spaces, at which readers of OBJ files end a name.
fn companions(path: &Path) -> [PathBuf; 2] {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().replace(char::is_whitespace, "_");
    ["mtl", "png"].map(|extension| path.with_file_name(format!("{stem}.{extension}")))
}

impl Surface<'_> {
    /// Writes the file `path`, and for Wavefront OBJ with a texture `.mtl` and `.png` files beside it, all completely
    /// or none at all. Returns the files.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written, if the surface is too large for the format, or if it has a texture
    /// and the format cannot have one.
    pub fn write(&self, path: &Path, format: MeshFormat) -> Result<Vec<PathBuf>> {
        if self.texture.is_some() && !format.has_textures() {
            return Err(Error::file(path, "textures are written to .glb and .obj files; choose one of these"));
        }
        if format == MeshFormat::Glb && self.glb_bytes() > u64::from(u32::MAX) {
            return Err(Error::file(
                path,
                "is beyond the 4 GiB that a GLB file holds; write .ply, or lower the resolution",
            ));
        }
        if let (MeshFormat::Obj, Some(texture)) = (format, self.texture) {
            return self.write_textured_obj(path, texture);
        }
        atomic::write(path, |file| match format {
            MeshFormat::Ply => self.write_ply(file),
            MeshFormat::Obj => self.write_obj(file, ""),
            MeshFormat::Stl => self.write_stl(file),
            MeshFormat::Glb => self.write_glb(file),
        })?;
        Ok(vec![path.to_path_buf()])
    }

    fn write_textured_obj(&self, path: &Path, texture: &Texture) -> Result<Vec<PathBuf>> {
        let [materials, image] = companions(path);
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // The file that names the others comes last.
        atomic::write_together(&[
            (&image, &|file| file.write_all(&texture.png)),
            (&materials, &|file| Surface::write_mtl(file, &name(&image))),
            (path, &|file| self.write_obj(file, &name(&materials))),
        ])?;
        Ok(vec![path.to_path_buf(), materials, image])
    }

    /// Returns a note on what a format that stores only single precision does to a surface whose coordinates are large
    /// compared with its extent; `None` if there is nothing to say.
    pub fn rounding(&self, format: MeshFormat) -> Option<String> {
        let origin = self.mesh.origin;
        let farthest = origin.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let step = f64::from(f32::EPSILON) * farthest.log2().floor().exp2();
        match format {
            _ if is_zero(&origin) => None,
            MeshFormat::Ply | MeshFormat::Obj => None,
            MeshFormat::Stl => Some(format!(
                "STL has numbers of single precision, which at this distance from the origin are multiples of {step}; \
                 .ply and .obj keep the shape"
            )),
            MeshFormat::Glb => Some(format!(
                "GLB has vertices of single precision, so they are relative to {origin:?}, which is the translation of \
                 their node; programs that add the two in single precision round to multiples of {step}"
            )),
        }
    }

    /// Returns the position of a vertex in the coordinates of the file.
    fn place(&self, vertex: usize) -> [f64; 3] {
        let (relative, origin) = (self.mesh.vertices[vertex], self.mesh.origin);
        std::array::from_fn(|k| f64::from(relative[k]) + origin[k])
    }
}

/// Converts a colour from 0 to 1 to eight bits.
fn eight_bits(color: f32) -> u8 {
    (color.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Atlas;

    fn pyramid() -> Mesh {
        Mesh {
            vertices: vec![[0.0; 3], [1.5, 0.0, 0.0], [0.0, 1.0, -3e-5], [0.0, 0.1, 1.0]],
            triangles: vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]],
            ..Mesh::default()
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
                let surface = Surface { mesh: &mesh, normals, colors, texture: None };
                surface.write(&path, MeshFormat::of(&path).unwrap()).unwrap();
                let again = Mesh::read(&path, None).unwrap();
                // STL does not keep the order of vertices.
                let corners = |mesh: &Mesh| (0..4).map(|t| mesh.corners(t)).collect::<Vec<_>>();
                assert_eq!(corners(&again), corners(&mesh), "{name}");
                assert_eq!(again.vertices.len(), 4, "{name}");
            }
        }
    }

    #[test]
    fn surfaces_far_from_the_origin_stay_there_and_keep_their_shape() {
        let folder = tempfile::tempdir().unwrap();
        let mesh = Mesh { origin: [441547.5, 5121946.25, -345.0], ..pyramid() };
        let surface = Surface { mesh: &mesh, normals: None, colors: None, texture: None };
        let places = |mesh: &Mesh| -> Vec<f64> {
            let corners = (0..4).flat_map(|triangle| mesh.corners(triangle));
            corners
                .flat_map(|corner| std::array::from_fn::<f64, 3, _>(|k| f64::from(corner[k]) + mesh.origin[k]))
                .collect()
        };
        for (name, tolerance) in [("a.ply", 1e-7), ("a.obj", 2e-7), ("a.glb", 1e-7), ("a.stl", 0.26)] {
            let path = folder.path().join(name);
            let format = MeshFormat::of(&path).unwrap();
            surface.write(&path, format).unwrap();
            let again = Mesh::read(&path, None).unwrap();
            let apart = places(&again).iter().zip(places(&mesh)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart <= tolerance, "{name}: {apart}");
            assert_eq!(
                surface.rounding(format).is_some(),
                matches!(format, MeshFormat::Stl | MeshFormat::Glb),
                "{name}"
            );
        }
        assert!(surface.rounding(MeshFormat::Stl).unwrap().contains("multiples of 0.5"));
        let near = pyramid();
        assert_eq!(Surface { mesh: &near, ..surface }.rounding(MeshFormat::Stl), None);
    }

    #[test]
    fn textured_surfaces_keep_their_shape_and_all_files_or_none_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let (mesh, atlas) = (pyramid(), Atlas::new(32, 4).unwrap());
        let normals = mesh.vertex_normals();
        let texture = Texture { atlas, png: b"an image".to_vec() };
        for normals in [None, Some(&normals[..])] {
            let surface = Surface { mesh: &mesh, normals, colors: None, texture: Some(&texture) };
            for name in ["a.glb", "a b.obj"] {
                let path = folder.path().join(name);
                let written = surface.write(&path, MeshFormat::of(&path).unwrap()).unwrap();
                let again = Mesh::read(&path, None).unwrap();
                let corners = |mesh: &Mesh| (0..4).map(|t| mesh.corners(t)).collect::<Vec<_>>();
                assert_eq!((corners(&again), again.vertices.len()), (corners(&mesh), 4), "{name}");
                assert!(written.iter().all(|path| path.is_file()));
            }
            let text = std::fs::read_to_string(folder.path().join("a b.obj")).unwrap();
            assert!(text.starts_with("mtllib a_b.mtl\n") && text.contains("\nusemtl baked\n"), "{text}");
            assert_eq!(text.lines().filter(|line| line.starts_with("vt ")).count(), 12);
            assert!(std::fs::read_to_string(folder.path().join("a_b.mtl")).unwrap().ends_with("map_Kd a_b.png\n"));
            assert_eq!(std::fs::read(folder.path().join("a_b.png")).unwrap(), b"an image");
            let error = surface.write(&folder.path().join("a.ply"), MeshFormat::Ply).unwrap_err().to_string();
            assert!(error.contains("choose one of these") && !folder.path().join("a.ply").exists(), "{error}");
        }
        // With a folder in the place of the second file, the first and the third stay as they were.
        let path = folder.path().join("b.obj");
        std::fs::create_dir(folder.path().join("b.mtl")).unwrap();
        let surface = Surface { mesh: &mesh, normals: None, colors: None, texture: Some(&texture) };
        let error = surface.write(&path, MeshFormat::Obj).unwrap_err().to_string();
        assert!(error.contains("b.mtl: cannot be written, as a folder stands there"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 5, "nothing of b.obj");
    }

    #[test]
    fn formats_go_by_extension() {
        assert_eq!(MeshFormat::of(Path::new("a/b.GLB")).unwrap(), MeshFormat::Glb);
        assert!(MeshFormat::of(Path::new("a/ply")).unwrap_err().to_string().contains("say --format"));
    }
}
