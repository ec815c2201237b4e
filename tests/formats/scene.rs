//! Reading scenes: variants of the Blender format on small generated scenes, and the real lego scene if the data folder
//! has it.

use crate::skip::skipped;
use gridfield::geometry::UnitCube;
use gridfield::scene::path::PathOptions;
use gridfield::scene::{CameraPath, Format, Scene, load_images};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tempfile::TempDir;

fn pose() -> Value {
    json!([[1.0, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, -1.0], [0.0, 0.0, 1.0, 4.0], [0.0, 0.0, 0.0, 1.0]])
}

fn frame(file_path: &str) -> Value {
    json!({ "file_path": file_path, "transform_matrix": pose() })
}

/// Creates a folder with one split of `frames`, with a horizontal field of view of π/2 and the further keys of
/// `global`.
fn scene(frames: Value, global: Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_split(folder.path(), "train", frames, global);
    folder
}

fn write_split(folder: &Path, split: &str, frames: Value, global: Value) {
    let mut document = json!({ "camera_angle_x": std::f64::consts::FRAC_PI_2, "frames": frames });
    document.as_object_mut().unwrap().extend(global.as_object().unwrap().clone());
    std::fs::write(folder.join(format!("transforms_{split}.json")), document.to_string()).unwrap();
}

fn write_image(folder: &Path, name: &str, width: u32, height: u32) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(width, height, image::Rgb([10, 20, 30])).save(path).unwrap();
}

#[test]
fn splits_names_and_paths_are_read() {
    let folder = scene(json!([frame("./train/r_0"), frame("train/r_1.jpg")]), json!({}));
    write_split(folder.path(), "test", json!([frame("./test/r_0")]), json!({}));
    for name in ["train/r_0.png", "train/r_1.jpg", "test/r_0.png"] {
        write_image(folder.path(), name, 8, 6);
    }
    let scene = Scene::open(folder.path()).unwrap();
    assert_eq!(scene.format, Format::Blender);
    assert_eq!(scene.name, folder.path().file_name().unwrap().to_str().unwrap());
    assert_eq!(scene.unit_cube, UnitCube::BLENDER);
    let names: Vec<_> = scene.splits.train.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(names, ["train/r_0", "train/r_1"]);
    assert_eq!(scene.splits.train[1].image_path(), folder.path().join("train/r_1.jpg"));
    assert_eq!((scene.splits.val.len(), scene.splits.test.len()), (0, 1));
    let camera = scene.splits.train[0].camera;
    assert_eq!(camera.position(), [0.5, -1.0, 4.0]);
    assert!((camera.intrinsics.fl_x - 4.0).abs() < 1e-6 && camera.intrinsics.fl_y == camera.intrinsics.fl_x);
    assert_eq!((camera.intrinsics.cx, camera.intrinsics.cy), (4.0, 3.0));
}

#[test]
fn images_of_different_sizes_have_their_own_cameras() {
    let folder = scene(json!([frame("a"), frame("b")]), json!({}));
    write_image(folder.path(), "a.png", 8, 6);
    write_image(folder.path(), "b.png", 20, 10);
    let scene = Scene::open(folder.path()).unwrap();
    let sizes: Vec<_> = scene.splits.train.iter().map(|view| view.camera.intrinsics).collect();
    assert_eq!((sizes[0].width, sizes[0].height, sizes[1].width, sizes[1].height), (8, 6, 20, 10));
    assert!((sizes[1].fl_x - 10.0).abs() < 1e-5);
}

#[test]
fn intrinsics_of_a_frame_win_and_scale_to_the_image() {
    let mut own = frame("a");
    own.as_object_mut().unwrap().extend(
        json!({ "fl_x": 30.0, "fl_y": 32.0, "cx": 7.0, "cy": 5.0, "w": 16, "h": 12 }).as_object().unwrap().clone(),
    );
    let folder = scene(json!([own, frame("b")]), json!({ "fl_x": 9.0, "camera_angle_y": 1.0 }));
    write_image(folder.path(), "a.png", 8, 6);
    write_image(folder.path(), "b.png", 8, 6);
    let scene = Scene::open(folder.path()).unwrap();
    let [a, b] = [0, 1].map(|i| scene.splits.train[i].camera.intrinsics);
    assert_eq!((a.width, a.height, a.fl_x, a.fl_y, a.cx, a.cy), (8, 6, 15.0, 16.0, 3.5, 2.5));
    assert_eq!((b.fl_x, b.cx, b.cy), (9.0, 4.0, 3.0));
    assert!((b.fl_y - 3.0 / 0.5f32.tan()).abs() < 1e-5);
}

