//! Broken scenes: each produces one sentence that names the file, the frame or the key, and the fault.

use gridfield::Error;
use gridfield::scene::{Scene, load_images};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// Returns a valid scene of two frames, for tests to break in one place.
fn document() -> Value {
    let pose = json!([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]);
    let frame = |i| json!({ "file_path": format!("./train/r_{i}"), "transform_matrix": pose });
    json!({ "camera_angle_x": 0.7, "frames": [frame(0), frame(1)] })
}

fn scene_of_text(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("transforms_train.json"), text).unwrap();
    std::fs::create_dir(folder.path().join("train")).unwrap();
    for i in 0..2 {
        image::RgbImage::new(8, 6).save(folder.path().join(format!("train/r_{i}.png"))).unwrap();
    }
    folder
}

/// Returns the error for the scene after `breaking` has changed its document.
fn fault(breaking: impl FnOnce(&mut Value)) -> String {
    let mut document = document();
    breaking(&mut document);
    fault_of_text(&document.to_string())
}

fn fault_of_text(text: &str) -> String {
    fault_of_folder(scene_of_text(text).path())
}

fn fault_of_folder(folder: &Path) -> String {
    let error = Scene::open(folder).unwrap_err();
    assert!(matches!(error, Error::File { .. }));
    let sentence = error.to_string();
    assert!(!sentence.contains('\n'), "more than one line: {sentence}");
    sentence
}

#[track_caller]
fn assert_says(sentence: &str, parts: &[&str]) {
    for part in parts {
        assert!(sentence.contains(part), "no {part:?} in: {sentence}");
    }
}

const IN_FILE: &str = "transforms_train.json: ";
const IN_FRAME_1: &str = "transforms_train.json: frame 1 (./train/r_1)";

#[test]
fn the_unbroken_scene_opens() {
    Scene::open(scene_of_text(&document().to_string()).path()).unwrap();
}

#[test]
fn folder_missing_or_a_file_or_empty() {
    let folder = tempfile::tempdir().unwrap();
    assert_says(&fault_of_folder(&folder.path().join("nowhere")), &["nowhere: there is no such folder"]);
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert_says(&fault_of_folder(&folder.path().join("file")), &["is a file", "transforms_train.json"]);
    let looked_for = ["holds no scene", "transforms_train.json", "transforms.json", "poses_bounds.npy"];
    assert_says(&fault_of_folder(folder.path()), &looked_for);
}

#[test]
fn json_truncated_or_malformed() {
    let whole = document().to_string();
    assert_says(&fault_of_text(&whole[..whole.len() / 2]), &[IN_FILE, "truncated"]);
    assert_says(&fault_of_text(""), &[IN_FILE, "truncated"]);
    assert_says(&fault_of_text("{\"frames\": oops}"), &[IN_FILE, "not valid JSON", "line 1"]);
}

#[test]
fn json_of_the_wrong_shape() {
    assert_says(&fault_of_text("[1, 2]"), &[IN_FILE, "is an array of 2, expected an object"]);
    assert_says(&fault_of_text("{}"), &[IN_FILE, "has no \"frames\""]);
    assert_says(&fault(|d| d["frames"] = json!([])), &[IN_FILE, "frames is empty"]);
    assert_says(&fault(|d| d["frames"] = json!("none")), &["frames is the string \"none\", expected an array"]);
    assert_says(&fault(|d| d["frames"][1] = json!(7)), &["frame 1 is the number 7, expected an object"]);
    assert_says(&fault(|d| d["frames"][1]["file_path"] = json!(7)), &["frame 1: file_path is the number 7"]);
    assert_says(&fault(|d| d["camera_angle_x"] = json!("wide")), &["camera_angle_x is the string \"wide\""]);
}

#[test]
fn image_missing() {
    let sentence = fault(|d| d["frames"][1]["file_path"] = json!("./train/r_9"));
    assert_says(&sentence, &[IN_FILE, "frame 1 (./train/r_9)", "not in"]);
}

#[test]
fn transform_of_the_wrong_size() {
    let set = |value: Value| fault(|d| d["frames"][1]["transform_matrix"] = value);
    assert_says(&set(json!([[1, 0, 0, 0]])), &[IN_FRAME_1, "transform_matrix has 1 rows, expected a 4×4"]);
    assert_says(&set(json!([[1, 0, 0], [0], [0], [0]])), &[IN_FRAME_1, "transform_matrix[0] has 3 numbers"]);
    assert_says(&set(json!(null)), &[IN_FRAME_1, "has no \"transform_matrix\""]);
    assert_says(&set(json!("eye")), &[IN_FRAME_1, "transform_matrix is the string"]);
}

