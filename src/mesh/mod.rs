//! Triangle meshes: reading, writing, distance queries, and extraction from fields. Independent of the training tasks.
//!
//! A mesh's faces run counter-clockwise seen from outside. Distances are computed by the kernels of
//! `kernels/fit/bvh.cu`; everything else here runs on the host.

mod atlas;
mod bvh;
mod clip;
mod colored;
mod components;
mod edges;
mod marching_cubes;
mod read;
mod region;
mod sampler;
#[cfg(feature = "export")]
mod simplify;
mod weld;
mod write;

pub use atlas::{Atlas, Texture};
pub use bvh::{Bvh, Nearest};
pub use colored::ColoredMesh;
pub use edges::Edges;
pub use marching_cubes::{Lattice, marching_cubes};
pub(crate) use read::ply::Ply;
pub use region::Region;
pub use sampler::{OnSurface, Sampler, Scatter};
pub use write::{MeshFormat, Surface};

use nalgebra::Vector3;

use crate::geometry::UnitCube;

/// Largest number of triangles; beyond it, neither the stack of the bounding volume hierarchy nor memory would suffice.
pub const MOST_TRIANGLES: usize = 100_000_000;
/// Fraction of the unit cube's side that is left free on each side of a mesh.
const MARGIN: f32 = 0.1;

/// Triangles that share vertices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mesh {
    /// Coordinates of the vertices, relative to `origin`.
    pub vertices: Vec<[f32; 3]>,
    /// Vertex indices, counter-clockwise seen from outside.
    pub triangles: Vec<[u32; 3]>,
    /// Position of the origin of the vertices' coordinates in those of the mesh's file: 0 unless the latter are so
    /// large for the extent of the mesh that single precision could not represent them.
    pub origin: [f64; 3],
}

impl Mesh {
    /// Returns an error that says why distances to the mesh cannot be computed, if so.
    fn check(&self) -> std::result::Result<(), String> {
        if self.triangles.len() > MOST_TRIANGLES {
            let n = self.triangles.len();
            return Err(format!("has {n} triangles, but at most {MOST_TRIANGLES} are possible; simplify it"));
        }
        let area = self.area();
        if area == 0.0 {
            return Err("has faces of no area only; check what made it".into());
        }
        let (low, high) = self.bounds();
        if !(0..3).all(|k| (high[k] - low[k]).is_finite()) {
            return Err("is so large that its extent is not a finite number; scale it down".into());
        }
        Ok(())
    }

    /// Returns the corners of a triangle.
    pub fn corners(&self, triangle: usize) -> [[f32; 3]; 3] {
        self.triangles[triangle].map(|vertex| self.vertices[vertex as usize])
    }

    /// Returns the minimum and maximum coordinates of the vertices that triangles use.
    pub fn bounds(&self) -> ([f32; 3], [f32; 3]) {
        let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
        for &vertex in self.triangles.as_flattened() {
            for (k, &x) in self.vertices[vertex as usize].iter().enumerate() {
                low[k] = low[k].min(x);
                high[k] = high[k].max(x);
            }
        }
        (low, high)
    }

    /// Returns the total area of all triangles.
    pub fn area(&self) -> f64 {
        (0..self.triangles.len()).map(|triangle| 0.5 * self.cross(triangle).norm()).sum()
    }

    /// Returns the volume inside a closed mesh, negative if its triangles run clockwise (by the divergence theorem,
    /// with the centre of the bounds as origin).
    pub fn volume(&self) -> f64 {
        let (low, high) = self.bounds();
        let middle = Vector3::from_fn(|k, _| 0.5 * (f64::from(low[k]) + f64::from(high[k])));
        let cone = |triangle: usize| {
            let [a, b, c] = self.corners(triangle).map(|corner| vector(corner) - middle);
            a.dot(&b.cross(&c)) / 6.0
        };
        (0..self.triangles.len()).map(cone).sum()
    }

    /// Flips all triangles if they enclose a negative volume, and returns whether they did.
    pub(crate) fn face_outwards(&mut self) -> bool {
        let inside_out = self.volume() < 0.0;
        if inside_out {
            self.triangles.iter_mut().for_each(|triangle| triangle.swap(1, 2));
        }
        inside_out
    }

    /// Returns the normal of a triangle, with twice its area as length.
    pub(crate) fn cross(&self, triangle: usize) -> Vector3<f64> {
        let [a, b, c] = self.corners(triangle).map(vector);
        (b - a).cross(&(c - a))
    }

    /// Returns the unit normal of each triangle, or zero for a triangle without area.
    pub fn triangle_normals(&self) -> Vec<[f32; 3]> {
        let normal = |triangle| unit(self.cross(triangle));
        (0..self.triangles.len()).map(normal).collect()
    }

    /// Returns for each vertex the area-weighted mean normal of its triangles, of length 1.
    pub fn vertex_normals(&self) -> Vec<[f32; 3]> {
        let mut sums = vec![Vector3::zeros(); self.vertices.len()];
        for (number, triangle) in self.triangles.iter().enumerate() {
            let cross = self.cross(number);
            triangle.iter().for_each(|&vertex| sums[vertex as usize] += cross);
        }
        sums.into_iter().map(unit).collect()
    }

    /// Returns the map that puts the mesh into the middle of the unit cube, with a tenth of the side free on each side
    /// of its longest extent.
    pub fn fit(&self) -> UnitCube {
        let (low, high) = self.bounds();
        let longest = (0..3).map(|k| high[k] - low[k]).fold(0.0, f32::max);
        let scale = (1.0 - 2.0 * MARGIN) / longest;
        let offset = std::array::from_fn(|k| 0.5 - scale * (0.5 * low[k] + 0.5 * high[k]));
        UnitCube { scale, offset, origin: self.origin }
    }

    /// Returns the mesh with `map` applied to every vertex, which makes coordinates relative to `origin`.
    pub fn mapped(self, origin: [f64; 3], map: impl Fn([f32; 3]) -> [f32; 3]) -> Mesh {
        let mut mesh = Mesh { origin, ..self };
        mesh.vertices.iter_mut().for_each(|vertex| *vertex = map(*vertex));
        mesh
    }
}

fn vector(point: [f32; 3]) -> Vector3<f64> {
    Vector3::from(point.map(f64::from))
}

fn unit(direction: Vector3<f64>) -> [f32; 3] {
    let length = direction.norm();
    if length > 0.0 { (direction / length).map(|x| x as f32).into() } else { [0.0; 3] }
}
