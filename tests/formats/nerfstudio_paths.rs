//! Camera paths of nerfstudio's viewer: in the frame that its run gives the scene, resampled, or of keyframes alone.

use std::path::{Path, PathBuf};

use crate::captures::write_json;
use gridfield::geometry::{Camera, Intrinsics, UnitCube};
use gridfield::scene::path::{PathChoice, PathOptions, PathTransforms};
use gridfield::scene::{CameraPath, Capture, Format, Scene, Splits, View};
use nalgebra::{Matrix4, Rotation3, Vector3};
use serde_json::{Value, json};

/// Returns the camera-to-world matrix of a camera on a circle, turned a little.
fn pose(i: usize) -> Matrix4<f64> {
    let angle = 0.7 * i as f64;
    let mut pose = Rotation3::from_euler_angles(0.3, angle, 0.1 * i as f64).to_homogeneous();
    let place = Vector3::new(3.0 * angle.sin(), 0.4 * i as f64, 3.0 * angle.cos());
    pose.fixed_view_mut::<3, 1>(0, 3).copy_from(&place);
    pose
}

fn numbers(matrix: &Matrix4<f64>) -> Vec<f64> {
    matrix.transpose().iter().copied().collect()
}

fn rows(matrix: &Matrix4<f64>) -> Value {
    json!(numbers(matrix).chunks(4).take(3).collect::<Vec<_>>())
}

/// A scene in a folder of its own, with files in and beside it.
struct Place {
    folder: tempfile::TempDir,
    scene: Scene,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scene");
        std::fs::create_dir(&path).unwrap();
        let camera_to_world = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 4.0]];
        let camera = Camera { intrinsics: Intrinsics::from_fov_y(80, 60, 0.7), camera_to_world };
        let scene = Scene {
            path,
            name: "scene".to_owned(),
            format: Format::Transforms,
            splits: Splits { train: vec![View::new("a", "", camera)], ..Splits::default() },
            unit_cube: UnitCube::BLENDER,
            capture: Capture::unknown(),
            points: Vec::new(),
            notes: Vec::new(),
            background: [1.0; 3],
        };
        Place { folder, scene }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, document: &Value) {
        write_json(self.path(name), document);
    }

    fn read(&self, transforms: PathTransforms, seconds: Option<f32>) -> gridfield::Result<CameraPath> {
        let options = PathOptions { transforms, seconds, ..PathOptions::default() };
        CameraPath::read_json(self.path("path.json"), &self.scene, &options)
    }
}

/// Returns a path document that lists `poses` as frames.
fn listed(poses: &[Matrix4<f64>]) -> Value {
    let frame = |pose| json!({ "camera_to_world": numbers(pose), "fov": 40.0, "aspect": 1.5 });
    let frames: Vec<Value> = poses.iter().map(frame).collect();
    json!({ "camera_type": "perspective", "render_width": 60, "render_height": 40, "fps": 10, "camera_path": frames })
}