#[test]
fn transform_not_finite_or_singular() {
    let not_a_number = document().to_string().replace("4],[0,0,0,1]]}]", "NaN],[0,0,0,1]]}]");
    assert_says(&fault_of_text(&not_a_number), &[IN_FRAME_1, "transform_matrix[2][3] is NaN"]);
    let overflowing = fault(|d| d["frames"][1]["transform_matrix"][0][1] = json!(1e200));
    assert_says(&overflowing, &[IN_FRAME_1, "transform_matrix[0][1] is 1e+200", "finite"]);
    let flat = fault(|d| d["frames"][1]["transform_matrix"][1] = json!([2, 0, 0, 0]));
    assert_says(&flat, &[IN_FRAME_1, "transform_matrix is singular"]);
}

#[test]
fn transform_whose_last_row_is_another() {
    let set = |row: Value| fault(|d| d["frames"][1]["transform_matrix"][3] = row);
    for row in [json!([0, 0, 0, 0]), json!([0, 0, 4, 1]), json!([0, 0, 0, 2])] {
        assert_says(&set(row), &[IN_FRAME_1, "transform_matrix has the last row [", "expected [0, 0, 0, 1]"]);
    }
    let mut rounded = document();
    rounded["frames"][1]["transform_matrix"][3] = json!([1e-7, 0, 0, 0.9999999]);
    Scene::open(scene_of_text(&rounded.to_string()).path()).unwrap();
}

#[test]
fn focal_lengths_that_single_precision_does_not_hold() {
    assert_says(&fault(|d| d["camera_angle_x"] = json!(1e-300)), &[IN_FILE, "camera_angle_x is 1e-300, too small"]);
    let stretched = fault(|d| {
        d["frames"][1].as_object_mut().unwrap().extend([
            ("fl_x".into(), json!(1e10)),
            ("w".into(), json!(8e-37)),
            ("h".into(), json!(6e-37)),
        ])
    });
    assert_says(&stretched, &[IN_FRAME_1, "not a finite number of pixels"]);
}

#[test]
fn camera_angle_outside_its_range() {
    for angle in [0.0, -0.5, 3.2] {
        let sentence = fault(|d| d["camera_angle_x"] = json!(angle));
        assert_says(&sentence, &[IN_FILE, &format!("camera_angle_x is {angle}"), "below π"]);
    }
    let text = document().to_string().replace("0.7", "Infinity");
    assert_says(&fault_of_text(&text), &[IN_FILE, "camera_angle_x is Infinity", "finite"]);
}

#[test]
fn focal_length_or_size_not_positive_or_absent() {
    assert_says(&fault(|d| d["frames"][1]["fl_x"] = json!(0)), &[IN_FRAME_1, "fl_x is 0; it must be above 0"]);
    assert_says(&fault(|d| d["fl_y"] = json!(-3)), &[IN_FILE, "fl_y is -3"]);
    assert_says(&fault(|d| d["w"] = json!(0)), &[IN_FILE, "w is 0"]);
    let neither = fault(|d| _ = d.as_object_mut().unwrap().remove("camera_angle_x"));
    assert_says(&neither, &["no focal length", "camera_angle_x", "fl_x"]);
}

#[test]
fn image_of_another_aspect_than_stated() {
    let sentence =
        fault(|d| d["frames"][1].as_object_mut().unwrap().extend([("w".into(), json!(8)), ("h".into(), json!(8))]));
    assert_says(&sentence, &[IN_FRAME_1, "8×6", "8×8", "aspect"]);
}

#[test]
fn lenses_that_are_not_known() {
    assert_says(
        &fault(|d| d["camera_model"] = json!("FISHEYE624")),
        &[
            "camera_model is FISHEYE624, which is not supported; expected one of SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL, \
             RADIAL, OPENCV, PERSPECTIVE, OPENCV_FISHEYE, FULL_OPENCV, EQUIRECTANGULAR",
        ],
    );
    let without_focal = fault(|d| {
        d.as_object_mut().unwrap().remove("camera_angle_x");
        d["camera_model"] = json!("FISHEYE624");
    });
    assert_says(&without_focal, &["camera_model is FISHEYE624, which is not supported"]);
    assert_says(&fault(|d| d["orthographic"] = json!(true)), &["orthographic", "not supported"]);
    assert_says(&fault(|d| d["ftheta_p0"] = json!(0.1)), &["ftheta_p0", "not supported"]);
    assert_says(&fault(|d| d["k2"] = json!("strong")), &[IN_FILE, "k2 is the string \"strong\""]);
}

