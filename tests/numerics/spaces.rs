//! Maps of space against plain f64 versions: normalized device coordinates as in appendix C of the NeRF paper, and
//! distances mapped back from them; rays outside the frustum; and the rig computed from cameras.

use crate::common::Random;
use gridfield::config::MarchConfig;
use gridfield::device::args::{self, CameraRaysArgs, RayDistanceArgs};
use gridfield::device::{Device, LaunchDims, kernels};
use gridfield::geometry::{Camera, Intrinsics, Ndc, Space, UnitCube};
use gridfield::radiance::{Chunk, ChunkSize, March};
use gridfield::scene::View;

const SIZE: (u32, u32) = (20, 15);
const N: usize = (SIZE.0 * SIZE.1) as usize;
const NEAREST: f64 = 4.0;
const UNIT_CUBE: UnitCube = UnitCube::new(0.2, [0.4, 0.5, 0.7]);

/// Cameras side by side that look along -z, each rotated by up to a tenth.
fn rig() -> Vec<View> {
    let mut random = Random::new(41);
    let mut view = |i: usize| {
        let [a, b] = [0, 1].map(|_| random.between(-0.1, 0.1) as f32);
        let (x, y) = ((i % 3) as f32 - 1.0, (i / 3) as f32 - 1.0);
        // A rotation by a about y, then by b about x; columns are right, up, back.
        let (ca, sa, cb, sb) = (a.cos(), a.sin(), b.cos(), b.sin());
        let camera_to_world = [[ca, sa * sb, sa * cb, 3.0 + x], [0.0, cb, -sb, y], [-sa, ca * sb, ca * cb, 0.3 * x]];
        let intrinsics = Intrinsics::from_fov_x(SIZE.0, SIZE.1, 0.9);
        View { camera: Camera { intrinsics, camera_to_world }, ..view_of(i) }
    };
    (0..9).map(&mut view).collect()
}

fn view_of(i: usize) -> View {
    let camera_to_world = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    let camera = Camera { intrinsics: Intrinsics::from_fov_x(SIZE.0, SIZE.1, 0.9), camera_to_world };
    View::new(format!("{i}"), "none", camera)
}

/// Returns the rays of all pixels.
fn picture(device: &Device, camera: &Camera, march: &March) -> Chunk {
    let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: N, samples: 1 }).unwrap();
    chunk.n_rays = N;
    let mut pose = camera.camera_to_world.as_flattened().to_vec();
    for (row, x) in UNIT_CUBE.to_unit(camera.position()).into_iter().enumerate() {
        pose[4 * row + 3] = x;
    }
    let k = camera.intrinsics;
    let camera = args::Camera {
        camera_to_world: pose.try_into().unwrap(),
        fl_x: k.fl_x,
        fl_y: k.fl_y,
        cx: k.cx,
        cy: k.cy,
        width: k.width,
        height: k.height,
        ..bytemuck::Zeroable::zeroed()
    };
    let args = CameraRaysArgs {
        rays: chunk.ray_args(),
        samples_count: chunk.samples.count.ptr(),
        camera,
        first_pixel: 0,
        background: [0.0; 3],
        box_min: march.box_min,
        box_max: march.box_max,
        space: march.space,
        near: march.near,
        crop_min: [0.0; 3],
        crop_max: [1.0; 3],
        is_cropped: 0,
    };
    device.launch_chunk(&kernels::CAMERA_RAYS, &args, LaunchDims::items(N)).unwrap();
    chunk
}

fn march(space: &Space) -> March {
    March::new(&MarchConfig::default()).through(space, &UNIT_CUBE)
}

fn column(columns: &[f32], i: usize) -> [f64; 3] {
    std::array::from_fn(|axis| f64::from(columns[axis * N + i]))
}

/// NeRF, appendix C, equation 25, from scene coordinates; z' is mapped from [-1, 1] to [0, 1], and x' and y' so that
/// the frustum fills the cube.
fn projected(ndc: &Ndc, point: [f64; 3]) -> [f64; 3] {
    let offset: [f64; 3] = std::array::from_fn(|k| point[k] - f64::from(ndc.frame[k][3]));
    let along = |axis: usize| (0..3).map(|k| f64::from(ndc.frame[k][axis]) * offset[k]).sum::<f64>();
    let (x, y, z) = (along(0), along(1), along(2));
    let [tx, ty] = ndc.tangents.map(f64::from);
    [0.5 + 0.5 * x / (-z * tx), 0.5 + 0.5 * y / (-z * ty), 0.5 + 0.5 * (1.0 + 2.0 * f64::from(ndc.near) / z)]
}

