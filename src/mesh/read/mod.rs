//! Readers of mesh files, chosen by extension. Every reader takes the file as bytes and returns a sentence if it
//! refuses the file; the file's name is added here.

mod gltf;
mod obj;
pub mod ply;
mod polygon;
mod stl;

use std::path::Path;

use super::Mesh;
use crate::{Error, Result, names};

/// Reason why a file was refused.
pub type Refusal = String;
pub type Read<T> = std::result::Result<T, Refusal>;

/// Reads the mesh as the file has it, with vertex indices and coordinates checked.
pub fn read(path: &Path) -> Result<Mesh> {
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
    let mesh = reader(&bytes, path).and_then(checked);
    mesh.map_err(|refusal| Error::file(path, refusal))
}

fn checked(mesh: Mesh) -> Read<Mesh> {
    if mesh.vertices.len() > u32::MAX as usize {
        return Err(format!("has {} vertices, but at most {} are possible", mesh.vertices.len(), u32::MAX));
    }
    if let Some(vertex) = mesh.vertices.iter().position(|vertex| vertex.iter().any(|x| !x.is_finite())) {
        let found = mesh.vertices[vertex];
        return Err(format!("vertex {vertex} is {found:?}, but coordinates must be finite numbers"));
    }
    let n = mesh.vertices.len();
    match mesh.triangles.as_flattened().iter().position(|&vertex| vertex as usize >= n) {
        Some(at) => Err(no_vertex(at / 3, i64::from(mesh.triangles.as_flattened()[at]), n)),
        None => Ok(mesh),
    }
}

/// Returns the refusal of a face, counted from 0, that refers to a vertex that does not exist.
fn no_vertex(face: usize, vertex: i64, n: usize) -> Refusal {
    format!("face {face} names vertex {vertex}, but there are {n} vertices, counted from 0; export it again")
}