#[test]
fn sixteen_bit_and_grey_images_become_eight_bit_rgba() {
    let folder = scene(json!([frame("deep"), frame("grey")]), json!({}));
    let deep = image::ImageBuffer::from_pixel(2, 2, image::Rgba([65535u16, 32896, 0, 257]));
    image::DynamicImage::ImageRgba16(deep).save(folder.path().join("deep.png")).unwrap();
    image::GrayImage::from_pixel(2, 2, image::Luma([77])).save(folder.path().join("grey.png")).unwrap();
    let scene = Scene::open(folder.path()).unwrap();
    let images = load_images(&scene.splits.train, 1, &|_, _| {}).unwrap();
    assert_eq!(images[0].pixel(1, 1), [255, 128, 0, 1]);
    assert_eq!(images[1].pixel(0, 1), [77, 77, 77, 255]);
    assert!(images[0].has_alpha() && !images[1].has_alpha());
}

#[test]
fn images_load_in_order_and_report_progress() {
    let names: Vec<String> = (0..12).map(|i| format!("r_{i}")).collect();
    let folder = scene(names.iter().map(|name| frame(name)).collect(), json!({}));
    for (name, i) in names.iter().zip(4..) {
        write_image(folder.path(), &format!("{name}.png"), i, 4);
    }
    let scene = Scene::open(folder.path()).unwrap();
    let seen = Mutex::new(Vec::new());
    let images = load_images(&scene.splits.train, 2, &|done, total| seen.lock().unwrap().push((done, total))).unwrap();
    assert!(images.iter().zip(4..).all(|(image, i)| image.width == i / 2 && image.height == 2));
    assert_eq!(seen.into_inner().unwrap(), (1..=12).map(|done| (done, 12)).collect::<Vec<_>>());
}

/// Returns the lego scene of the data folder, or prints a reason and returns None.
fn lego(test: &str) -> Option<PathBuf> {
    let data = std::env::var_os("GRIDFIELD_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let lego = data.join("blender/lego");
    if !lego.is_dir() {
        skipped(test, format!("there is no {}; GRIDFIELD_DATA names the data folder", lego.display()));
        return None;
    }
    Some(lego)
}

#[test]
fn lego_opens_with_its_known_cameras_and_pixels() {
    let Some(path) = lego("lego_opens_with_its_known_cameras_and_pixels") else { return };
    let scene = Scene::open(&path).unwrap();
    assert_eq!(scene.name, "lego");
    assert_eq!((scene.splits.train.len(), scene.splits.val.len(), scene.splits.test.len()), (100, 0, 200));
    let view = &scene.splits.train[0];
    let k = view.camera.intrinsics;
    assert_eq!((view.name.as_str(), k.width, k.height, k.cx), ("train/r_0", 800, 800, 400.0));
    assert!((k.fl_x - 1111.111).abs() < 1e-2);
    let image = view.load(1).unwrap();
    assert!(image.has_alpha() && image.pixel(0, 0)[3] == 0 && image.pixel(400, 400)[3] == 255);
    let quarter = view.load(4).unwrap();
    assert_eq!((quarter.width, quarter.height), (200, 200));
}

#[test]
fn lego_cameras_all_look_at_the_model_inside_the_unit_cube() {
    let Some(path) = lego("lego_cameras_all_look_at_the_model_inside_the_unit_cube") else { return };
    let scene = Scene::open(&path).unwrap();
    for view in scene.splits.train.iter().chain(&scene.splits.test) {
        let (position, forward) = (view.camera.position(), view.camera.forward());
        let along: f32 = position.iter().zip(forward).map(|(p, f)| -p * f).sum();
        let nearest: [f32; 3] = std::array::from_fn(|i| position[i] + along * forward[i]);
        assert!(nearest.iter().all(|x| x.abs() < 0.01), "{} looks past the origin", view.name);
        assert!(scene.unit_cube.to_unit(nearest).iter().all(|x| (0.0..=1.0).contains(x)));
    }
}

#[test]
fn lego_is_orbited_upright_at_the_distance_of_its_cameras() {
    let Some(path) = lego("lego_is_orbited_upright_at_the_distance_of_its_cameras") else { return };
    let path = CameraPath::orbit(&Scene::open(&path).unwrap(), &PathOptions::default()).unwrap();
    let height = path.frames[0].position()[2];
    for camera in &path.frames {
        let position = camera.position();
        let distance = position.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((distance - 4.031).abs() < 0.01, "{distance}");
        assert!((position[2] - height).abs() < 1e-5, "z is up");
    }
}
