//! Distances to meshes against parry3d and against known solids, and their signs.

use crate::common::Random;
use gridfield::device::Device;
use gridfield::mesh::{Bvh, Edges, Mesh};
use parry3d::math::Vector;
use parry3d::query::PointQuery as _;
use parry3d::shape::TriMesh;

on_every_target!(distances_are_those_of_parry, signs_are_those_of_solids, broken_triangles_do_no_harm);

/// Signed distance from a point to a solid.
type Distance = fn([f64; 3]) -> f64;

/// Coordinates around 1 in fp32, with a few roundings on the way; parry computes in fp32 too.
const FP32: f32 = 2e-6;

fn points(n: usize, seed: u64) -> Vec<[f32; 3]> {
    let mut random = Random::new(seed);
    (0..n).map(|_| [(); 3].map(|()| random.between(0.0, 1.0) as f32)).collect()
}

/// Returns points within a hundredth of the surface.
fn near_points(mesh: &Mesh, n: usize, seed: u64) -> Vec<[f32; 3]> {
    let mut random = Random::new(seed);
    let mut near = || mesh.vertices[random.below(mesh.vertices.len())].map(|x| x + random.between(-0.01, 0.01) as f32);
    (0..n).map(|_| near()).collect()
}

fn assert_as_parry(device: &Device, mesh: &Mesh, points: &[[f32; 3]]) {
    let vertices = mesh.vertices.iter().map(|&[x, y, z]| Vector::new(x, y, z)).collect();
    let theirs = TriMesh::new(vertices, mesh.triangles.clone()).unwrap();
    let nearest = Bvh::new(device, mesh).unwrap().nearest(points).unwrap();
    for (i, &[x, y, z]) in points.iter().enumerate() {
        let expected = theirs.distance_to_local_point(Vector::new(x, y, z), false);
        let found = nearest.distance[i];
        assert!((found - expected).abs() <= FP32, "{found} instead of {expected} at {:?}", points[i]);
        // The reported triangle is at that distance.
        let corners = mesh.corners(nearest.triangle[i] as usize).map(|[x, y, z]| Vector::new(x, y, z));
        let alone = parry3d::shape::Triangle::new(corners[0], corners[1], corners[2]);
        let of_triangle = alone.distance_to_local_point(Vector::new(x, y, z), false);
        assert!((found - of_triangle).abs() <= FP32, "{found}, but its triangle is {of_triangle} away");
    }
}

fn distances_are_those_of_parry(device: &Device) {
    let n = if device.is_host() { 4000 } else { 300 };
    for (seed, mesh) in [crate::shapes::torus(40), crate::shapes::sphere(3), crate::shapes::cube(1)].iter().enumerate()
    {
        assert_as_parry(device, mesh, &points(n, seed as u64));
        assert_as_parry(device, mesh, &near_points(mesh, n, seed as u64));
    }
    // Long thin triangles in random directions.
    let mut random = Random::new(5);
    let vertices: Vec<[f32; 3]> = points(600, 6);
    let corner = |random: &mut Random| random.below(600) as u32;
    let triangles =
        (0..300).map(|_| [(); 3].map(|()| corner(&mut random))).filter(|[a, b, c]| a != b && b != c && c != a);
    assert_as_parry(device, &Mesh { triangles: triangles.collect(), vertices, ..Mesh::default() }, &points(n, 7));
}

#[test]
fn distances_to_the_armadillo_are_those_of_parry() {
    let Some(mesh) = armadillo() else {
        crate::skip::skipped("distances_to_the_armadillo_are_those_of_parry", "armadillo.obj is not there");
        return;
    };
    assert_eq!(mesh.triangles.len(), 99_976);
    assert!(Edges::of(&mesh).are_closed());
    let host = crate::common::host();
    assert_as_parry(&host, &mesh, &points(5000, 1));
    assert_as_parry(&host, &mesh, &near_points(&mesh, 5000, 2));
}

/// Returns the real mesh, scaled to the unit cube, if the test data are there.
fn armadillo() -> Option<Mesh> {
    let data = std::env::var("GRIDFIELD_DATA").unwrap_or_else(|_| "../shared/data".into());
    let path = std::path::Path::new(&data).join("sdf/armadillo.obj");
    path.is_file().then(|| {
        let mesh = Mesh::read(&path, None).unwrap();
        let fit = mesh.fit();
        mesh.mapped([0.0; 3], |point| fit.to_unit(point))
    })
}

