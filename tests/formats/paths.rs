//! Camera paths: generated around a scene, or read from nerfstudio's and instant-ngp's files.

use gridfield::geometry::{Camera, Intrinsics, Lens, UnitCube};
use gridfield::scene::path::{FrameCamera, Order, PathChoice, PathOptions};
use gridfield::scene::{CameraPath, Capture, CaptureKind, Format, Scene, Splits, View};
use nalgebra::{Matrix3, Rotation3, UnitQuaternion, Vector3};
use serde_json::{Value, json};

const CENTRE: [f32; 3] = [0.3, -0.2, 0.5];

/// Returns a camera around [`CENTRE`], at distance 4, that looks at it, with z up.
fn looking(azimuth: f32, elevation: f32) -> Camera {
    let direction = Vector3::new(azimuth.cos() * elevation.cos(), azimuth.sin() * elevation.cos(), elevation.sin());
    let right = Vector3::z().cross(&direction).normalize();
    let axes = [right, direction.cross(&right), direction, Vector3::from(CENTRE) + direction * 4.0];
    Camera {
        intrinsics: Intrinsics::from_fov_y(80, 60, 0.7),
        camera_to_world: std::array::from_fn(|row| std::array::from_fn(|column| axes[column][row])),
    }
}

fn views() -> Vec<View> {
    let view = |i: usize| {
        let camera = looking(i as f32 * 2.4, 0.1 + 0.04 * i as f32);
        View::new(format!("train/r_{i}"), format!("train/r_{i}.png"), camera)
    };
    (0..20).map(view).collect()
}

fn scene() -> Scene {
    Scene {
        path: "somewhere".into(),
        name: "somewhere".into(),
        format: Format::Blender,
        splits: Splits { train: views(), ..Default::default() },
        unit_cube: UnitCube::BLENDER,
        capture: Capture::unknown(),
        points: Vec::new(),
        notes: Vec::new(),
        background: [1.0; 3],
    }
}

fn options(seconds: f32, fps: f32) -> PathOptions {
    PathOptions { size: Some((64, 48)), fps: Some(fps), seconds: Some(seconds), ..PathOptions::default() }
}

/// Returns the centre's distance from the camera's axis, its distance from the camera, and the camera's height above
/// it.
fn aim(camera: &Camera) -> (f32, f32, f32) {
    let (centre, position) = (Vector3::from(CENTRE), Vector3::from(camera.position()));
    let forward = Vector3::from(camera.forward());
    let offset = centre - position;
    ((offset - forward * offset.dot(&forward)).norm(), offset.norm(), -offset.z)
}

fn assert_same_camera(found: &Camera, expected: &Camera, tolerance: f32) {
    let (a, b) = (found.camera_to_world.as_flattened(), expected.camera_to_world.as_flattened());
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < tolerance), "{found:?}\n{expected:?}");
}

#[test]
fn orbit_circles_what_the_cameras_look_at() {
    let path = CameraPath::orbit(&scene(), &options(2.0, 20.0)).unwrap();
    assert_eq!((path.frames.len(), path.fps), (40, 20.0));
    let height = aim(&path.frames[0]).2;
    for camera in &path.frames {
        let (miss, distance, above) = aim(camera);
        assert!(miss < 1e-3 && (distance - 4.0).abs() < 1e-3 && (above - height).abs() < 1e-4);
        assert!(camera.up()[2] > 0.0 && camera.camera_to_world[2][0].abs() < 1e-5, "the horizon is level");
        assert_eq!((camera.intrinsics.width, camera.intrinsics.height), (64, 48));
    }
    let opposite = Vector3::from(path.frames[0].position()) + Vector3::from(path.frames[20].position());
    assert!((opposite.xy() / 2.0 - Vector3::from(CENTRE).xy()).norm() < 1e-3, "half of the time is half of the circle");
}