/// Returns the largest difference of a camera's matrix from `expected`, which is relative to the same origin.
fn apart(camera: &Camera, expected: &Matrix4<f64>) -> f64 {
    let found = camera.camera_to_world.as_flattened().iter().map(|&x| f64::from(x));
    found.zip(numbers(expected)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// nerfstudio's map for a scene: x = s · (T · x_scene).
fn own() -> (Matrix4<f64>, f64) {
    let mut map = Rotation3::from_euler_angles(0.4, -0.2, 1.1).to_homogeneous();
    map.fixed_view_mut::<3, 1>(0, 3).copy_from(&Vector3::new(-0.07, 0.3, -0.5));
    (map, 0.306)
}

/// Returns a pose in nerfstudio's frame, as its loader makes it: turned and moved, then scaled.
fn in_nerfstudio(pose: &Matrix4<f64>) -> Matrix4<f64> {
    let (map, scale) = own();
    let mut pose = map * pose;
    pose.fixed_view_mut::<3, 1>(0, 3).scale_mut(scale);
    pose
}

#[test]
fn paths_in_nerfstudios_frame_come_back_into_the_scene() {
    let (map, scale) = own();
    let mut applied = Matrix4::new(0.0, 1.0, 0.0, 0.5, 1.0, 0.0, 0.0, -2.0, 0.0, 0.0, -1.0, 7.0, 0.0, 0.0, 0.0, 1.0);
    let old = Matrix4::new(0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0);
    for (case, keys, told) in [
        ("none", json!({}), "dataparser_transforms.json maps to the scene"),
        ("transform", json!({ "applied_transform": rows(&applied) }), " with the applied_transform of transforms.json"),
        ("both", json!({ "applied_transform": rows(&applied), "applied_scale": 2.5 }), " and its applied_scale"),
        ("old", json!({}), " with the usual applied_transform of COLMAP scenes"),
    ] {
        let place = Place::new();
        place.write("scene/transforms.json", &keys);
        match case {
            "none" => applied = Matrix4::identity(),
            "old" => {
                applied = old;
                std::fs::create_dir_all(place.path("scene/colmap/sparse/0")).unwrap();
            }
            _ => {
                applied = Matrix4::new(0.0, 1.0, 0.0, 0.5, 1.0, 0.0, 0.0, -2.0, 0.0, 0.0, -1.0, 7.0, 0.0, 0.0, 0.0, 1.0)
            }
        }
        let applied_scale = keys["applied_scale"].as_f64().unwrap_or(1.0);
        let file = json!({ "transform": rows(&(map * applied)), "scale": scale * applied_scale });
        place.write("dataparser_transforms.json", &file);
        let poses: Vec<_> = (0..3).map(pose).collect();
        place.write("path.json", &listed(&poses.iter().map(in_nerfstudio).collect::<Vec<_>>()));
        let path = place.read(PathTransforms::Beside, None).unwrap();
        assert_eq!(path.notes.len(), 1);
        assert!(
            path.notes[0].contains("taken to be in nerfstudio's frame") && path.notes[0].contains(told),
            "{:?}",
            path.notes
        );
        for (camera, pose) in path.frames.iter().zip(&poses) {
            assert!(apart(camera, pose) < 1e-5, "{case}: {camera:?} {pose}");
        }
        // The same file by name, from elsewhere.
        std::fs::rename(place.path("dataparser_transforms.json"), place.path("scene/map.json")).unwrap();
        let given = place.read(PathTransforms::File(place.path("scene/map.json")), None).unwrap();
        assert_eq!(given.frames, path.frames);
    }
}

#[test]
fn paths_without_a_map_or_with_none_are_in_the_coordinates_of_the_scene() {
    let place = Place::new();
    place.write("path.json", &listed(&[pose(1)]));
    let path = place.read(PathTransforms::Beside, None).unwrap();
    assert!(apart(&path.frames[0], &pose(1)) < 1e-6);
    assert!(path.notes[0].contains("coordinates of the scene; if nerfstudio's viewer saved it"), "{:?}", path.notes);
    place.write("dataparser_transforms.json", &json!({ "transform": rows(&own().0), "scale": 0.3 }));
    let path = place.read(PathTransforms::None, None).unwrap();
    assert!(apart(&path.frames[0], &pose(1)) < 1e-6);
    assert!(path.notes[0].ends_with("is taken to be in the coordinates of the scene"), "{:?}", path.notes);
    assert_eq!("none".parse::<PathTransforms>().unwrap(), PathTransforms::None);
    assert_eq!("a/b.json".parse::<PathTransforms>().unwrap(), PathTransforms::File("a/b.json".into()));
}

#[test]
fn maps_lead_to_the_coordinates_of_a_scene_far_from_its_origin() {
    let mut place = Place::new();
    place.scene.unit_cube.origin = [441548.0, 5121946.0, 344.0];
    let mut far = pose(2);
    (0..3).for_each(|k| far[(k, 3)] += place.scene.unit_cube.origin[k] + 0.25);
    let (mut map, scale) = own();
    let moved = map.fixed_view::<3, 3>(0, 0) * Vector3::from(place.scene.unit_cube.origin);
    (0..3).for_each(|k| map[(k, 3)] -= moved[k]);
    let mut there = map * far;
    there.fixed_view_mut::<3, 1>(0, 3).scale_mut(scale);
    place.write("dataparser_transforms.json", &json!({ "transform": rows(&map), "scale": scale }));
    place.write("path.json", &listed(&[there]));
    let path = place.read(PathTransforms::Beside, None).unwrap();
    let mut expected = pose(2);
    (0..3).for_each(|k| expected[(k, 3)] += 0.25);
    assert!(apart(&path.frames[0], &expected) < 1e-5, "{:?}", path.frames[0]);
}

#[test]
fn faulty_maps_end_with_a_sentence() {
    let place = Place::new();
    place.write("path.json", &listed(&[pose(1)]));
    let refused = |file: &Value| {
        place.write("map.json", file);
        place.read(PathTransforms::File(place.path("map.json")), None).unwrap_err().to_string()
    };
    let map = rows(&own().0);
    for (file, says) in [
        (json!({ "scale": 1.0 }), "map.json: has no \"transform\""),
        (json!({ "transform": map }), "map.json: has no \"scale\""),
        (json!({ "transform": map, "scale": 0.0 }), "scale is 0"),
        (json!({ "transform": [[1, 0, 0, 0]], "scale": 1.0 }), "transform has 1 rows"),
        (json!({ "transform": vec![[0.0; 4]; 3], "scale": 1.0 }), "transform is singular"),
        (json!({ "transform": [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], "scale": 1.0 }), "transform mirrors"),
    ] {
        let error = refused(&file);
        assert!(error.contains(says), "{error}");
    }
    let absent = place.read(PathTransforms::File(place.path("absent.json")), None).unwrap_err().to_string();
    assert!(absent.contains("absent.json: cannot be read"), "{absent}");
    place.write("scene/transforms.json", &json!({ "applied_transform": vec![[0.0; 4]; 3] }));
    let error = refused(&json!({ "transform": map, "scale": 1.0 }));
    assert!(error.contains("transforms.json: applied_transform is singular"), "{error}");
    std::fs::remove_dir_all(place.path("scene")).unwrap();
    let error = refused(&json!({ "transform": map, "scale": 1.0 }));
    assert!(error.contains("is of a scene that is not here") && error.contains("--scene DIR"), "{error}");
    // Only files of nerfstudio have a frame of their own.
    place.write("path.json", &json!({ "path": [] }));
    let error = place.read(PathTransforms::None, None).unwrap_err().to_string();
    assert!(error.contains("is not a camera path of nerfstudio; leave --path-transforms away"), "{error}");
    let options = PathOptions { transforms: PathTransforms::None, ..PathOptions::default() };
    let error = PathChoice::Orbit.build(&place.scene, (None, None), 1, options).unwrap_err().to_string();
    assert!(error.contains("--path-transforms is for camera-path files"), "{error}");
}

#[test]
fn matrices_may_have_three_rows() {
    let place = Place::new();
    let mut document = listed(&[pose(1)]);
    document["camera_path"][0]["camera_to_world"].as_array_mut().unwrap().truncate(12);
    place.write("path.json", &document);
    assert!(apart(&place.read(PathTransforms::Beside, None).unwrap().frames[0], &pose(1)) < 1e-6);
}

#[test]
fn crop_boxes_along_the_axes_of_the_scene_are_read() {
    let place = Place::new();
    let read = |crop: Value| {
        let mut document = listed(&[pose(1)]);
        document["crop"] = crop;
        place.write("path.json", &document);
        place.read(PathTransforms::Beside, None)
    };
    let straight = json!({ "crop_center": [0, 1, 2], "crop_scale": [1, 2, 4], "crop_rot": [0, 0, 0] });
    let path = read(straight).unwrap();
    let crop = path.crop.unwrap();
    assert_eq!((crop.low, crop.high), ([-0.5, 0.0, 0.0], [0.5, 2.0, 4.0]));
    assert!(path.notes.iter().all(|note| !note.contains("crop")), "{:?}", path.notes);
    let turned = read(json!({ "crop_center": [0, 1, 2], "crop_scale": [1, 2, 4], "crop_rot": [0.1, 0, 0] })).unwrap();
    assert!(
        turned.crop.is_none() && turned.notes[1].contains("is turned against the scene's axes"),
        "{:?}",
        turned.notes
    );
    let error = read(json!({ "crop_center": [0, 1, 2], "crop_scale": [1, 0, 4] })).unwrap_err().to_string();
    assert!(error.contains("crop has a side that is not longer than 0"), "{error}");
    assert!(read(json!({ "crop_center": [0, 1, 2] })).unwrap_err().to_string().contains("crop_scale"));
}

#[test]
fn frames_are_resampled_to_a_length_in_seconds() {
    let place = Place::new();
    let poses: Vec<_> = (0..5).map(pose).collect();
    place.write("path.json", &listed(&poses));
    let frames = |seconds| place.read(PathTransforms::Beside, Some(seconds)).unwrap().frames;
    let as_listed = frames(0.5);
    assert_eq!(as_listed.len(), 5);
    assert_eq!(as_listed, place.read(PathTransforms::Beside, None).unwrap().frames);
    let more = frames(1.7);
    assert_eq!(more.len(), 17, "at 10 frames a second");
    for (i, pose) in poses.iter().enumerate() {
        assert!(apart(&more[4 * i], pose) < 1e-5, "every fourth is a listed frame");
    }
    let between = Vector3::from(more[2].position()).metric_distance(&Vector3::from(more[0].position()));
    assert!((0.5..2.0).contains(&between), "{between}");
    assert!(apart(&frames(0.2)[1], &poses[4]) < 1e-5, "fewer frames keep the ends");
    let mut mirrored = poses.clone();
    mirrored[1].column_mut(0).scale_mut(-1.0);
    place.write("path.json", &listed(&mirrored));
    let error = place.read(PathTransforms::Beside, Some(2.0)).unwrap_err().to_string();
    assert!(error.contains("has a mirrored camera") && error.contains("leave --seconds away"), "{error}");
}

/// Returns a path document of `poses` as keyframes alone, with the matrices of the first viewers or of later ones.
fn keyed(poses: &[Matrix4<f64>], are_texts: bool) -> Value {
    let matrix = |pose: &Matrix4<f64>| match are_texts {
        true => json!(json!(pose.iter().collect::<Vec<_>>()).to_string()),
        false => json!(numbers(pose)),
    };
    let key = |pose| json!({ "matrix": matrix(pose), "fov": 40.0, "aspect": 1.5, "override_transition_sec": null });
    json!({
        "keyframes": poses.iter().map(key).collect::<Vec<_>>(), "camera_path": [], "default_fov": 50.0, "fps": 10,
        "default_transition_sec": 2.0, "render_width": 60.0, "render_height": 40.0, "smoothness_value": 0.5,
        "is_cycle": false, "seconds": 0.1,
    })
}

fn same_cameras(a: &[Camera], b: &[Camera]) -> bool {
    let near = |a: &Camera, b: &Camera| {
        let pairs = a.camera_to_world.as_flattened().iter().zip(b.camera_to_world.as_flattened());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) < 1e-5
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b))
}

