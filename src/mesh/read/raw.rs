//! A mesh as a reader finds it in a file, before it is checked.

use super::polygon::triangulate;
use crate::geometry::{origin_for, relative};
use crate::mesh::Mesh;

/// Reason why a file was refused.
pub type Refusal = String;
pub type Read<T> = std::result::Result<T, Refusal>;

/// A mesh in the coordinates of its file.
#[derive(Debug, Default, PartialEq)]
pub struct Raw {
    pub vertices: Vec<[f64; 3]>,
    pub triangles: Vec<[u32; 3]>,
    /// Polygons that are not split into triangles yet.
    pub polygons: Polygons,
}

/// Polygons, as lists of vertex indices.
#[derive(Debug, Default, PartialEq)]
pub struct Polygons {
    /// Corners of all polygons, one after the other.
    corners: Vec<u32>,
    /// For each polygon, the index in `corners` after its last one.
    ends: Vec<usize>,
}

impl Polygons {
    pub fn push(&mut self, corners: impl IntoIterator<Item = u32>) {
        self.corners.extend(corners);
        self.ends.push(self.corners.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(move |(begin, &end)| &self.corners[begin..end])
    }
}

impl Raw {
    /// Returns the origin that the vertices of triangles and polygons should be relative to.
    pub fn origin(&self) -> [f64; 3] {
        let corners = self.triangles.as_flattened().iter().chain(&self.polygons.corners);
        origin_for(corners.map(|&vertex| self.vertices[vertex as usize]))
    }

    /// Checks vertices and indices, takes vertices relative to `origin`, and splits polygons into triangles.
    pub fn checked(self, origin: Option<[f64; 3]>) -> Read<Mesh> {
        let n = self.vertices.len();
        if n > u32::MAX as usize {
            return Err(format!("has {n} vertices, but at most {} are possible", u32::MAX));
        }
        let faces = self.triangles.iter().map(|triangle| &triangle[..]).chain(self.polygons.iter());
        for (number, face) in faces.enumerate() {
            if let Some(&vertex) = face.iter().find(|&&vertex| vertex as usize >= n) {
                return Err(no_vertex(number, i64::from(vertex), n));
            }
        }
        let origin = origin.unwrap_or_else(|| self.origin());
        let vertices: Vec<[f32; 3]> = self.vertices.iter().map(|&vertex| relative(vertex, &origin)).collect();
        if let Some(vertex) = vertices.iter().position(|vertex| vertex.iter().any(|x| !x.is_finite())) {
            let found = self.vertices[vertex].map(|x| x as f32);
            return Err(format!("vertex {vertex} is {found:?}, but coordinates must be finite numbers"));
        }
        let mut triangles = self.triangles;
        self.polygons.iter().for_each(|polygon| triangulate(polygon, &vertices, &mut triangles));
        Ok(Mesh { vertices, triangles, origin })
    }
}

/// Returns the refusal of a face, counted from 0, that refers to a vertex that does not exist.
pub fn no_vertex(face: usize, vertex: i64, n: usize) -> Refusal {
    format!("face {face} names vertex {vertex}, but there are {n} vertices, counted from 0; export it again")
}
