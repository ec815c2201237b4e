//! Rays of rendered images and of training steps: against `geometry::Camera::ray` and its float64 oracle
//! (`vectors/cameras.json`); where they enter and leave the box; and which pixels, colours and backgrounds a training
//! step draws.

use crate::common::Random;
use gridfield::device::args::{self, CameraRaysArgs, DrawRaysArgs, MAX_ROUNDS};
use gridfield::device::{Device, LaunchDims, Ptr, kernels};
use gridfield::geometry::{Camera, Intrinsics, Lens, UnitCube};
use gridfield::radiance::{Chunk, ChunkSize};
use serde_json::Value;

/// A few f32 roundings of components up to 3.
const TOLERANCE: f32 = 1e-6;
const BOX_MIN: [f32; 3] = [0.0; 3];
const BOX_MAX: [f32; 3] = [1.0; 3];

/// Returns the camera for a unit cube that coincides with the scene.
pub fn device_camera(camera: &Camera) -> args::Camera {
    gridfield::radiance::device_camera(camera, &UnitCube::new(1.0, [0.0; 3]), 0)
}

fn room(device: &Device, n_rays: usize) -> Chunk {
    let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: n_rays, samples: 1 }).unwrap();
    chunk.n_rays = n_rays;
    chunk
}

/// Returns the rays of `n` pixels starting at `first_pixel`.
fn picture(device: &Device, camera: args::Camera, first_pixel: u32, n: usize) -> Chunk {
    let mut chunk = room(device, n);
    chunk.samples.count.upload(0, &[7, 7]).unwrap();
    chunk.rays.segment_count.upload(0, &vec![7; MAX_ROUNDS * n]).unwrap();
    let args = CameraRaysArgs {
        rays: chunk.ray_args(),
        samples_count: chunk.samples.count.ptr(),
        camera,
        first_pixel,
        background: [0.1, 0.2, 0.3],
        box_min: BOX_MIN,
        box_max: BOX_MAX,
        space: args::Space::default(),
        near: 0.0,
        crop_min: [0.0; 3],
        crop_max: [1.0; 3],
        is_cropped: 0,
    };
    device.launch_chunk(&kernels::CAMERA_RAYS, &args, LaunchDims::items(n)).unwrap();
    chunk
}

/// Returns row `i` of `[3, R]` columns.
fn vector(columns: &[f32], i: usize) -> [f32; 3] {
    std::array::from_fn(|axis| columns[axis * (columns.len() / 3) + i])
}

/// Returns the direction of the ray through the continuous pixel coordinates `(x, y)`.
pub fn direction_at(device: &Device, camera: args::Camera, x: f32, y: f32) -> [f32; 3] {
    // The middle of the first pixel takes the place of (x, y).
    let moved = args::Camera { cx: camera.cx + (0.5 - x), cy: camera.cy + (0.5 - y), ..camera };
    vector(&picture(device, moved, 0, 1).rays.direction.download().unwrap(), 0)
}

fn assert_near(found: [f32; 3], expected: [f32; 3]) {
    let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < TOLERANCE);
    assert!(near, "{found:?}, expected {expected:?}");
}

fn blender_cases() -> Vec<(Camera, Value)> {
    let cases: Value = serde_json::from_str(include_str!("../vectors/cameras.json")).unwrap();
    let number = |value: &Value| value.as_f64().unwrap() as f32;
    let camera = |case: &Value| {
        let size = |key: &str| case[key].as_u64().unwrap() as u32;
        let matrix = &case["transform_matrix"];
        Camera {
            intrinsics: Intrinsics::from_fov_x(size("width"), size("height"), number(&case["camera_angle_x"])),
            camera_to_world: std::array::from_fn(|r| std::array::from_fn(|c| number(&matrix[r][c]))),
        }
    };
    cases["blender"].as_array().unwrap().iter().map(|case| (camera(case), case.clone())).collect()
}

