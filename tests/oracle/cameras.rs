//! Cameras and their rays against an independent float64 implementation (`vectors/cameras.json`).

use gridfield::geometry::{Camera, Intrinsics};
use gridfield::scene::Scene;
use serde_json::Value;

fn number(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn vector(value: &Value) -> [f32; 3] {
    std::array::from_fn(|i| number(&value[i]))
}

fn camera(case: &Value) -> Camera {
    let size = |key: &str| case[key].as_u64().unwrap() as u32;
    let matrix = &case["transform_matrix"];
    Camera {
        intrinsics: Intrinsics::from_fov_x(size("width"), size("height"), number(&case["camera_angle_x"])),
        camera_to_world: std::array::from_fn(|r| std::array::from_fn(|c| number(&matrix[r][c]))),
    }
}

/// f32 against f64 for components up to 3: a few roundings of 6e-8 each.
const TOLERANCE: f32 = 1e-6;

#[test]
fn rays_leave_through_pixel_centres_as_in_the_oracle() {
    let cases: Value = serde_json::from_str(include_str!("../vectors/cameras.json")).unwrap();
    let mut compared = 0;
    for case in cases["blender"].as_array().unwrap() {
        let camera = camera(case);
        for (pixel, ray) in case["pixels"].as_array().unwrap().iter().zip(case["rays"].as_array().unwrap()) {
            let (origin, direction) = camera.ray(number(&pixel[0]) + 0.5, number(&pixel[1]) + 0.5);
            for (found, expected) in [(origin, &ray["origin"]), (direction, &ray["direction"])] {
                for (found, expected) in found.iter().zip(vector(expected)) {
                    assert!((found - expected).abs() < TOLERANCE, "pixel {pixel}: {found} and {expected}");
                }
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 16);
}

#[test]
fn rows_of_poses_bounds_are_cameras_as_in_the_oracle() {
    let cases: Value = serde_json::from_str(include_str!("../vectors/cameras.json")).unwrap();
    let cases = cases["llff"].as_array().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<f64> =
        cases.iter().flat_map(|case| case["row"].as_array().unwrap()).map(|number| number.as_f64().unwrap()).collect();
    crate::captures::write(folder.path().join("poses_bounds.npy"), crate::captures::npy(&[3, 17], &rows));
    for i in 0..3 {
        crate::captures::image(folder.path().join(format!("images/{i}.png")), (504, 378), 0);
    }
    let scene = Scene::open(folder.path()).unwrap();
    let views = scene.splits.test.iter().chain(&scene.splits.train);
    let mut compared = 0;
    for (view, case) in views.zip(cases) {
        for (row, expected) in view.camera.camera_to_world.iter().zip(case["camera_to_world"].as_array().unwrap()) {
            for (found, expected) in row.iter().zip(expected.as_array().unwrap()) {
                assert_eq!(*found, number(expected), "{}", view.name);
            }
        }
        let k = view.camera.intrinsics;
        let size_and_focal = [k.height as f32, k.width as f32, k.fl_x];
        assert_eq!(size_and_focal, vector(&case["height_width_focal"]));
        let bounds = view.bounds.unwrap();
        assert_eq!(bounds, [number(&case["near_far"][0]), number(&case["near_far"][1])]);
        compared += 1;
    }
    assert_eq!(compared, 3);
}
