//! A room with a ball in it, seen in panoramas with depth maps, which are computed in closed form.

use std::f64::consts::PI;
use std::path::Path;

use nalgebra::{Rotation3, Vector3};
use serde_json::{Value, json};

/// Half the room's size along x, y and z (up).
const HALF: [f64; 3] = [1.0, 0.8, 0.6];
const BALL: ([f64; 3], f64) = ([0.35, -0.3, -0.35], 0.25);

/// Width and height of a panorama.
pub const SIZE: (u32, u32) = (96, 48);
pub const N_PANORAMAS: usize = 16;

/// Returns the colour, 0 to 1, that is seen from `origin` along `direction`, and its distance.
pub fn seen(origin: Vector3<f64>, direction: Vector3<f64>) -> ([f64; 3], f64) {
    let to_wall = |axis: usize| (HALF[axis] * direction[axis].signum() - origin[axis]) / direction[axis];
    let axis = (0..3).min_by(|&a, &b| to_wall(a).total_cmp(&to_wall(b))).unwrap();
    let offset = origin - Vector3::from(BALL.0);
    let (along, beyond) = (offset.dot(&direction), offset.norm_squared() - BALL.1 * BALL.1);
    let root = along * along - beyond;
    if root > 0.0 && along < 0.0 {
        let distance = -along - root.sqrt();
        let normal = (offset + direction * distance) / BALL.1;
        return ([0.75 + 0.25 * normal.z, 0.3 + 0.15 * normal.x, 0.25], distance);
    }
    let distance = to_wall(axis);
    let point = origin + direction * distance;
    // Every wall has its own base colour, and waves along it.
    let wall = 2 * axis + usize::from(direction[axis] > 0.0);
    let colour = std::array::from_fn(|k| {
        let base = 0.35 + 0.3 * f64::from((wall + k) as u32 % 3) / 2.0;
        let (a, b) = (point[(axis + 1) % 3], point[(axis + 2) % 3]);
        base + 0.2 * (4.0 * a + k as f64).sin() * (5.0 * b + wall as f64).cos()
    });
    (colour, distance)
}

/// Returns the camera-to-world matrix of panorama `i`: somewhere in the upper half of the room, turned about the
/// vertical and slightly tilted.
pub fn pose(i: usize) -> [[f64; 4]; 3] {
    let (a, b, c) = ((2.4 * i as f64).sin(), (1.7 * i as f64 + 1.0).sin(), (3.1 * i as f64).sin());
    // The camera's y axis is up; the scene's z axis is.
    let upright = Rotation3::from_axis_angle(&Vector3::x_axis(), 0.5 * PI);
    let axes = Rotation3::from_euler_angles(0.15 * a, 0.15 * b, 2.0 * i as f64) * upright;
    let position = [0.5 * a, 0.4 * b, 0.15 + 0.15 * c];
    std::array::from_fn(|row| [axes[(row, 0)], axes[(row, 1)], axes[(row, 2)], position[row]])
}

/// Returns what is seen in the middle of pixel `(x, y)` of a panorama at `pose`, by nerfstudio's formulas: with x
/// right, y up and z back, θ = −π (x − w/2)/(w/2) and φ = π (½ + (y − h/2)/h), the direction is (−sin θ sin φ, cos φ,
/// −cos θ sin φ).
fn pixel(pose: &[[f64; 4]; 3], x: u32, y: u32) -> ([f64; 3], f64) {
    let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
    let theta = -PI * (f64::from(x) + 0.5 - 0.5 * width) / (0.5 * width);
    let phi = PI * (0.5 + (f64::from(y) + 0.5 - 0.5 * height) / height);
    let towards = Vector3::new(-theta.sin() * phi.sin(), phi.cos(), -theta.cos() * phi.sin());
    let along = |axis: usize| Vector3::from_fn(|row, _| pose[row][axis]);
    seen(along(3), along(0) * towards.x + along(1) * towards.y + along(2) * towards.z)
}

/// Writes the panoramas, their depth maps in thousandths and `transforms.json`, which places the room within the unit
/// cube, and returns its document.
pub fn write(folder: &Path) -> Value {
    let frame = |i: usize| {
        let (file_path, pose) = (format!("images/{}.png", super::name(i)), pose(i));
        let picture = image::RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            image::Rgb(pixel(&pose, x, y).0.map(|value| (255.0 * value.clamp(0.0, 1.0)).round() as u8))
        });
        let depth_file_path = format!("depths/{}.png", super::name(i));
        let depths = image::ImageBuffer::from_fn(SIZE.0, SIZE.1, |x, y| {
            image::Luma([(1000.0 * pixel(&pose, x, y).1).round() as u16])
        });
        ["images", "depths"].iter().for_each(|name| std::fs::create_dir_all(folder.join(name)).unwrap());
        picture.save(folder.join(&file_path)).unwrap();
        depths.save(folder.join(&depth_file_path)).unwrap();
        let [a, b, c] = pose;
        let matrix = json!([a, b, c, [0.0, 0.0, 0.0, 1.0]]);
        json!({ "file_path": file_path, "depth_file_path": depth_file_path, "transform_matrix": matrix })
    };
    let frames: Vec<Value> = (0..N_PANORAMAS).map(frame).collect();
    let document = json!({
        "camera_model": "EQUIRECTANGULAR", "scale": 0.45, "offset": 0.5, "aabb_scale": 1, "frames": frames
    });
    super::write_json(folder.join("transforms.json"), &document);
    document
}