fn points_of_a_ray_lie_on_its_ray_in_ndc(device: &Device) {
    let views = rig();
    let ndc = Ndc::of(views.iter().map(|view| &view.camera), NEAREST).unwrap();
    let march = march(&Space::Ndc(ndc));
    for view in &views {
        let chunk = picture(device, &view.camera, &march);
        let (origins, directions) = (chunk.rays.origin.download().unwrap(), chunk.rays.direction.download().unwrap());
        let (t, ends) = (chunk.rays.t.download().unwrap(), chunk.rays.t_end.download().unwrap());
        let seen = chunk.rays.view.download().unwrap();
        for i in 0..N {
            let (px, py) = ((i as u32 % SIZE.0) as f32 + 0.5, (i as u32 / SIZE.0) as f32 + 0.5);
            let (from, towards) = view.camera.ray(px, py);
            let (origin, direction) = (column(&origins, i), column(&directions, i));
            assert_eq!((origin[2], t[i]), (0.0, 0.0), "rays begin on the near plane, within the frustum");
            for (seen, towards) in column(&seen, i).into_iter().zip(towards) {
                assert!((seen - f64::from(towards)).abs() < 2e-6, "seen along its direction in the scene");
            }
            // Three points along it, up to a great distance.
            let mut last = 0.0;
            for distance in [5.0, 10.0, 1e4] {
                let point = std::array::from_fn(|k| f64::from(from[k]) + distance * f64::from(towards[k]));
                let expected = projected(&ndc, point);
                let at = (expected[2] - origin[2]) / direction[2];
                for k in 0..3 {
                    let found = origin[k] + at * direction[k];
                    assert!((found - expected[k]).abs() < 3e-6, "pixel {i} at {distance}: {found}, {expected:?}");
                }
                assert!(last < at && at <= f64::from(ends[i]) + 1e-6, "points are in order and before the end");
                last = at;
            }
        }
    }
}

fn distances_come_back_from_ndc(device: &Device) {
    let views = rig();
    let ndc = Ndc::of(views.iter().map(|view| &view.camera), NEAREST).unwrap();
    let march = march(&Space::Ndc(ndc));
    for (view, distance) in views.iter().zip([3.8, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0, 5.5, 6.0]) {
        let mut chunk = picture(device, &view.camera, &march);
        let (origins, directions) = (chunk.rays.origin.download().unwrap(), chunk.rays.direction.download().unwrap());
        // Half of the light is absorbed, all at one distance.
        let sum = |i: usize| {
            let (from, towards) = view.camera.ray((i as u32 % SIZE.0) as f32 + 0.5, (i as u32 / SIZE.0) as f32 + 0.5);
            let point = std::array::from_fn(|k| f64::from(from[k]) + distance * f64::from(towards[k]));
            (0.5 * (projected(&ndc, point)[2] - column(&origins, i)[2]) / column(&directions, i)[2]) as f32
        };
        let sums: Vec<f32> = (0..N).map(sum).collect();
        chunk.rays.depth.upload(0, &sums).unwrap();
        chunk.rays.transmittance.upload(0, &vec![0.5; N]).unwrap();
        let position = UNIT_CUBE.to_unit(view.camera.position());
        let args = RayDistanceArgs { rays: chunk.ray_args(), position, space: march.space };
        device.launch_chunk(&kernels::RAY_DISTANCES, &args, LaunchDims::items(N)).unwrap();
        for found in chunk.rays.depth.download().unwrap() {
            let found = f64::from(found / UNIT_CUBE.scale);
            // 1 / (1 - z') is distance / near, so it amplifies rounding errors of z'.
            assert!((found - distance).abs() < 4e-6 * distance * distance, "{found}, expected {distance}");
        }
    }
}

fn rays_that_look_aside_are_not_in_ndc(device: &Device) {
    let ndc = Ndc::of(rig().iter().map(|view| &view.camera), NEAREST).unwrap();
    let march = march(&Space::Ndc(ndc));
    let mut backwards = view_of(0).camera;
    backwards.camera_to_world = [[-1.0, 0.0, 0.0, 3.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]];
    let t = picture(device, &backwards, &march).rays.t.download().unwrap();
    assert!(t.iter().all(|&t| t == -1.0), "{t:?}");
}

fn rays_through_a_contracted_space_begin_at_the_near_distance_and_end_far_off(device: &Device) {
    let config = MarchConfig { near: 0.03, ..MarchConfig::default() };
    let march = March::new(&config).through(&Space::Contraction, &UNIT_CUBE);
    let chunk = picture(device, &rig()[4].camera, &march);
    let (t, ends) = (chunk.rays.t.download().unwrap(), chunk.rays.t_end.download().unwrap());
    assert!(t.iter().all(|&t| t == 0.03) && ends.iter().all(|&end| end > 500.0));
}

on_every_target! {
    points_of_a_ray_lie_on_its_ray_in_ndc,
    distances_come_back_from_ndc,
    rays_that_look_aside_are_not_in_ndc,
    rays_through_a_contracted_space_begin_at_the_near_distance_and_end_far_off,
}

#[test]
fn the_rig_stands_in_the_middle_of_its_cameras_and_holds_their_rays() {
    let ndc = Ndc::of(rig().iter().map(|view| &view.camera), NEAREST).unwrap();
    let near = |found: f32, expected: f32| (found - expected).abs() < 0.05;
    assert!(near(ndc.frame[0][3], 3.0) && near(ndc.frame[1][3], 0.0) && near(ndc.frame[2][3], 0.0), "{ndc:?}");
    assert!(ndc.frame[2][2] > 0.99 && ndc.frame[1][1] > 0.99, "{ndc:?}");
    assert!(near(ndc.near, 3.0));
    let half = (0.45f32).tan();
    assert!(ndc.tangents[0] > half && ndc.tangents[0] < half + 0.7, "{ndc:?}");
}

#[test]
fn cameras_that_look_apart_have_no_frustum() {
    let mut views = rig();
    // Turn every second camera around.
    for view in views.iter_mut().step_by(2) {
        for row in &mut view.camera.camera_to_world {
            row[0] = -row[0];
            row[2] = -row[2];
        }
    }
    let error = Ndc::of(views.iter().map(|view| &view.camera), NEAREST).unwrap_err().to_string();
    assert!(error.contains("march.space is ndc, but the cameras do not all look one way"), "{error}");
}