fn rays_of_a_picture_leave_as_in_the_oracle(device: &Device) {
    let three = |value: &Value| -> [f32; 3] { std::array::from_fn(|i| value[i].as_f64().unwrap() as f32) };
    for (camera, case) in blender_cases() {
        for (pixel, ray) in case["pixels"].as_array().unwrap().iter().zip(case["rays"].as_array().unwrap()) {
            let (column, row) = (pixel[0].as_u64().unwrap() as u32, pixel[1].as_u64().unwrap() as u32);
            let chunk = picture(device, device_camera(&camera), row * camera.intrinsics.width + column, 1);
            assert_near(vector(&chunk.rays.origin.download().unwrap(), 0), three(&ray["origin"]));
            assert_near(vector(&chunk.rays.direction.download().unwrap(), 0), three(&ray["direction"]));
        }
    }
}

fn pixels_come_row_by_row_from_the_chunks_first(device: &Device) {
    let (mut camera, _) = blender_cases()[0].clone();
    camera.intrinsics.fl_y *= 1.5;
    camera.intrinsics.cx += 3.25;
    let (width, n) = (camera.intrinsics.width as usize, 130);
    let chunk = picture(device, device_camera(&camera), 77, n);
    let directions = chunk.rays.direction.download().unwrap();
    for i in 0..n {
        let (column, row) = ((77 + i) % width, (77 + i) / width);
        assert_near(vector(&directions, i), camera.ray(column as f32 + 0.5, row as f32 + 0.5).1);
    }
    let background = chunk.rays.background.download().unwrap();
    assert!((0..n).all(|i| vector(&background, i) == [0.1, 0.2, 0.3]));
}

/// Lenses of real photographs, and some with stronger distortion.
fn lenses() -> [Lens; 9] {
    [
        Lens::opencv([0.0578421, -0.0805099, 0.0, 0.0], [-0.000980296, 0.00015575]),
        Lens::opencv([-0.28, 0.09, -0.013, 1e-4], [1e-3, -2e-3]),
        // Folds within the image: r (1 - 2 r²) increases up to r = 0.41.
        Lens::opencv([-2.0, 0.0, 0.0, 0.0], [0.0; 2]),
        Lens::Fisheye { k: [-0.04, 0.01, -0.003, 1e-4] },
        Lens::Fisheye { k: [0.0; 4] },
        Lens::full_opencv([0.52, -2.7, 1.55, 0.4, -2.5, 1.48], [8e-4, -2e-4]),
        // Folds within the image: r / (1 + 9 r²) increases up to r = 1/3.
        Lens::full_opencv([0.0, 0.0, 0.0, 9.0, 0.0, 0.0], [0.0; 2]),
        Lens::thin_prism_fisheye([-0.03, 0.02, -0.01, 1e-3], [1e-3, -2e-3], [4e-3, -3e-3]),
        Lens::Equirectangular,
    ]
}

fn rays_bend_in_the_lens_as_on_the_host(device: &Device) {
    let (mut camera, _) = blender_cases()[0].clone();
    camera.intrinsics = Intrinsics { cx: 21.3, cy: 14.2, ..Intrinsics::from_fov_x(40, 30, 1.0) };
    let usual = camera.intrinsics;
    for lens in lenses() {
        camera.intrinsics = Intrinsics { lens, ..usual };
        // The fisheye without coefficients also sees behind itself.
        if matches!(lens, Lens::Fisheye { k: [0.0, ..] }) {
            (camera.intrinsics.fl_x, camera.intrinsics.fl_y) = (9.0, 9.5);
        }
        let chunk = picture(device, device_camera(&camera), 0, 1200);
        let directions = chunk.rays.direction.download().unwrap();
        let mut bent = 0;
        for i in 0..1200 {
            let (x, y) = ((i % 40) as f32 + 0.5, (i / 40) as f32 + 0.5);
            let expected = camera.ray(x, y).1;
            assert_near(vector(&directions, i), expected);
            let straight = Intrinsics { lens: Lens::Perspective, ..camera.intrinsics };
            let straight = Camera { intrinsics: straight, ..camera }.ray(x, y).1;
            bent += usize::from(straight.iter().zip(expected).any(|(a, b)| (a - b).abs() > 10.0 * TOLERANCE));
        }
        assert!(bent > 600, "{lens:?} bends {bent} rays of 1200");
    }
}

