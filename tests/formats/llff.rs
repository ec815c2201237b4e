//! Scenes of the LLFF format.

use crate::captures::{FOCAL, SIZE, data, image, llff, name};
use gridfield::scene::{CaptureKind, Format, OpenOptions, Scene, View};
use std::path::Path;

fn scene_of(n: usize, degrees: f64) -> (tempfile::TempDir, Scene) {
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), n, degrees);
    let scene = Scene::open(folder.path()).unwrap();
    (folder, scene)
}

fn names(views: &[View]) -> Vec<&str> {
    views.iter().map(|view| view.name.as_str()).collect()
}

#[test]
fn every_eighth_view_is_held_out_and_bounds_are_kept() {
    let (_folder, scene) = scene_of(17, 30.0);
    assert_eq!(scene.format, Format::Llff);
    assert_eq!((names(&scene.splits.test), scene.splits.train.len()), (vec!["000", "008", "016"], 14));
    assert_eq!(names(&scene.splits.train)[..8], ["001", "002", "003", "004", "005", "006", "007", "009"]);
    assert!(scene.splits.train.iter().all(|view| view.bounds == Some([1.0, 9.0])));
    assert_eq!(scene.capture.bounds, Some([1.0, 9.0]));
    let k = scene.splits.train[0].camera.intrinsics;
    assert_eq!((k.width, k.height, k.fl_x, k.fl_y, k.cx, k.cy), (40, 30, FOCAL as f32, FOCAL as f32, 20.0, 15.0));
}

#[test]
fn the_poses_columns_are_down_right_back() {
    let (_folder, scene) = scene_of(9, 60.0);
    for (view, i) in scene.splits.train.iter().zip(1..) {
        let expected = crate::captures::pose(i, 9, 60.0).map(|row| row.map(|x| x as f32));
        assert_eq!(view.camera.camera_to_world, expected, "{}", view.name);
    }
}

#[test]
fn rigs_are_forward_facing_where_they_look_one_way() {
    let (_forward_folder, forward) = scene_of(9, 40.0);
    assert_eq!(forward.capture.kind, CaptureKind::ForwardFacing);
    let frame = forward.capture.frame;
    assert!(frame[0][2] > 0.99 && frame[2][1] > 0.99, "the average camera looks along −x with z up: {frame:?}");
    let (_round_folder, round) = scene_of(9, 360.0);
    assert_eq!(round.capture.kind, CaptureKind::Inward);
}

#[test]
fn a_forward_facing_rig_has_all_that_it_sees_in_the_unit_cube() {
    let (_folder, scene) = scene_of(9, 40.0);
    let mut reaches = 0.0f32;
    for view in &scene.splits.train {
        let forward = view.camera.forward();
        for (x, y) in [(0.0, 0.0), (40.0, 0.0), (0.0, 30.0), (40.0, 30.0)] {
            let (origin, direction) = view.camera.ray(x, y);
            let along: f32 = forward.iter().zip(direction).map(|(a, b)| a * b).sum();
            for depth in [0.0, 9.0] {
                let point = scene.unit_cube.to_unit(std::array::from_fn(|k| origin[k] + direction[k] * depth / along));
                assert!(point.iter().all(|x| (-1e-5..=1.00001).contains(x)), "{point:?}");
                reaches = point.iter().fold(reaches, |most, x| most.max((x - 0.5).abs()));
            }
        }
    }
    assert!(reaches > 0.4999, "and the cube is not larger than necessary: {reaches}");
}

#[test]
fn cameras_around_a_scene_stand_well_inside_of_the_unit_cube() {
    let (_folder, scene) = scene_of(24, 360.0);
    let centre = scene.unit_cube.to_unit([0.0; 3]);
    assert!(centre.iter().all(|x| (x - 0.5).abs() < 1e-5), "what they look at is the centre: {centre:?}");
    let all = scene.splits.train.iter().map(|view| scene.unit_cube.to_unit(view.camera.position()));
    let farthest = all.flat_map(|p| p.map(|x| (x - 0.5).abs())).fold(0.0, f32::max);
    assert!((farthest - 0.4).abs() < 1e-5, "{farthest}");
}

/// Writes images into each folder, in that folder's own grey.
fn write_folders(folder: &Path, n: usize, folders: &[(&str, u32, u8)]) {
    for (images, reduced, grey) in folders {
        for i in 0..n {
            let size = (SIZE.0 / reduced, SIZE.1 / reduced);
            image(folder.join(images).join(format!("image{}.png", name(i))), size, *grey);
        }
    }
}

