//! Rays of cameras read from COLMAP's files, against an implementation of COLMAP's projections in float64: the formulas
//! of `src/colmap/sensor/models.h`, with the parameters in the order in which COLMAP stores them.

use crate::captures::colmap;
use crate::common::Random;
use crate::rays::{device_camera, direction_at};
use gridfield::device::Device;
use gridfield::geometry::Camera;
use gridfield::scene::Scene;
use std::f64::consts::{PI, TAU};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 480.0;

/// Largest distance, in pixels, between a point's projection and where its ray meets the image.
const TOLERANCE: f64 = 0.01;
const N_POINTS: usize = 150;

/// Camera models with parameters like those of real lenses, and the largest angle to the optical axis that is tested.
/// None of the lenses folds within it.
fn cases() -> Vec<(&'static str, Vec<f64>, f64)> {
    vec![
        ("SIMPLE_PINHOLE", vec![420.0, 318.5, 242.0], 0.8),
        ("PINHOLE", vec![420.0, 415.0, 318.5, 242.0], 0.8),
        ("SIMPLE_RADIAL", vec![420.0, 318.5, 242.0, -0.12], 0.8),
        ("RADIAL", vec![420.0, 318.5, 242.0, -0.28, 0.09], 0.7),
        ("OPENCV", vec![420.0, 415.0, 318.5, 242.0, -0.28, 0.09, 1e-3, -2e-3], 0.7),
        ("OPENCV_FISHEYE", vec![250.0, 248.0, 318.5, 242.0, -0.04, 0.01, -3e-3, 1e-4], 1.5),
        (
            "FULL_OPENCV",
            // As calibrated for depth cameras: numerator and denominator nearly cancel.
            vec![420.0, 415.0, 318.5, 242.0, 0.52, -2.7, 8e-4, -2e-4, 1.55, 0.4, -2.5, 1.48],
            0.7,
        ),
        ("FULL_OPENCV", vec![420.0, 415.0, 318.5, 242.0, 4.1, 2.2, 1e-3, -2e-3, 0.08, 4.4, 3.3, 0.5], 0.85),
        ("SIMPLE_RADIAL_FISHEYE", vec![250.0, 318.5, 242.0, -0.03], 1.5),
        ("RADIAL_FISHEYE", vec![250.0, 318.5, 242.0, 0.02, -0.01], 1.4),
        (
            "THIN_PRISM_FISHEYE",
            vec![250.0, 248.0, 318.5, 242.0, -0.05, 0.03, 2e-3, -1e-3, -0.01, 1e-3, 6e-3, -4e-3],
            1.4,
        ),
        ("SIMPLE_FISHEYE", vec![200.0, 318.5, 242.0], 1.5),
        ("FISHEYE", vec![200.0, 210.0, 318.5, 242.0], 1.5),
        ("EQUIRECTANGULAR", vec![WIDTH, HEIGHT], 0.999 * PI),
    ]
}

/// Projects a point of the camera's frame (x right, y down, z forward) to pixels.
fn project(model: &str, parameters: &[f64], [u, v, w]: [f64; 3]) -> [f64; 2] {
    if model == "EQUIRECTANGULAR" {
        let (longitude, latitude) = (u.atan2(w), -v.atan2(u.hypot(w)));
        return [(longitude / TAU + 0.5) * parameters[0], (0.5 - latitude / PI) * parameters[1]];
    }
    let single = model.starts_with("SIMPLE_") || model == "RADIAL" || model == "RADIAL_FISHEYE";
    let (focal, rest) = if single {
        ([parameters[0]; 2], &parameters[1..])
    } else {
        ([parameters[0], parameters[1]], &parameters[2..])
    };
    let (centre, extra) = rest.split_at(2);
    let (mut a, mut b) = (u / w, v / w);
    if model.ends_with("FISHEYE") {
        let r = a.hypot(b);
        let stretch = if r > 0.0 { r.atan() / r } else { 1.0 };
        (a, b) = (a * stretch, b * stretch);
    }
    let r2 = a * a + b * b;
    let powers = |coefficients: &[f64]| -> f64 { (1..).zip(coefficients).map(|(n, k)| k * r2.powi(n)).sum() };
    let tangential =
        |p1: f64, p2: f64| [2.0 * p1 * a * b + p2 * (r2 + 2.0 * a * a), 2.0 * p2 * a * b + p1 * (r2 + 2.0 * b * b)];
    let (radial, [da, db]) = match (model, extra) {
        ("OPENCV", [k1, k2, p1, p2]) => (1.0 + powers(&[*k1, *k2]), tangential(*p1, *p2)),
        ("FULL_OPENCV", [k1, k2, p1, p2, k3, k4, k5, k6]) => {
            ((1.0 + powers(&[*k1, *k2, *k3])) / (1.0 + powers(&[*k4, *k5, *k6])), tangential(*p1, *p2))
        }
        ("THIN_PRISM_FISHEYE", [k1, k2, p1, p2, k3, k4, s1, s2]) => {
            let [da, db] = tangential(*p1, *p2);
            (1.0 + powers(&[*k1, *k2, *k3, *k4]), [da + s1 * r2, db + s2 * r2])
        }
        (_, k) => (1.0 + powers(k), [0.0; 2]),
    };
    [focal[0] * (a * radial + da) + centre[0], focal[1] * (b * radial + db) + centre[1]]
}

