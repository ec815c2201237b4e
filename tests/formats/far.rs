//! Scenes whose coordinates are large compared with their extent, such as georeferenced ones, are read like those at
//! the origin.

use std::path::Path;

use crate::binary::moved_orrery;
use crate::captures::{Colmap, FOCAL, SIZE, colmap, image, llff_row, name, npy, pose, transforms, write, write_json};
use gridfield::config::SceneConfig;
use gridfield::geometry::UnitCube;
use gridfield::radiance::open_scene;
use gridfield::scene::path::PathOptions;
use gridfield::scene::{CameraPath, OpenOptions, Scene, View};
use nalgebra::{Quaternion, UnitQuaternion, Vector3};
use serde_json::{Value, json};

/// A place in the coordinates of a map: UTM zone 33, in metres.
const PLACE: [f64; 3] = [441547.502, 5121946.513, 345.087];

/// Writes the frames of a scene of ten cameras, moved by `by`.
fn write_transforms(folder: &Path, file: &str, by: [f64; 3], change: &dyn Fn(&mut Value)) {
    let mut document = transforms(folder, 10, 300.0);
    for frame in document["frames"].as_array_mut().unwrap() {
        for (row, by) in by.iter().enumerate() {
            let place = &mut frame["transform_matrix"][row][3];
            *place = json!(place.as_f64().unwrap() + by);
        }
    }
    change(&mut document);
    write_json(folder.join(file), &document);
}

fn write_llff(folder: &Path, degrees: f64, by: [f64; 3]) {
    let row = |i: usize| {
        let mut pose = pose(i, 10, degrees);
        (0..3).for_each(|row| pose[row][3] += by[row]);
        llff_row(&pose, SIZE, FOCAL)
    };
    write(folder.join("poses_bounds.npy"), npy(&[10, 17], &(0..10).flat_map(row).collect::<Vec<f64>>()));
    (0..10).for_each(|i| image(folder.join(format!("images/{}.png", name(i))), SIZE, 100));
}

fn write_colmap(folder: &Path, degrees: f64, by: [f64; 3], write: fn(&Colmap, &Path)) {
    let mut model = colmap(10, degrees);
    for (rotation, translation, ..) in &mut model.images {
        let [w, x, y, z] = *rotation;
        let turned = UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z)) * Vector3::from(by);
        *translation = (Vector3::from(*translation) - turned).into();
    }
    model.points.iter_mut().for_each(|(_, point)| (0..3).for_each(|k| point[k] += by[k]));
    model.write_images(folder);
    write(&model, &folder.join("sparse/0"));
}

/// Opens the scene that `write` writes at the origin and at [`PLACE`], checks that all but their origins agree within
/// rounding, and returns both.
#[track_caller]
fn both(write: impl Fn(&Path, [f64; 3])) -> [Scene; 2] {
    let [here, there] = [[0.0; 3], PLACE].map(|by| {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), by);
        Scene::open(folder.path()).unwrap()
    });
    assert_eq!(here.unit_cube.origin, [0.0; 3]);
    let origin = there.unit_cube.origin;
    assert!((0..3).all(|k| (origin[k] - PLACE[k]).abs() < 10.0), "{origin:?}");
    let (large, others): (Vec<&String>, Vec<&String>) = there.notes.iter().partition(|note| note.contains("large"));
    assert_eq!((large.len(), others), (1, here.notes.iter().collect()), "the same notes, and one on the place");
    let scale = there.unit_cube.scale / here.unit_cube.scale;
    assert!((scale - 1.0).abs() < 1e-5, "{} {}", here.unit_cube, there.unit_cube);
    assert_eq!(here.capture.kind, there.capture.kind);
    assert_eq!(here.capture.aabb_scale, there.capture.aabb_scale);
    let views = |scene: &Scene| -> Vec<View> {
        let splits = &scene.splits;
        splits.train.iter().chain(&splits.val).chain(&splits.test).cloned().collect()
    };
    let in_cube = |scene: &Scene, point: [f32; 3]| scene.unit_cube.to_unit(point);
    let agree = |a: [f32; 3], b: [f32; 3]| {
        let apart = (0..3).map(|k| (in_cube(&here, a)[k] - in_cube(&there, b)[k]).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{apart} unit cubes apart");
        let at: [f64; 3] = std::array::from_fn(|k| f64::from(b[k]) + origin[k] - PLACE[k] - f64::from(a[k]));
        assert!(at.iter().all(|x| x.abs() < 1e-5), "{at:?}");
    };
    assert_eq!(views(&here).len(), views(&there).len());
    for (a, b) in views(&here).iter().zip(&views(&there)) {
        assert_eq!((&a.name, a.camera.intrinsics), (&b.name, b.camera.intrinsics));
        (0..3).for_each(|row| assert_eq!(a.camera.camera_to_world[row][..3], b.camera.camera_to_world[row][..3]));
        agree(a.camera.position(), b.camera.position());
        let bounds = [a.bounds.unwrap_or_default(), b.bounds.unwrap_or_default()];
        assert!((0..2).all(|k| (bounds[0][k] - bounds[1][k]).abs() < 1e-5), "{bounds:?}");
    }
    agree(here.capture.frame.map(|row| row[3]), there.capture.frame.map(|row| row[3]));
    here.points.iter().zip(&there.points).for_each(|(&a, &b)| agree(a, b));
    [here, there]
}