fn rays_begin_clear_and_without_samples(device: &Device) {
    let n = 50;
    let chunk = picture(device, device_camera(&blender_cases()[0].0), 0, n);
    assert_eq!(chunk.samples.count.download().unwrap()[..2], [0, 0]);
    assert_eq!(chunk.rays.segment_count.download().unwrap(), vec![0; MAX_ROUNDS * n]);
    assert_eq!(chunk.rays.transmittance.download().unwrap(), vec![1.0; n]);
    assert_eq!(chunk.rays.color.download().unwrap(), vec![0.0; 3 * n]);
    assert_eq!(chunk.rays.depth.download().unwrap(), vec![0.0; n]);
}

// ---------------------------------------------------------------------------------------------------------------------
// The box.

/// Returns a one-pixel camera whose ray starts at `origin` along `direction`, which may have any length.
fn ray_camera(origin: [f32; 3], direction: [f32; 3]) -> args::Camera {
    let mut camera_to_world = [0.0; 12];
    for axis in 0..3 {
        camera_to_world[4 * axis + 2] = -direction[axis];
        camera_to_world[4 * axis + 3] = origin[axis];
    }
    args::Camera { camera_to_world, fl_x: 1.0, fl_y: 1.0, cx: 0.5, cy: 0.5, width: 1, height: 1, ..Default::default() }
}

/// Returns where the ray enters and leaves the unit cube; None if it misses.
fn crossing(device: &Device, origin: [f32; 3], direction: [f32; 3]) -> Option<(f32, f32)> {
    let chunk = picture(device, ray_camera(origin, direction), 0, 1);
    let (t, t_end) = (chunk.rays.t.download().unwrap()[0], chunk.rays.t_end.download().unwrap()[0]);
    (t != -1.0).then_some((t, t_end))
}

/// Returns the point's largest coordinate distance outside the unit cube (below 0: depth inside).
fn outside(origin: [f32; 3], direction: [f64; 3], t: f64) -> f64 {
    (0..3).map(|k| (f64::from(origin[k]) + t * direction[k] - 0.5).abs() - 0.5).fold(f64::MIN, f64::max)
}

fn random_rays_cross_the_box_where_their_points_are_inside(device: &Device) {
    let mut random = Random::new(11);
    let (mut hits, mut misses, mut within) = (0, 0, 0);
    for _ in 0..2000 {
        let origin: [f32; 3] = std::array::from_fn(|_| random.between(-0.5, 1.5) as f32);
        let direction = random.direction();
        let deepest = (0..4000).map(|i| outside(origin, direction, 1e-3 * f64::from(i))).fold(f64::MAX, f64::min);
        match crossing(device, origin, direction.map(|x| x as f32)) {
            None => {
                assert!(deepest > -2e-3, "a ray that is {deepest} inside is said to miss");
                misses += 1;
            }
            Some((enter, leave)) => {
                let (enter, leave) = (f64::from(enter), f64::from(leave));
                let on_face = |t| outside(origin, direction, t).abs() < 1e-5;
                let inside_from_start = enter == 0.0 && outside(origin, direction, 0.0) < 1e-6;
                assert!(inside_from_start || on_face(enter), "{origin:?} {direction:?} enters at {enter}");
                assert!(on_face(leave) && enter < leave, "{origin:?} {direction:?} leaves at {leave}");
                assert!(outside(origin, direction, 0.5 * (enter + leave)) < 1e-6);
                within += usize::from(inside_from_start);
                hits += 1;
            }
        }
    }
    assert!(hits > 300 && misses > 300 && within > 30, "{hits} hits, {within} of them from inside, {misses} misses");
}

fn rays_parallel_to_axes_cross_the_box_or_miss_it(device: &Device) {
    let along_x = |y: f32, z: f32| crossing(device, [-1.0, y, z], [2.0, 0.0, 0.0]);
    assert_eq!(along_x(0.25, 0.75), Some((1.0, 2.0)));
    assert_eq!(along_x(1.25, 0.75), None);
    assert_eq!(along_x(0.25, -0.25), None);
    assert_eq!(along_x(0.0, 0.0), Some((1.0, 2.0)), "along an edge of the box");
    assert_eq!(crossing(device, [0.5, 0.25, 0.5], [0.0, -1.0, 0.0]), Some((0.0, 0.25)), "from inside the box");
    assert_eq!(crossing(device, [0.5, 0.5, 2.0], [0.0, 0.0, 1.0]), None, "away from the box");
    let (enter, leave) = crossing(device, [0.5, -1.0, -1.0], [0.0, 1.0, 1.0]).unwrap();
    assert!((enter - 2.0f32.sqrt()).abs() < 1e-6 && (leave - 8.0f32.sqrt()).abs() < 1e-6, "parallel to a plane");
}

