//! Extracting surfaces from fields: closed, oriented, and where the field is zero.

use crate::common::Random;
use gridfield::mesh::{Edges, Lattice, Mesh, marching_cubes};

/// Returns the surface of a field given as a function of the point.
fn surface(resolution: usize, slab: usize, field: impl Fn([f32; 3]) -> f32) -> Mesh {
    let points = resolution + 1;
    let fill = |layers: std::ops::Range<usize>, values: &mut [f32]| {
        assert_eq!(values.len(), layers.len() * points * points);
        for (i, value) in values.iter_mut().enumerate() {
            let at = [i % points, i / points % points, i / points / points + layers.start];
            *value = field(at.map(|c| c as f32 / resolution as f32));
        }
        Ok(())
    };
    marching_cubes(&Lattice::whole(resolution), slab, fill).unwrap()
}

fn length(p: [f32; 3]) -> f32 {
    p.iter().map(|x| x * x).sum::<f32>().sqrt()
}

fn sphere(p: [f32; 3]) -> f32 {
    length(p.map(|x| x - 0.5)) - 0.3
}

#[test]
fn a_sphere_is_closed_and_right_side_out() {
    let mesh = surface(40, 7, sphere);
    assert!(Edges::of(&mesh).are_closed());
    assert_eq!(mesh.euler_characteristic(), 2);
    let exact = 4.0 / 3.0 * std::f64::consts::PI * 0.027;
    assert!((mesh.volume() / exact - 1.0).abs() < 0.005, "{}", mesh.volume());
    assert!(mesh.vertices.iter().all(|&p| sphere(p).abs() < 1e-3), "vertices lie on the sphere");
    for (triangle, normal) in mesh.triangle_normals().into_iter().enumerate() {
        let outwards = mesh.corners(triangle)[0].map(|x| x - 0.5);
        let cosine = (0..3).map(|k| normal[k] * outwards[k]).sum::<f32>() / length(outwards);
        assert!(cosine > 0.9, "{cosine}");
    }
}

#[test]
fn slabs_of_any_size_give_the_same() {
    let whole = surface(20, 21, sphere);
    for slab in [1, 2, 5, 20, 100] {
        assert_eq!(surface(20, slab, sphere), whole);
    }
}

#[test]
fn a_torus_has_a_hole_and_two_spheres_none() {
    let torus = |p: [f32; 3]| length([(length([p[0] - 0.5, p[1] - 0.5, 0.0]) - 0.25), p[2] - 0.5, 0.0]) - 0.1;
    let mesh = surface(32, 8, torus);
    assert!(Edges::of(&mesh).are_closed());
    assert_eq!(mesh.euler_characteristic(), 0);
    let two = |p: [f32; 3]| (length(p.map(|x| x - 0.25)) - 0.2).min(length(p.map(|x| x - 0.75)) - 0.2);
    assert_eq!(surface(32, 8, two).euler_characteristic(), 4);
}

/// All 256 kinds of cells next to each other in every combination: noise, including zeros and values of equal size.
#[test]
fn noise_has_a_closed_surface() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let kind = seed % 4;
        let resolution = 11;
        let noise: Vec<f32> = (0..12 * 12 * 12)
            .map(|_| match kind {
                0 => random.between(-1.0, 1.0) as f32,
                1 => random.sign() as f32,
                2 => [0.0, -0.0, 1e-38, -1e-38][random.below(4)],
                _ => random.between(-1.0, 0.2) as f32,
            })
            .collect();
        let mesh = surface(resolution, 5, |p| {
            let [x, y, z] = p.map(|c| (c * resolution as f32).round() as usize);
            noise[x + 12 * (y + 12 * z)]
        });
        let edges = Edges::of(&mesh);
        assert!(mesh.triangles.len() > 1000);
        assert!(edges.are_closed(), "seed {seed}: {edges:?}");
        assert!(mesh.volume() > 0.0);
        let (low, high) = mesh.bounds();
        assert!(low.iter().all(|&x| x >= 0.0) && high.iter().all(|&x| x <= 1.0));
        assert!(mesh.euler_characteristic() % 2 == 0);
        let mut places: Vec<[u32; 3]> = mesh.vertices.iter().map(|v| v.map(f32::to_bits)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), mesh.vertices.len(), "no two vertices share a position");
    }
}

#[test]
fn what_reaches_the_faces_of_the_cube_is_capped() {
    let mesh = surface(8, 3, |_| -1.0);
    assert!(Edges::of(&mesh).are_closed());
    assert_eq!(mesh.euler_characteristic(), 2);
    let side = 7.0f64 / 8.0;
    assert!((mesh.volume() - side.powi(3)).abs() < 0.02, "{}", mesh.volume());
    assert_eq!(surface(8, 3, |_| 1.0), Mesh::default());
}

#[test]
fn a_field_that_is_no_number_is_refused() {
    let error = marching_cubes(&Lattice::whole(4), 2, |_, values| {
        values.fill(f32::NAN);
        Ok(())
    });
    assert!(error.unwrap_err().to_string().contains("not finite"));
}