#[test]
fn scenes_of_every_format_are_read_as_those_at_the_origin() {
    both(|folder, by| write_transforms(folder, "transforms.json", by, &|_| ()));
    both(|folder, by| {
        write_transforms(folder, "transforms_train.json", by, &|_| ());
        // One camera, which would have no origin of its own.
        let alone = |document: &mut Value| document["frames"].as_array_mut().unwrap().truncate(1);
        write_transforms(folder, "transforms_test.json", by, &alone);
    });
    for degrees in [40.0, 300.0] {
        both(|folder, by| write_llff(folder, degrees, by));
        let [_, there] = both(|folder, by| write_colmap(folder, degrees, by, Colmap::write_binary));
        assert_eq!(there.points.len(), 20);
        both(|folder, by| write_colmap(folder, degrees, by, Colmap::write_text));
    }
}

#[test]
fn the_place_that_a_file_gives_is_in_its_own_coordinates() {
    for (scale, has_offset, aabb_scale) in [(None, false, Some(4)), (Some(0.2), false, None), (Some(0.2), true, None)] {
        let [here, _] = both(|folder, by| {
            write_transforms(folder, "transforms.json", by, &|document| {
                document["aabb_scale"] = json!(aabb_scale);
                document["scale"] = json!(scale);
                if has_offset {
                    let offset = |k: usize| [0.5, 0.25, 0.75][k] - scale.unwrap_or(0.33) * by[k];
                    document["offset"] = json!([0, 1, 2].map(offset));
                }
            });
        });
        assert_eq!(here.unit_cube.scale, scale.unwrap_or(0.33) as f32);
        assert_eq!(here.capture.aabb_scale, aabb_scale);
    }
}

#[test]
fn settings_of_the_unit_cube_are_in_the_coordinates_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    write_transforms(folder.path(), "transforms.json", PLACE, &|_| ());
    let (scale, offset) = (0.15, PLACE.map(|x| 0.4 - 0.15 * x));
    let config =
        |scale, offset| SceneConfig { path: folder.path().to_owned(), scale, offset, ..SceneConfig::default() };
    let at_place = |scene: &Scene| {
        let UnitCube { origin, .. } = scene.unit_cube;
        scene.unit_cube.to_unit(std::array::from_fn(|k| (PLACE[k] - origin[k]) as f32))
    };
    let scaled = open_scene(&config(Some(scale), None)).unwrap();
    assert!(at_place(&scaled).iter().all(|x| (x - 0.5).abs() < 1e-4), "around the centre: {:?}", at_place(&scaled));
    let placed = open_scene(&config(Some(scale), Some(offset))).unwrap();
    assert!(at_place(&placed).iter().all(|x| (x - 0.4).abs() < 1e-4), "{:?}", at_place(&placed));
    assert!([scaled, placed].iter().all(|scene| scene.unit_cube.scale == 0.15));
    let error = open_scene(&config(Some(scale), Some([2e6, 0.0, 0.0]))).unwrap_err().to_string();
    assert!(error.contains("scene.offset is [2000000.0, 0.0, 0.0], which puts"), "{error}");
}

#[test]
fn coordinates_can_be_taken_as_checkpoints_before_had_them() {
    let folder = tempfile::tempdir().unwrap();
    write_transforms(folder.path(), "transforms.json", PLACE, &|_| ());
    let scene = Scene::open_with(folder.path(), &OpenOptions { origin: Some([0.0; 3]), ..OpenOptions::default() });
    let scene = scene.unwrap();
    assert_eq!(scene.unit_cube.origin, [0.0; 3]);
    let expected = pose(1, 10, 300.0).map(|row| row[3]);
    let found = scene.splits.train[0].camera.position();
    assert_eq!(found, std::array::from_fn(|k| (expected[k] + PLACE[k]) as f32));
}

#[test]
fn camera_paths_are_in_the_coordinates_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("path.json");
    let scene = Scene::open(moved_orrery(folder.path(), PLACE)).unwrap();
    let mut matrix = vec![1.0, 0.0, 0.0, PLACE[0] + 0.125, 0.0, 1.0, 0.0, PLACE[1], 0.0, 0.0, 1.0, PLACE[2] + 4.0];
    matrix.extend([0.0, 0.0, 0.0, 1.0]);
    let frame = json!({ "camera_to_world": matrix, "fov": 40.0 });
    write_json(&path, &json!({ "render_width": 8, "render_height": 8, "camera_path": [frame] }));
    let read = CameraPath::read_json(&path, &scene, &PathOptions::default()).unwrap();
    let position = read.frames[0].position();
    let in_file: [f64; 3] = std::array::from_fn(|k| f64::from(position[k]) + scene.unit_cube.origin[k] - PLACE[k]);
    assert!((0..3).all(|k| (in_file[k] - [0.125, 0.0, 4.0][k]).abs() < 1e-6), "{in_file:?}");
    // instant-ngp's paths are in its unit cube, wherever that is.
    let key = json!({ "R": [0.0, 0.0, 0.0, 1.0], "T": [0.5, 0.5, 0.5], "fov": 40.0 });
    write_json(&path, &json!({ "path": [key] }));
    let read = CameraPath::read_json(&path, &scene, &PathOptions::default()).unwrap();
    let (position, centre) = (read.frames[0].position(), scene.unit_cube.to_scene([0.5; 3]));
    assert!((0..3).all(|k| (position[k] - centre[k]).abs() < 1e-5), "{position:?} {centre:?}");
}