// ---------------------------------------------------------------------------------------------------------------------
// Training.

const N_DRAWN: usize = 4000;
const STEP_SIZE: f32 = 0.01;

/// Returns two training images of different sizes, in which each pixel's bytes identify it.
fn album() -> ([args::Camera; 2], Vec<u8>) {
    let mut cameras: [args::Camera; 2] = std::array::from_fn(|i| {
        let intrinsics = Intrinsics::from_fov_x([16, 9][i], [5, 11][i], 0.7);
        device_camera(&Camera { intrinsics, ..blender_cases()[i].0 })
    });
    cameras[1].first_pixel = 16 * 5;
    let pixels = (0..16 * 5 + 9 * 11u8).flat_map(|pixel| [pixel, 255 - pixel, 2, 128]).collect();
    (cameras, pixels)
}

fn draw(device: &Device, step: u32, first_ray: u32, background: u32) -> Chunk {
    let (cameras, pixels) = album();
    let chunk = room(device, N_DRAWN);
    let (cameras, pixels) = (device.upload(&cameras).unwrap(), device.upload(&pixels).unwrap());
    let args = DrawRaysArgs {
        rays: chunk.ray_args(),
        samples_count: chunk.samples.count.ptr(),
        cameras: cameras.ptr(),
        pixels: pixels.ptr(),
        n_cameras: 2,
        seed: 5,
        step,
        first_ray,
        background,
        box_min: [-9.0; 3],
        box_max: [9.0; 3],
        step_size: STEP_SIZE,
        space: args::Space::default(),
        near: 0.0,
        depths: Ptr::NULL,
        drawn_pixels: Ptr::NULL,
        drawn_begin: Ptr::NULL,
    };
    device.launch(&kernels::DRAW_RAYS, &args, LaunchDims::items(N_DRAWN)).unwrap();
    chunk
}

/// Draws training rays of an image with these depths, and returns for each ray its pixel, and where on the ray its
/// depth lies.
pub fn drawn_depths(device: &Device, camera: &Camera, depths: &[f32]) -> Vec<(usize, f32)> {
    let chunk = room(device, N_DRAWN);
    // The first three bytes of a pixel are its number.
    let pixels: Vec<u8> = (0..depths.len() as u32).flat_map(u32::to_le_bytes).collect();
    let cameras = device.upload(&[device_camera(camera)]).unwrap();
    let (pixels, depths) = (device.upload(&pixels).unwrap(), device.upload(depths).unwrap());
    let args = DrawRaysArgs {
        rays: chunk.ray_args(),
        samples_count: chunk.samples.count.ptr(),
        cameras: cameras.ptr(),
        pixels: pixels.ptr(),
        n_cameras: 1,
        seed: 5,
        step: 1,
        first_ray: 0,
        background: 1,
        box_min: [-9.0; 3],
        box_max: [9.0; 3],
        step_size: STEP_SIZE,
        space: args::Space::default(),
        near: 0.0,
        depths: depths.ptr(),
        drawn_pixels: Ptr::NULL,
        drawn_begin: Ptr::NULL,
    };
    device.launch(&kernels::DRAW_RAYS, &args, LaunchDims::items(N_DRAWN)).unwrap();
    let (target, target_t) = (chunk.rays.target.download().unwrap(), chunk.rays.target_t.download().unwrap());
    let byte = |i: usize| (target[i] * 255.0).round() as usize;
    (0..N_DRAWN).map(|i| (byte(i) + 256 * byte(N_DRAWN + i), target_t[i])).collect()
}

/// Returns the red byte of each ray's target, which is the pixel's number.
fn pixel_numbers(chunk: &Chunk) -> Vec<usize> {
    let target = chunk.rays.target.download().unwrap();
    target[..N_DRAWN].iter().map(|red| (red * 255.0).round() as usize).collect()
}