#[test]
fn of_a_scene_photographed_from_one_side_paths_stay_there() {
    let mut scene = scene();
    scene.capture.kind = CaptureKind::Inward;
    let views = |azimuths: &[f32]| -> Vec<View> {
        azimuths.iter().map(|&azimuth| View::new(format!("{azimuth}"), "", looking(azimuth, 0.3))).collect()
    };
    scene.splits.train = views(&[3.0, 2.5, 3.5, 4.0, 3.6]);
    for path in [CameraPath::orbit(&scene, &options(2.0, 20.0)), CameraPath::spiral(&scene, &options(2.0, 20.0))] {
        let azimuth = |camera: &Camera| {
            let offset = Vector3::from(camera.position()) - Vector3::from(CENTRE);
            offset.y.atan2(offset.x).rem_euclid(std::f32::consts::TAU)
        };
        let azimuths: Vec<f32> = path.unwrap().frames.iter().map(azimuth).collect();
        let least = azimuths.iter().copied().fold(f32::MAX, f32::min);
        let most = azimuths.iter().copied().fold(f32::MIN, f32::max);
        assert!((least - 2.5).abs() < 1e-2 && (most - 4.0).abs() < 1e-2, "{least} to {most}");
    }
    scene.splits.train = views(&[0.0, 1.5, 3.0, 4.5]);
    let orbit = CameraPath::orbit(&scene, &options(2.0, 20.0)).unwrap();
    let opposite = Vector3::from(orbit.frames[0].position()) + Vector3::from(orbit.frames[20].position());
    assert!((opposite.xy() / 2.0 - Vector3::from(CENTRE).xy()).norm() < 1e-3, "a whole circle");
}

#[test]
fn before_a_forward_facing_scene_paths_look_at_its_middle_depth() {
    let mut scene = scene();
    // Cameras in the plane z = 2 that look along −z, up to 3 to the sides and up to 1 up and down.
    let at = |i: usize| {
        let (x, y) = (3.0 * (i as f32).sin(), (i as f32).cos());
        let rows = [[1.0, 0.0, 0.0, x], [0.0, 1.0, 0.0, y], [0.0, 0.0, 1.0, 2.0]];
        View::new(format!("{i}"), "", Camera { intrinsics: Intrinsics::from_fov_y(80, 60, 0.7), camera_to_world: rows })
    };
    scene.splits.train = (0..100).map(at).collect();
    scene.capture = Capture {
        kind: CaptureKind::ForwardFacing,
        bounds: Some([2.0, 20.0]),
        aabb_scale: None,
        frame: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 2.0]],
    };
    let depth = 1.0 / (0.25 / 1.8 + 0.75 / 100.0);
    for path in [CameraPath::orbit(&scene, &options(2.0, 20.0)), CameraPath::spiral(&scene, &options(2.0, 20.0))] {
        for camera in path.unwrap().frames {
            let position = Vector3::from(camera.position());
            assert!((position.z - 2.0).abs() < 1e-5 && position.x.abs() <= 3.0 && position.y.abs() <= 1.0);
            let ellipse = (position.x / 2.96).powi(2) + (position.y / 0.985).powi(2);
            assert!((ellipse - 1.0).abs() < 0.03, "{ellipse}");
            let offset = Vector3::new(0.0, 0.0, 2.0 - depth) - position;
            assert!(offset.cross(&Vector3::from(camera.forward())).norm() < 1e-4 && camera.up()[1] > 0.5);
        }
    }
}

#[test]
fn spiral_rises_between_the_elevations_of_the_cameras() {
    let path = CameraPath::spiral(&scene(), &options(4.0, 10.0)).unwrap();
    let heights: Vec<f32> = path.frames.iter().map(|camera| aim(camera).2).collect();
    assert!(heights.is_sorted_by(|a, b| a < b));
    assert!(heights[0] > 4.0 * 0.1f32.sin() && heights[39] < 4.0 * 0.86f32.sin());
    assert!(path.frames.iter().all(|camera| aim(camera).0 < 1e-3));
}

#[test]
fn parallel_cameras_are_orbited_around_the_unit_cube() {
    let mut scene = scene();
    scene.splits.train = vec![scene.splits.train[0].clone()];
    let path = CameraPath::orbit(&scene, &PathOptions::default()).unwrap();
    assert_eq!(path.frames.len(), 180);
    for camera in path.frames {
        let (position, forward) = (Vector3::from(camera.position()), Vector3::from(camera.forward()));
        assert!(position.cross(&forward).norm() < 1e-3, "looks at the origin");
    }
}

#[test]
fn flight_in_file_order_passes_every_camera() {
    let views = views();
    let path = CameraPath::interpolate(&views[..5], Order::File, &options(4.1, 10.0)).unwrap();
    assert_eq!(path.frames.len(), 41);
    for (i, view) in views[..5].iter().enumerate() {
        assert_same_camera(&path.frames[10 * i], &view.camera, 1e-5);
    }
    for camera in &path.frames {
        let axis = |c: usize| Vector3::from(camera.camera_to_world.map(|row| row[c]));
        assert!((axis(0).cross(&axis(1)) - axis(2)).norm() < 1e-5, "a rotation at every moment");
    }
}

