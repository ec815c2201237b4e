//! Readers of mesh files, chosen by extension. Every reader takes the file as bytes and returns a sentence if it
//! refuses the file; the file's name is added here.

mod gltf;
mod obj;
pub mod ply;
mod polygon;
mod raw;
mod stl;

use std::path::Path;

use self::raw::{Polygons, Raw, Read};
use super::Mesh;
use super::weld::weld;
use crate::{Error, Result, names};

impl Mesh {
    /// Reads a mesh file: `.obj`, `.ply`, `.stl`, `.gltf` or `.glb`, by its extension. Polygons are split into
    /// triangles within their outline, vertices at exactly the same position are merged, and triangles whose corners
    /// are not three different vertices are dropped. Coordinates are taken relative to `origin`; `None` chooses 0
    /// unless they are large for the extent of the mesh.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, has an unsupported format, ends early, refers to vertices that it
    /// does not have, contains coordinates that are not finite, or has no faces or no area.
    pub fn read(path: &Path, origin: Option<[f64; 3]>) -> Result<Mesh> {
        welded(read(path, origin)?).map_err(|what| Error::file(path, what))
    }

    /// Returns the mesh with these vertices and triangles, treated as those of a file: see [`Mesh::read`].
    ///
    /// # Errors
    /// Returns an error if a triangle refers to a vertex that is not there, if a coordinate is not finite, or if there are
    /// no triangles or they have no area.
    pub fn new(vertices: Vec<[f64; 3]>, triangles: Vec<[u32; 3]>) -> Result<Mesh> {
        let raw = Raw { vertices, triangles, polygons: Polygons::default() };
        raw.checked(None).and_then(welded).map_err(|what| Error::config(format!("the mesh: {what}")))
    }
}

/// Merges vertices at the same position, and checks that the result has a surface.
fn welded(raw: Mesh) -> Read<Mesh> {
    if raw.triangles.is_empty() {
        return Err("has no faces, but a mesh of triangles or polygons is expected; export it with its faces".into());
    }
    let mesh = weld(raw);
    mesh.check()?;
    Ok(mesh)
}

/// Reads the mesh of a file as it stands there, with vertex indices and coordinates checked.
fn read(path: &Path, origin: Option<[f64; 3]>) -> Result<Mesh> {
    let reader = match names::extension(path).as_str() {
        "obj" => |bytes: &[u8], _: &Path| obj::read(bytes),
        "ply" => |bytes: &[u8], _: &Path| ply::read_mesh(bytes),
        "stl" => |bytes: &[u8], _: &Path| stl::read(bytes),
        "gltf" | "glb" => gltf::read,
        _ => {
            return Err(Error::file(
                path,
                "a mesh is a .obj, .ply, .stl, .gltf or .glb file; convert it to one of these",
            ));
        }
    };
    let bytes =
        std::fs::read(path).map_err(|e| Error::file(path, format!("the mesh cannot be read ({e}); check the path")))?;
    let mesh = reader(&bytes, path).and_then(|raw| raw.checked(origin));
    mesh.map_err(|refusal| Error::file(path, refusal))
}