#[test]
fn keyframes_alone_are_interpolated_at_their_times() {
    let place = Place::new();
    let poses: Vec<_> = (0..4).map(pose).collect();
    let mut read = Vec::new();
    for are_texts in [true, false] {
        let mut document = keyed(&poses, are_texts);
        place.write("path.json", &document);
        let path = place.read(PathTransforms::Beside, None).unwrap();
        assert_eq!((path.frames.len(), path.notes.len()), (60, 2), "three transitions of two seconds");
        assert!(path.notes[1].contains("lists key cameras alone"), "{:?}", path.notes);
        (0..3).for_each(|i| assert!(apart(&path.frames[20 * i], &poses[i]) < 1e-5, "key {i}"));
        let steps = path
            .frames
            .windows(2)
            .map(|pair| Vector3::from(pair[0].position()).metric_distance(&Vector3::from(pair[1].position())));
        assert!(steps.fold(0.0, f32::max) < 0.3, "smooth");
        read.push(path.frames);
        // One second to the third key instead of two, and back to the first.
        document["keyframes"][2]["override_transition_enabled"] = json!(true);
        document["keyframes"][2]["override_transition_sec"] = json!(1.0);
        document["is_cycle"] = json!(true);
        document["keyframes"][1].as_object_mut().unwrap().remove("fov");
        document.as_object_mut().unwrap().remove("camera_path");
        place.write("path.json", &document);
        let frames = place.read(PathTransforms::Beside, None).unwrap().frames;
        assert_eq!(frames.len(), 70);
        for (frame, pose) in [(0, 0), (20, 1), (30, 2), (50, 3)] {
            assert!(apart(&frames[frame], &poses[pose]) < 1e-5, "key {pose}");
        }
        assert!(frames[20].intrinsics.fl_y < frames[0].intrinsics.fl_y, "the field of view of the file is wider");
        let half = place.read(PathTransforms::Beside, Some(3.5)).unwrap().frames;
        assert_eq!(half.len(), 35);
        assert!(apart(&half[10], &poses[1]) < 1e-5, "--seconds scales the times");
    }
    // ½ makes a Catmull–Rom spline of the first viewers, and one of more tension later.
    assert!(!same_cameras(&read[0], &read[1]));
    let mut document = keyed(&poses, false);
    document["smoothness_value"] = json!(0.0);
    place.write("path.json", &document);
    assert!(same_cameras(&read[0], &place.read(PathTransforms::Beside, None).unwrap().frames));
    // Without transitions the file's length counts.
    document.as_object_mut().unwrap().remove("default_transition_sec");
    document["seconds"] = json!(3.0);
    place.write("path.json", &document);
    assert_eq!(place.read(PathTransforms::Beside, None).unwrap().frames.len(), 30);
    document["camera_type"] = json!("equirectangular");
    place.write("path.json", &document);
    let panoramas = place.read(PathTransforms::Beside, None).unwrap().frames;
    assert!(panoramas.len() == 30 && panoramas.iter().all(|camera| camera.intrinsics == Intrinsics::panorama(60, 40)));
    document["keyframes"].as_array_mut().unwrap().truncate(1);
    place.write("path.json", &document);
    let alone = place.read(PathTransforms::Beside, None).unwrap().frames;
    assert!(alone.len() == 30 && alone.iter().all(|camera| apart(camera, &poses[0]) < 1e-5));
}