#[test]
fn flight_through_the_nearest_is_smooth() {
    let path = CameraPath::interpolate(&views(), Order::Nearest { n_keys: 8 }, &PathOptions::default()).unwrap();
    assert_eq!(path.frames.len(), 210);
    let step = |pair: &[Camera]| (Vector3::from(pair[0].position()) - Vector3::from(pair[1].position())).norm();
    let steps: Vec<f32> = path.frames.windows(2).map(step).collect();
    let jump = steps.windows(2).map(|pair| (pair[0] - pair[1]).abs()).fold(0.0, f32::max);
    assert!(jump < 0.02, "the speed changes by {jump} in a frame");
}

#[test]
fn one_camera_makes_a_still() {
    let path = CameraPath::interpolate(&views()[..1], Order::File, &options(1.0, 10.0)).unwrap();
    assert_eq!(path.frames.len(), 10);
    assert_same_camera(&path.frames[9], &views()[0].camera, 1e-6);
}

#[test]
fn dataset_path_has_the_cameras_as_they_are() {
    let views = views();
    let path = CameraPath::dataset(&views, &PathOptions::default()).unwrap();
    assert_eq!(path.frames, views.iter().map(|view| view.camera).collect::<Vec<_>>());
    let error = CameraPath::dataset(&[], &PathOptions::default()).unwrap_err();
    assert!(error.to_string().contains("split"));
}

#[test]
fn mirrored_cameras_are_not_interpolated() {
    let mut views = views();
    views[3].camera.camera_to_world.iter_mut().for_each(|row| row[0] = -row[0]);
    let error = CameraPath::interpolate(&views, Order::File, &PathOptions::default()).unwrap_err();
    assert!(error.to_string().contains("train/r_3 has a mirrored camera"));
}

fn read(document: &Value, options: &PathOptions) -> gridfield::Result<CameraPath> {
    let file = tempfile::Builder::new().suffix("path.json").tempfile().unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    CameraPath::read_json(file.path(), &scene(), options)
}

fn nerfstudio(camera: &Camera) -> Value {
    let mut matrix = camera.camera_to_world.as_flattened().to_vec();
    matrix.extend([0.0, 0.0, 0.0, 1.0]);
    json!({
        "camera_type": "perspective", "render_width": 160, "render_height": 120, "fps": 24, "seconds": 1,
        "camera_path": [{ "camera_to_world": matrix, "fov": 0.7f32.to_degrees(), "aspect": 1.3 }],
    })
}

#[test]
fn nerfstudio_path_is_read() {
    let expected = looking(1.0, 0.5);
    let path = read(&nerfstudio(&expected), &PathOptions::default()).unwrap();
    assert_eq!((path.frames.len(), path.fps), (1, 24.0));
    assert_same_camera(&path.frames[0], &expected, 1e-6);
    let k = path.frames[0].intrinsics;
    assert_eq!((k.width, k.height, k.cx, k.cy), (160, 120, 80.0, 60.0));
    assert!((k.fl_y - expected.scaled(160, 120).intrinsics.fl_y).abs() < 1e-3);
    let asked = read(&nerfstudio(&expected), &options(9.0, 60.0)).unwrap();
    assert_eq!((asked.frames[0].intrinsics.width, asked.fps, asked.frames.len()), (64, 60.0, 540));
}

#[test]
fn nerfstudio_panoramas_are_read() {
    let mut document = nerfstudio(&looking(1.0, 0.5));
    document["camera_type"] = json!("equirectangular");
    document["render_width"] = json!(240);
    document["camera_path"][0].as_object_mut().unwrap().remove("fov");
    let path = read(&document, &PathOptions::default()).unwrap();
    assert_eq!(path.frames[0].intrinsics, Intrinsics::panorama(240, 120));
    assert_same_camera(&path.frames[0], &looking(1.0, 0.5), 1e-6);
}

/// Builds a path in the scene with the size asked for.
fn built(choice: &str, size: (Option<u32>, Option<u32>), camera: FrameCamera) -> gridfield::Result<CameraPath> {
    let options = PathOptions { seconds: None, camera: Some(camera), ..PathOptions::default() };
    choice.parse::<PathChoice>().unwrap().build(&scene(), size, 1, options)
}

