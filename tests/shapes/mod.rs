//! Solids made of triangles, whose inside and distance functions are known.
#![allow(dead_code)] // each test binary uses only some of these

use gridfield::mesh::Mesh;
use std::f64::consts::TAU;

/// Returns a grid of `n × m` quadrilaterals over a surface `at(u, v)`, with u and v from 0 to 1, closed in both
/// directions.
fn sheet(n: u32, m: u32, at: impl Fn(f64, f64) -> [f64; 3]) -> Mesh {
    let vertex = |i: u32| at(f64::from(i % n) / f64::from(n), f64::from(i / n) / f64::from(m)).map(|x| x as f32);
    let mut mesh = Mesh { vertices: (0..n * m).map(vertex).collect(), ..Mesh::default() };
    for j in 0..m {
        for i in 0..n {
            let corner = |di: u32, dj: u32| (i + di) % n + (j + dj) % m * n;
            mesh.triangles.push([corner(0, 0), corner(1, 0), corner(1, 1)]);
            mesh.triangles.push([corner(0, 0), corner(1, 1), corner(0, 1)]);
        }
    }
    mesh
}

/// Returns a torus around the z axis through (½, ½, ½), with radii 0.25 and 0.1.
pub fn torus(n: u32) -> Mesh {
    sheet(2 * n, n, |u, v| {
        let ring = 0.25 + 0.1 * (TAU * v).cos();
        [0.5 + ring * (TAU * u).cos(), 0.5 + ring * (TAU * u).sin(), 0.5 + 0.1 * (TAU * v).sin()]
    })
}

/// Returns the distance to that torus, negative inside.
pub fn torus_distance(p: [f64; 3]) -> f64 {
    let [x, y, z] = p.map(|x| x - 0.5);
    (x.hypot(y) - 0.25).hypot(z) - 0.1
}

/// Returns a cube's faces from -1 to 1, each cut into n × n squares and mapped by `map`.
fn boxed(n: u32, map: impl Fn([f64; 3]) -> [f64; 3]) -> Mesh {
    let mut mesh = Mesh::default();
    for axis in 0..3 {
        for side in [-1.0, 1.0] {
            let at = |i: u32, j: u32| {
                let mut p = [0.0; 3];
                p[axis] = side;
                p[(axis + 1) % 3] = 2.0 * f64::from(i) / f64::from(n) - 1.0;
                p[(axis + 2) % 3] = 2.0 * f64::from(j) / f64::from(n) - 1.0;
                map(p).map(|x| x as f32)
            };
            for j in 0..n {
                for i in 0..n {
                    let first = mesh.vertices.len() as u32;
                    mesh.vertices.extend([at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)]);
                    let quad = if side > 0.0 { [0, 1, 2, 3] } else { [0, 3, 2, 1] }.map(|k| first + k);
                    mesh.triangles.extend([[quad[0], quad[1], quad[2]], [quad[0], quad[2], quad[3]]]);
                }
            }
        }
    }
    mesh
}

/// Returns a sphere around (½, ½, ½) with radius 0.3.
pub fn sphere(n: u32) -> Mesh {
    boxed(n, |p| {
        let length = p.iter().map(|x| x * x).sum::<f64>().sqrt();
        p.map(|x| 0.5 + 0.3 * x / length)
    })
}

/// Returns the cube from 0.25 to 0.75; its triangles come face by face, −x first and then +x.
pub fn cube(n: u32) -> Mesh {
    boxed(n, |p| p.map(|x| 0.5 + 0.25 * x))
}

/// Returns the distance to that cube, negative inside.
pub fn cube_distance(p: [f64; 3]) -> f64 {
    let q = p.map(|x| (x - 0.5).abs() - 0.25);
    let outside = q.map(|x| x.max(0.0)).iter().map(|x| x * x).sum::<f64>().sqrt();
    outside + q.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b)).min(0.0)
}