#[test]
fn panoramas_that_cannot_be() {
    let panorama = |change: fn(&mut Value)| {
        fault(|d| {
            d.as_object_mut().unwrap().remove("camera_angle_x");
            d["camera_model"] = json!("EQUIRECTANGULAR");
            change(d);
        })
    };
    assert_says(
        &panorama(|d| d["camera_angle_x"] = json!(3.0)),
        &[IN_FILE, "camera_angle_x has no meaning for a panorama; give fl_x instead"],
    );
    assert_says(&panorama(|d| d["y_fov"] = json!(90)), &[IN_FILE, "y_fov has no meaning for a panorama; give fl_y"]);
    assert_says(
        &panorama(|d| d["fl_x"] = json!(2)),
        &[
            IN_FILE,
            "the image of 8×6 covers 720° around, and latitudes from -90° to 90°, more than there is",
            "fl_x = w / 2",
        ],
    );
    assert_says(&panorama(|d| d["fl_y"] = json!(5)), &["covers 360° around, and latitudes from -108° to 108°"]);
    assert_says(&panorama(|d| d["cy"] = json!(1)), &["latitudes from -150° to 30°"]);
    assert_says(
        &panorama(|d| d["is_fisheye"] = json!(true)),
        &["camera_model is EQUIRECTANGULAR, but is_fisheye is true"],
    );
    assert_says(
        &panorama(|d| d["equirectangular"] = json!(true)),
        &["equirectangular is true, but the camera is also said to be EQUIRECTANGULAR"],
    );
    let both = fault(|d| (d["latlong"], d["equirectangular"]) = (json!(true), json!(true)));
    assert_says(&both, &["equirectangular is true, but the camera is also said to be latlong"]);
    let other = fault(|d| (d["latlong"], d["camera_model"]) = (json!(true), json!("OPENCV")));
    assert_says(&other, &["latlong is true, but the camera is also said to be OPENCV"]);
    let fisheye = fault(|d| (d["latlong"], d["is_fisheye"]) = (json!(true), json!(true)));
    assert_says(&fisheye, &["latlong is true, but the camera is also said to be a fisheye"]);
    let third = fault(|d| (d["latlong"], d["ftheta_p0"]) = (json!(true), json!(0.1)));
    assert_says(&third, &["ftheta_p0 describes a kind of camera that is not supported"]);
    assert_says(&fault(|d| d["latlong"] = json!("yes")), &["latlong is the string \"yes\""]);
}

#[test]
fn a_bad_optional_split_is_not_ignored() {
    let folder = scene_of_text(&document().to_string());
    std::fs::write(folder.path().join("transforms_test.json"), "{").unwrap();
    assert_says(&fault_of_folder(folder.path()), &["transforms_test.json", "truncated"]);
}

/// Returns the error of loading the pixels of a scene whose second image file is `bytes`. Opening the scene, which
/// reads the headers, may already fail.
fn image_fault(bytes: &[u8]) -> String {
    let folder = scene_of_text(&document().to_string());
    std::fs::write(folder.path().join("train/r_1.png"), bytes).unwrap();
    let result = Scene::open(folder.path()).and_then(|scene| load_images(&scene.splits.train, 1, &|_, _| {}));
    result.unwrap_err().to_string()
}

fn encoded(format: image::ImageFormat) -> Vec<u8> {
    let noise = |x: u32, y: u32| image::Rgb([(x * 31 + y * 17) as u8, (x * 7) as u8, (y * 13) as u8]);
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::ImageRgb8(image::RgbImage::from_fn(64, 48, noise)).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn image_empty_truncated_or_no_image() {
    let (png, jpeg) = (encoded(image::ImageFormat::Png), encoded(image::ImageFormat::Jpeg));
    for bytes in [&[][..], b"no image at all", &png[..20], &png[..png.len() / 2], &jpeg[..jpeg.len() / 2], &jpeg[..30]]
    {
        assert_says(&image_fault(bytes), &["train/r_1.png: train/r_1 ", "export"]);
    }
}

#[test]
fn image_without_pixels() {
    let mut png = encoded(image::ImageFormat::Png);
    png[16..20].fill(0); // the width in the header chunk
    assert_says(&image_fault(&png), &["train/r_1.png: train/r_1 "]);
}

#[test]
fn image_changed_since_the_scene_was_opened() {
    let folder = scene_of_text(&document().to_string());
    let scene = Scene::open(folder.path()).unwrap();
    image::RgbImage::new(4, 3).save(folder.path().join("train/r_1.png")).unwrap();
    let error = load_images(&scene.splits.train, 1, &|_, _| {}).unwrap_err();
    assert_says(&error.to_string(), &["train/r_1", "4×3", "8×6"]);
    std::fs::remove_file(folder.path().join("train/r_1.png")).unwrap();
    let error = load_images(&scene.splits.train, 1, &|_, _| {}).unwrap_err();
    assert_says(&error.to_string(), &["train/r_1.png", "cannot be read"]);
}

#[test]
fn downscale_of_zero_or_beyond_the_image() {
    let folder = scene_of_text(&document().to_string());
    let scene = Scene::open(folder.path()).unwrap();
    assert_says(&scene.splits.train[0].load(0).unwrap_err().to_string(), &["downscale is 0"]);
    assert_says(&scene.splits.train[0].load(7).unwrap_err().to_string(), &["train/r_0", "8×6", "7 times"]);
}