#[test]
fn any_path_can_be_of_panoramas() {
    for choice in ["orbit", "spiral", "interpolate", "dataset"] {
        let straight = built(choice, (None, None), FrameCamera::Perspective).unwrap();
        for (size, expected) in [
            ((None, None), (120, 60)),
            ((Some(100), None), (100, 50)),
            ((None, Some(30)), (60, 30)),
            ((Some(64), Some(32)), (64, 32)),
        ] {
            let path = built(choice, size, FrameCamera::Equirectangular).unwrap();
            assert_eq!(path.frames.len(), straight.frames.len());
            for (camera, other) in path.frames.iter().zip(&straight.frames) {
                assert_eq!(camera.intrinsics, Intrinsics::panorama(expected.0, expected.1), "{choice}");
                assert_eq!(camera.camera_to_world, other.camera_to_world);
            }
        }
    }
    let refused = built("orbit", (Some(64), Some(48)), FrameCamera::Equirectangular).unwrap_err().to_string();
    assert!(refused.contains("a panorama is twice as wide as high, not 64×48"), "{refused}");
    let odd = built("orbit", (Some(63), None), FrameCamera::Equirectangular).unwrap_err().to_string();
    assert!(odd.contains("its width is an even number of pixels, not 63"), "{odd}");
    assert!(built("orbit", (None, Some(u32::MAX)), FrameCamera::Equirectangular).is_err());
}

#[test]
fn panoramas_become_perspective_where_they_are_asked_to() {
    let mut scene = scene();
    scene.splits.train.iter_mut().for_each(|view| view.camera.intrinsics = Intrinsics::panorama(80, 40));
    let size = (Some(80), Some(40));
    let frame = |choice: &str, camera| {
        let options = PathOptions { camera, ..PathOptions::default() };
        choice.parse::<PathChoice>().unwrap().build(&scene, size, 1, options).unwrap().frames[0].intrinsics
    };
    assert_eq!(frame("dataset", None), Intrinsics::panorama(80, 40));
    // 90° wide.
    let straight = Intrinsics { fl_x: 40.0, fl_y: 40.0, lens: Lens::Perspective, ..Intrinsics::panorama(80, 40) };
    for found in [frame("orbit", None), frame("interpolate", None), frame("dataset", Some(FrameCamera::Perspective))] {
        let near = (found.fl_x - 40.0).abs() < 1e-4 && (found.fl_y - 40.0).abs() < 1e-4;
        assert!(near && Intrinsics { fl_x: 40.0, fl_y: 40.0, ..found } == straight, "{found:?}");
    }
}

#[test]
fn frames_have_at_most_16384_pixels_a_side() {
    let mut large = nerfstudio(&looking(1.0, 0.5));
    for (side, says) in [(16384, None), (16385, Some("render_width is 16385")), (1_000_000, Some("at most 16384"))] {
        large["render_width"] = json!(side);
        let error = read(&large, &PathOptions::default()).err().map(|error| error.to_string());
        assert_eq!(error.is_some(), says.is_some(), "{side}");
        assert!(says.is_none_or(|says| error.as_ref().unwrap().contains(says)), "{error:?}");
    }
    let tall = PathOptions { size: Some((8, 16385)), ..Default::default() };
    let error = CameraPath::orbit(&scene(), &tall).unwrap_err().to_string();
    assert!(error.contains("8×16385; expected at most 16384"), "{error}");
}

/// Returns a key camera as instant-ngp's `nerf_matrix_to_ngp` and `CameraKeyframe` would store it.
fn ngp_key(camera: &Camera) -> Value {
    let m = camera.camera_to_world.map(|row| row.map(f64::from));
    let ngp = |row: usize| [m[row][0], -m[row][1], -m[row][2], m[row][3] * f64::from(0.33f32) + 0.5];
    let rows = [ngp(1), ngp(2), ngp(0)];
    let rotation = Rotation3::from_matrix_unchecked(Matrix3::from_fn(|row, column| rows[row][column]));
    let q = UnitQuaternion::from(rotation);
    json!({
        "R": [q.i, q.j, q.k, q.w], "T": rows.map(|row| row[3]), "fov": 0.7f32.to_degrees(),
        "slice": 0.0, "scale": 1.5, "aperture_size": 0.0,
    })
}

