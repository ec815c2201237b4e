//! Camera rays against an independent float64 implementation (`vectors/cameras.json`).

use gridfield::scene::{Camera, Intrinsics};
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

/// f32 against f64 on components of at most 3: a handful of roundings of 6e-8 each.
const TOLERANCE: f32 = 1e-6;

#[test]
fn rays_leave_through_pixel_centres_as_in_the_oracle() {
    let cases: Value = serde_json::from_str(include_str!("vectors/cameras.json")).unwrap();
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