#[test]
fn faulty_keyframes_end_with_a_sentence() {
    let place = Place::new();
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut document = keyed(&[pose(0), pose(1)], false);
        change(&mut document);
        place.write("path.json", &document);
        place.read(PathTransforms::Beside, None).unwrap_err().to_string()
    };
    let of_key = |key: &str, value: Value| {
        let error = refused(&|document| document["keyframes"][1][key] = value.clone());
        assert!(error.contains("path.json: keyframes 1"), "{error}");
        error
    };
    let mut mirrored = pose(1);
    mirrored.column_mut(0).scale_mut(-1.0);
    for (error, says) in [
        (of_key("matrix", json!("[1, 2]")), "matrix is not a list of 16 finite numbers"),
        (of_key("matrix", json!([1, 2])), "matrix has 2 numbers, expected 16"),
        (of_key("matrix", json!(vec![0.5; 16])), "neither its last row nor its last column"),
        (of_key("matrix", json!(numbers(&mirrored))), "matrix mirrors"),
        (of_key("fov", json!(190)), "fov is 190"),
        (refused(&|document| document["smoothness_value"] = json!(1.5)), "smoothness_value is 1.5; it must be from 0"),
        (refused(&|document| document["default_transition_sec"] = json!(0)), "default_transition_sec is 0"),
        (refused(&|document| document["is_cycle"] = json!("yes")), "is_cycle is the string"),
        (refused(&|document| document["keyframes"] = json!([])), "camera_path is empty"),
    ] {
        assert!(error.contains(says), "{error}");
    }
}

/// The key that says what was applied is not needed for a scene of another format, in whose coordinates the map is.
#[test]
fn a_folder_without_transforms_has_nothing_applied() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("scene/colmap/sparse/0")).unwrap();
    place.write("dataparser_transforms.json", &json!({ "transform": rows(&own().0), "scale": own().1 }));
    place.write("path.json", &listed(&[in_nerfstudio(&pose(1))]));
    assert!(apart(&place.read(PathTransforms::Beside, None).unwrap().frames[0], &pose(1)) < 1e-5);
    assert!(Path::new(&place.scene.path).is_dir());
}