#[test]
fn instant_ngp_keys_come_back_into_the_scene() {
    let expected = looking(2.0, 0.3);
    let path = read(&json!({ "time": 0.0, "path": [ngp_key(&expected)] }), &options(0.5, 10.0)).unwrap();
    assert_eq!(path.frames.len(), 5);
    for frame in &path.frames {
        assert_same_camera(frame, &expected, 1e-5);
        assert!((frame.intrinsics.fl_y - expected.scaled(64, 48).intrinsics.fl_y).abs() < 1e-3);
    }
}

#[test]
fn instant_ngp_spline_smooths_and_ends_where_its_ends_are() {
    let keys: Vec<Value> = (0..4).map(|i| ngp_key(&looking(0.2 * i as f32, 0.3))).collect();
    let path = read(&json!({ "path": keys, "duration_seconds": 2.0 }), &PathOptions::default()).unwrap();
    assert_eq!((path.frames.len(), path.fps), (60, 30.0));
    // At the first key the spline is a weighted mean: 5/6 of that key, which counts twice, and 1/6 of the next.
    let [first, second] = [0, 1].map(|i| Vector3::from(looking(0.2 * i as f32, 0.3).position()));
    let expected = first * (5.0 / 6.0) + second / 6.0;
    assert!((Vector3::from(path.frames[0].position()) - expected).norm() < 1e-5);
}

#[test]
fn closed_instant_ngp_path_comes_around() {
    let keys: Vec<Value> = (0..6).map(|i| ngp_key(&looking(std::f32::consts::TAU / 6.0 * i as f32, 0.3))).collect();
    let path = read(&json!({ "path": keys, "loop": true }), &PathOptions::default()).unwrap();
    assert_eq!(path.frames.len(), 180);
    let step = |a: usize, b: usize| {
        (Vector3::from(path.frames[a].position()) - Vector3::from(path.frames[b].position())).norm()
    };
    assert!((step(0, 1) - step(179, 0)).abs() < 1e-3);
    // The spline cuts the corners of the hexagon by a sixth of the radius, so the same pitch aims 0.2 too high.
    assert!(path.frames.iter().all(|camera| aim(camera).0 < 0.25), "quaternions take the short way around");
}

#[test]
fn malformed_paths_say_where() {
    let fault = |document: &Value| read(document, &PathOptions::default()).unwrap_err().to_string();
    let broken = |key: &str, value: Value| {
        let mut document = nerfstudio(&looking(0.0, 0.0));
        match key.strip_prefix("frame.") {
            Some(key) => document["camera_path"][0][key] = value,
            None => document[key] = value,
        }
        fault(&document)
    };
    let ngp = |key: &str, value: Value| {
        let mut camera = ngp_key(&looking(0.0, 0.0));
        camera[key] = value;
        fault(&json!({ "path": [camera] }))
    };
    let cases = [
        (fault(&json!({ "frames": [] })), "holds no camera path"),
        (fault(&json!({ "path": [] })), "path is empty"),
        (broken("camera_path", json!([])), "camera_path is empty"),
        (broken("camera_path", json!(3)), "camera_path is the number 3, expected an array"),
        (broken("camera_type", json!("fisheye")), "camera_type is \"fisheye\", which is not supported"),
        (broken("render_width", json!(0)), "render_width is 0"),
        (broken("render_height", json!(null)), "has no \"render_height\""),
        (broken("fps", json!(-1)), "fps is -1"),
        (broken("frame.fov", json!(180)), "camera_path 0: fov is 180"),
        (broken("frame.camera_to_world", json!([1, 2])), "camera_path 0: camera_to_world has 2 numbers, expected 16"),
        (broken("frame.camera_to_world", json!(vec![0; 16])), "camera_path 0: camera_to_world is singular"),
        (ngp("R", json!([0, 0, 0, 0])), "path 0: R is 0"),
        (ngp("R", json!([0, 0, 1])), "path 0: R has 3 numbers, expected 4"),
        (ngp("T", json!("here")), "path 0: T is the string \"here\""),
        (ngp("fov", json!(null)), "path 0 has no \"fov\""),
    ];
    for (sentence, part) in cases {
        assert!(sentence.contains("path.json: ") && sentence.contains(part), "no {part:?} in: {sentence}");
    }
    let missing = CameraPath::read_json("nowhere.json", &scene(), &PathOptions::default()).unwrap_err();
    assert!(missing.to_string().contains("nowhere.json: cannot be read"));
}
