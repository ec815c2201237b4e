//! Rays of panoramas, against the formulas of the programs whose images they are, and the depths that they carry.

use crate::rays::{device_camera, direction_at, drawn_depths};
use gridfield::device::Device;
use gridfield::geometry::{Camera, Intrinsics, Lens};
use std::f64::consts::PI;

const WIDTH: u32 = 64;
const HEIGHT: u32 = 32;

/// Returns a panorama in the axes of the scene.
fn panorama(lens: Lens) -> Camera {
    let intrinsics = Intrinsics { lens, ..Intrinsics::panorama(WIDTH, HEIGHT) };
    Camera { intrinsics, camera_to_world: [[1.0, 0.0, 0.0, 0.3], [0.0, 1.0, 0.0, 0.4], [0.0, 0.0, 1.0, 0.5]] }
}

/// nerfstudio's `_generate_rays_from_coords` for `CameraType.EQUIRECTANGULAR`, with `fx = width / 2` and `fy = height`.
fn nerfstudio(x: f64, y: f64) -> [f64; 3] {
    let coord = [(x - 32.0) / 32.0, -(y - 16.0) / 32.0];
    let (theta, phi) = (-PI * coord[0], PI * (0.5 - coord[1]));
    [-theta.sin() * phi.sin(), phi.cos(), -theta.cos() * phi.sin()]
}

/// instant-ngp's `equirectangular_to_dir`, in this project's axes: its y and z are the negative of ours.
fn instant_ngp_equirectangular(x: f64, y: f64) -> [f64; 3] {
    let (u, v) = (x / 64.0, y / 32.0);
    let ct = (v - 0.5) * 2.0;
    let st = (1.0 - ct * ct).max(0.0).sqrt();
    let phi = (u - 0.5) * PI * 2.0;
    [phi.sin() * st, -ct, -phi.cos() * st]
}

fn rays_of_panoramas_are_those_of_their_programs(device: &Device) {
    type Formula = fn(f64, f64) -> [f64; 3];
    let cases: [(Lens, Formula); 2] =
        [(Lens::Equirectangular, nerfstudio), (Lens::EqualArea, instant_ngp_equirectangular)];
    for (lens, formula) in cases {
        let camera = panorama(lens);
        for i in 0..400 {
            let (x, y) = (0.05 + 3.2 * f64::from(i % 20), 0.05 + 1.6 * f64::from(i / 20));
            let expected = formula(x, y);
            let on_device = direction_at(device, device_camera(&camera), x as f32, y as f32);
            for found in [camera.ray(x as f32, y as f32).1, on_device] {
                let apart = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                // The root of 1 - v^2 near the poles.
                let tolerance = if lens == Lens::EqualArea { 5e-6 } else { 1e-6 };
                assert!(apart < tolerance, "{lens:?} at {x}, {y}: {found:?}, expected {expected:?}");
            }
            let point = std::array::from_fn(|k| camera.position()[k] + (3.0 * expected[k]) as f32);
            let [px, py] = camera.project(point).unwrap().map(f64::from);
            assert!((px - x).abs() < 1e-3 && (py - y).abs() < 1e-3, "{lens:?} at {x}, {y}: {px}, {py}");
        }
    }
}

/// An optical axis, along which depths of other cameras are measured, is what a panorama lacks.
fn depths_of_panoramas_are_distances(device: &Device) {
    let depths: Vec<f32> = (0..WIDTH * HEIGHT).map(|i| 0.01 * (i % 97) as f32).collect();
    for (pixel, target_t) in drawn_depths(device, &panorama(Lens::Equirectangular), &depths) {
        let expected = if depths[pixel] > 0.0 { depths[pixel] } else { -1.0 };
        assert_eq!(target_t, expected, "pixel {pixel}");
    }
    // In a perspective image, rays beside the axis are longer than the depth.
    let straight = Camera { intrinsics: Intrinsics::from_fov_x(WIDTH, HEIGHT, 1.5), ..panorama(Lens::Perspective) };
    let longer = drawn_depths(device, &straight, &depths).into_iter().filter(|&(pixel, t)| t > depths[pixel] + 1e-6);
    assert!(longer.count() > 1000);
}

on_every_target!(rays_of_panoramas_are_those_of_their_programs, depths_of_panoramas_are_distances);