/// Returns the camera as it is read from COLMAP's text, at the origin with the axes of the scene.
fn read(model: &'static str, parameters: &[f64]) -> Camera {
    let folder = tempfile::tempdir().unwrap();
    let mut reconstruction = colmap(3, 200.0);
    let (width, height) = (WIDTH as u64, HEIGHT as u64);
    reconstruction.cameras[0] = (1, model, width, height, parameters.to_vec());
    reconstruction.write_text(&folder.path().join("sparse/0"));
    let size = (width as u32, height as u32);
    reconstruction
        .images
        .iter()
        .for_each(|image| crate::captures::image(folder.path().join("images").join(&image.3), size, 1));
    let intrinsics = Scene::open(folder.path()).unwrap().splits.train[0].camera.intrinsics;
    Camera { intrinsics, camera_to_world: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]] }
}

/// Returns a direction within `largest` of the optical axis and its pixel, which lies in the image.
fn seen(random: &mut Random, model: &str, parameters: &[f64], largest: f64) -> ([f64; 3], [f64; 2]) {
    loop {
        let (angle, around) = (random.between(0.0, largest), random.between(0.0, TAU));
        let direction = [angle.sin() * around.cos(), angle.sin() * around.sin(), angle.cos()];
        let pixel = project(model, parameters, direction);
        if (0.0..WIDTH).contains(&pixel[0]) && (0.0..HEIGHT).contains(&pixel[1]) {
            return (direction, pixel);
        }
    }
}

/// Converts between the frames of COLMAP's cameras and this project's: y and z change their signs.
fn turned<T: std::ops::Neg<Output = T>>([x, y, z]: [T; 3]) -> [T; 3] {
    [x, -y, -z]
}

fn rays_of_every_model_point_where_colmap_says(device: &Device) {
    for (number, (model, parameters, largest)) in cases().into_iter().enumerate() {
        let camera = read(model, &parameters);
        let on_device = device_camera(&camera);
        let mut random = Random::new(70 + number as u64);
        let mut farthest = 0.0f64;
        for _ in 0..N_POINTS {
            let (direction, pixel) = seen(&mut random, model, &parameters, largest);
            farthest = farthest.max(direction[2].acos());
            let [x, y] = pixel.map(|x| x as f32);
            let miss = |what: &str, found: [f64; 2]| {
                let distance = (found[0] - pixel[0]).hypot(found[1] - pixel[1]);
                assert!(distance < TOLERANCE, "{model}: the {what} of {pixel:?} misses by {distance} pixels");
            };
            let point = turned(direction.map(|x| (7.0 * x) as f32));
            miss("projection", camera.project(point).unwrap().map(f64::from));
            let towards = |direction: [f32; 3]| project(model, &parameters, turned(direction.map(f64::from)));
            miss("ray on the host", towards(camera.ray(x, y).1));
            miss("ray on the device", towards(direction_at(device, on_device, x, y)));
        }
        assert!(farthest > 0.8 * largest.min(0.75), "{model}: points up to {farthest} of {largest} from the axis");
    }
}

on_every_target!(rays_of_every_model_point_where_colmap_says);