fn drawn_rays_go_through_the_pixels_whose_colours_they_carry(device: &Device) {
    let chunk = draw(device, 1, 0, 1);
    let (cameras, pixels) = album();
    let directions = chunk.rays.direction.download().unwrap();
    let target = chunk.rays.target.download().unwrap();
    for (i, number) in pixel_numbers(&chunk).into_iter().enumerate() {
        let (camera, pixel) = if number < 80 { (cameras[0], number) } else { (cameras[1], number - 80) };
        let one = picture(device, camera, pixel as u32, 1);
        assert_near(vector(&directions, i), vector(&one.rays.direction.download().unwrap(), 0));
        for channel in 0..4 {
            let byte = f32::from(pixels[4 * number + channel]);
            assert!((target[channel * N_DRAWN + i] - byte / 255.0).abs() < 1e-7);
        }
    }
}

fn images_and_their_pixels_are_drawn_evenly(device: &Device) {
    let mut counts = [0.0f64; 179];
    pixel_numbers(&draw(device, 1, 0, 1)).into_iter().for_each(|number| counts[number] += 1.0);
    let first: f64 = counts[..80].iter().sum();
    // Five standard deviations for a fair coin.
    assert!((first - N_DRAWN as f64 / 2.0).abs() < 5.0 * (N_DRAWN as f64).sqrt() / 2.0, "{first} of {N_DRAWN}");
    let spread = |counts: &[f64]| {
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / mean
    };
    // Chi-squared with n - 1 degrees of freedom: mean about n, standard deviation about sqrt(2 n).
    for image in [&counts[..80], &counts[80..]] {
        let n = image.len() as f64;
        assert!((spread(image) - n).abs() < 5.0 * (2.0 * n).sqrt(), "{}", spread(image));
    }
}

fn draws_depend_on_the_number_of_the_ray_and_the_step_alone(device: &Device) {
    let (whole, later) = (pixel_numbers(&draw(device, 1, 0, 1)), pixel_numbers(&draw(device, 1, 1000, 1)));
    assert_eq!(whole[1000..], later[..N_DRAWN - 1000]);
    let next = pixel_numbers(&draw(device, 2, 0, 1));
    let equal = whole.iter().zip(&next).filter(|(a, b)| a == b).count();
    assert!(equal < N_DRAWN / 50, "{equal} of {N_DRAWN} are the same in the next step");
}

fn entries_are_jittered_within_a_step(device: &Device) {
    let chunk = draw(device, 1, 0, 1);
    // All cameras are inside this box.
    let t = chunk.rays.t.download().unwrap();
    assert!(t.iter().all(|t| (0.0..STEP_SIZE).contains(t)));
    let mean = t.iter().sum::<f32>() / N_DRAWN as f32;
    assert!((mean / STEP_SIZE - 0.5).abs() < 5.0 / (12.0 * N_DRAWN as f32).sqrt());
}

fn backgrounds_are_black_white_or_a_colour_for_each_ray(device: &Device) {
    let background = |kind| draw(device, 1, 0, kind).rays.background.download().unwrap();
    assert!(background(0).iter().all(|&value| value == 0.0));
    assert!(background(1).iter().all(|&value| value == 1.0));
    let random = background(2);
    assert!(random.iter().all(|value| (0.0..1.0).contains(value)));
    for channel in random.chunks(N_DRAWN) {
        let mean = channel.iter().sum::<f32>() / N_DRAWN as f32;
        assert!((mean - 0.5).abs() < 5.0 / (12.0 * N_DRAWN as f32).sqrt());
    }
    let grey = (0..N_DRAWN).filter(|&i| random[i] == random[N_DRAWN + i]).count();
    assert!(grey < 5, "channels are drawn independently");
}

on_every_target!(
    rays_of_a_picture_leave_as_in_the_oracle,
    pixels_come_row_by_row_from_the_chunks_first,
    rays_bend_in_the_lens_as_on_the_host,
    rays_begin_clear_and_without_samples,
    random_rays_cross_the_box_where_their_points_are_inside,
    rays_parallel_to_axes_cross_the_box_or_miss_it,
    drawn_rays_go_through_the_pixels_whose_colours_they_carry,
    images_and_their_pixels_are_drawn_evenly,
    draws_depend_on_the_number_of_the_ray_and_the_step_alone,
    entries_are_jittered_within_a_step,
    backgrounds_are_black_white_or_a_colour_for_each_ray,
);