#[test]
fn downscaled_images_come_from_their_folder_or_are_made() {
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), 3, 30.0);
    write_folders(folder.path(), 3, &[("images_4", 4, 44)]);
    let scene = Scene::open(folder.path()).unwrap();
    let view = &scene.splits.train[0];
    for (downscale, size, grey) in [(1, (40, 30), 100), (2, (20, 15), 100), (4, (10, 7), 44), (5, (8, 6), 100)] {
        let image = view.load(downscale).unwrap();
        assert_eq!(((image.width, image.height), image.pixel(1, 1)[0]), (size, grey), "÷{downscale}");
        let k = view.camera_at(downscale).intrinsics;
        assert_eq!((k.width, k.height), size, "÷{downscale}");
        assert!((k.fl_x - FOCAL as f32 / downscale as f32).abs() < 1e-4 && (k.cx * 2.0 - size.0 as f32).abs() < 1e-4);
    }
    // The reduced image is 7 pixels high, and an exact quarter would be 7.5, so its pixels are slightly taller.
    let fl_y = view.camera_at(4).intrinsics.fl_y;
    assert!((fl_y - FOCAL as f32 * 7.0 / 30.0).abs() < 1e-4, "{fl_y}");
    let image = view.load(8).unwrap();
    assert_eq!(
        (image.width, image.height, image.pixel(0, 0)[0]),
        (5, 3, 44),
        "an eighth, reduced from the images of a quarter"
    );
}

#[test]
fn without_full_images_their_size_is_that_of_the_poses() {
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), 3, 30.0);
    std::fs::remove_dir_all(folder.path().join("images")).unwrap();
    write_folders(folder.path(), 3, &[("images_2", 2, 22)]);
    let scene = Scene::open(folder.path()).unwrap();
    let view = &scene.splits.train[0];
    assert_eq!((view.camera.intrinsics.width, view.name.as_str()), (40, "image001"));
    assert_eq!(view.load(2).unwrap().width, 20);
    let error = view.load(1).unwrap_err().to_string();
    assert!(error.contains("image001 is here only as reduced by 2, not by 1; give --downscale 2"), "{error}");
}

#[test]
fn full_images_of_another_size_scale_the_camera() {
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), 3, 30.0);
    (0..3).for_each(|i| image(folder.path().join(format!("images/{}.png", name(i))), (80, 60), 1));
    let scene = Scene::open(folder.path()).unwrap();
    let k = scene.splits.train[0].camera.intrinsics;
    assert_eq!((k.width, k.fl_x, k.cx), (80, 2.0 * FOCAL as f32, 40.0));
}

#[test]
fn the_format_can_be_named_where_a_folder_holds_two() {
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), 3, 30.0);
    crate::captures::colmap(3, 30.0).write_binary(&folder.path().join("sparse/0"));
    assert_eq!(Scene::open(folder.path()).unwrap().format, Format::Llff);
    let options = OpenOptions { format: Some(Format::Colmap), ..OpenOptions::default() };
    assert_eq!(Scene::open_with(folder.path(), &options).unwrap().format, Format::Colmap);
    let options = OpenOptions { format: Some(Format::Transforms), ..OpenOptions::default() };
    let error = Scene::open_with(folder.path(), &options).unwrap_err().to_string();
    assert!(error.contains("none of transforms.json (nerfstudio, instant-ngp) is there"), "{error}");
}

#[test]
fn fern_opens_with_its_points_between_its_bounds() {
    let Some(path) = data("fern_opens_with_its_points_between_its_bounds", "llff/fern") else { return };
    let scene = Scene::open(&path).unwrap();
    assert_eq!((scene.splits.train.len(), scene.splits.test.len()), (17, 3));
    assert_eq!(scene.capture.kind, CaptureKind::ForwardFacing);
    let view = &scene.splits.train[0];
    let k = view.camera_at(8).intrinsics;
    assert_eq!((k.width, k.height, view.camera.intrinsics.width), (504, 378, 4032));
    assert!((k.fl_x - 407.566).abs() < 1e-2, "{}", k.fl_x);
    assert_eq!(view.load(8).unwrap().width, 504);
    // The poses are in COLMAP's world, and COLMAP's points are stored with them.
    let bytes = std::fs::read(path.join("sparse/0/points3D.bin")).unwrap();
    let points = points_of(&bytes);
    let [near, far] = view.bounds.unwrap();
    let seen: Vec<_> = points.iter().filter(|point| in_image(view, **point)).collect();
    let between = seen.iter().filter(|point| (near..far).contains(&depth(view, ***point))).count();
    assert!(seen.len() > 4000 && between as f32 > 0.97 * seen.len() as f32, "{between} of {}", seen.len());
    let inside = seen.iter().filter(|p| scene.unit_cube.to_unit(***p).iter().all(|x| (0.0..1.0).contains(x))).count();
    assert!(inside as f32 > 0.97 * seen.len() as f32);
}

fn in_image(view: &View, point: [f32; 3]) -> bool {
    view.camera.project(point).is_some_and(|[x, y]| (0.0..4032.0).contains(&x) && (0.0..3024.0).contains(&y))
}

fn depth(view: &View, point: [f32; 3]) -> f32 {
    let (position, forward) = (view.camera.position(), view.camera.forward());
    (0..3).map(|k| (point[k] - position[k]) * forward[k]).sum()
}

/// Reads the points of a points3D.bin, independently of the reader under test.
fn points_of(bytes: &[u8]) -> Vec<[f32; 3]> {
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mut at = 8;
    let point = |_| {
        let point = std::array::from_fn(|k| f64::from_bits(u64_at(at + 8 + 8 * k)) as f32);
        at += 43 + 8 + 8 * u64_at(at + 43) as usize;
        point
    };
    (0..u64_at(0)).map(point).collect()
}