fn signs_are_those_of_solids(device: &Device) {
    let n = if device.is_host() { 4000 } else { 300 };
    let points = points(n, 11);
    let solids: [(Mesh, Distance); 2] = [
        (crate::shapes::torus(60), crate::shapes::torus_distance),
        (crate::shapes::cube(5), crate::shapes::cube_distance),
    ];
    for (mesh, distance) in solids {
        let bvh = Bvh::new(device, &mesh).unwrap();
        let winding = bvh.winding_numbers(&points, 3.0).unwrap();
        let nearest = bvh.nearest(&points).unwrap();
        for ((point, winding), found) in points.iter().zip(winding).zip(nearest.distance) {
            let expected = distance(point.map(f64::from));
            // A torus of 120 segments lies up to 4e-4 inside the round one.
            if expected.abs() < 1e-3 {
                continue;
            }
            assert_eq!(winding > 0.5, expected < 0.0, "winding {winding} at distance {expected}, {point:?}");
            assert!((f64::from(found) - expected.abs()).abs() < 1e-3);
            let whole = if expected < 0.0 { 1.0 } else { 0.0 };
            assert!((winding - whole).abs() < 0.05, "winding {winding} at distance {expected}");
        }
    }
}

/// Returns the winding number by equation 8 of Van Oosterom and Strackee in f64, triangle by triangle.
fn exact_winding(mesh: &Mesh, point: [f32; 3]) -> f64 {
    use nalgebra::Vector3;
    let angle = |triangle: usize| {
        let [a, b, c] =
            mesh.corners(triangle).map(|corner| Vector3::from_fn(|k, _| f64::from(corner[k]) - f64::from(point[k])));
        let below = a.norm() * b.norm() * c.norm() + a.dot(&b) * c.norm() + b.dot(&c) * a.norm() + c.dot(&a) * b.norm();
        2.0 * a.dot(&b.cross(&c)).atan2(below)
    };
    (0..mesh.triangles.len()).map(angle).sum::<f64>() / (4.0 * std::f64::consts::PI)
}

#[test]
fn winding_numbers_approach_the_exact_ones() {
    let mut mesh = crate::shapes::torus(24);
    // A hole makes the winding numbers non-integer.
    mesh.triangles.truncate(mesh.triangles.len() * 3 / 4);
    let bvh = Bvh::new(&crate::common::host(), &mesh).unwrap();
    let points = points(500, 21);
    let error = |accuracy: f32| {
        let found = bvh.winding_numbers(&points, accuracy).unwrap();
        let errors =
            points.iter().zip(found).map(|(&point, found)| (f64::from(found) - exact_winding(&mesh, point)).abs());
        errors.fold(0.0, f64::max)
    };
    // Every triangle is evaluated individually: only rounding and the arctangent contribute to the error.
    assert!(error(1e6) < 1e-5, "{}", error(1e6));
    let errors = [1.5, 2.0, 4.0, 8.0].map(error);
    assert!(errors[1] < 0.05 && errors[2] < 0.01 && errors[3] < 0.002, "{errors:?}");
    assert!(errors.is_sorted_by(|a, b| a > b), "{errors:?}");
}

#[test]
fn a_solid_with_a_hole_has_an_inside() {
    let mut mesh = crate::shapes::cube(4);
    // Without the face at +x.
    mesh.triangles.drain(32..64);
    let bvh = Bvh::new(&crate::common::host(), &mesh).unwrap();
    let inside = bvh.winding_numbers(&[[0.5; 3], [0.3, 0.4, 0.6], [0.7, 0.5, 0.5], [0.26, 0.26, 0.26]], 2.0).unwrap();
    let outside =
        bvh.winding_numbers(&[[0.1, 0.5, 0.5], [0.8, 0.5, 0.5], [0.5, 0.5, 0.9], [0.74, 0.1, 0.5]], 2.0).unwrap();
    assert!(inside[0] > 0.8, "{inside:?}");
    assert!(inside[1] > 0.5 && inside[3] > 0.5, "{inside:?}");
    assert!(outside.iter().all(|&w| w < 0.5), "{outside:?}");
}

/// Degenerate triangles of every kind among valid ones, and query points on the surface itself.
fn broken_triangles_do_no_harm(device: &Device) {
    let mut mesh = crate::shapes::cube(2);
    let n = mesh.vertices.len() as u32;
    mesh.vertices.extend([[0.25, 0.25, 0.25], [0.25, 0.25, 0.25], [0.25, 0.25, 0.5], [0.25, 0.25, 0.75]]);
    mesh.triangles.extend([[n, n + 1, n + 2], [n, n + 2, n + 3], [n, n + 1, n], [n + 3, n, n + 2]]);
    let points = [&points(200, 31)[..], &mesh.vertices].concat();
    let bvh = Bvh::new(device, &mesh).unwrap();
    let nearest = bvh.nearest(&points).unwrap();
    let winding = bvh.winding_numbers(&points, 2.0).unwrap();
    for (i, point) in points.iter().enumerate() {
        let expected = crate::shapes::cube_distance(point.map(f64::from));
        assert!((f64::from(nearest.distance[i]) - expected.abs()).abs() < 1e-6, "{} at {point:?}", nearest.distance[i]);
        assert!(winding[i].is_finite(), "{point:?}");
        assert!(expected.abs() < 1e-3 || (winding[i] > 0.5) == (expected < 0.0), "{point:?}");
    }
}
