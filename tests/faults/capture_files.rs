//! Broken scenes of real photographs: each produces one sentence that names the file and the fault.

use std::path::Path;

use crate::captures::{SIZE, colmap, image, llff, llff_row, npy, pose, transforms, write, write_json};
use gridfield::Error;
use gridfield::config::SceneConfig;
use gridfield::radiance::open_scene;
use gridfield::scene::{RigFault, Scene};
use serde_json::{Value, json};

fn fault_of(folder: &Path) -> String {
    let error = Scene::open(folder).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
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

// ---------------------------------------------------------------------------------------------------------------------
// LLFF.

/// Returns the error for an LLFF scene of 9 images whose poses file is replaced by `bytes`.
fn fault_of_poses(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), 9, 30.0);
    write(folder.path().join("poses_bounds.npy"), bytes);
    fault_of(folder.path())
}

fn rows(n: usize) -> Vec<f64> {
    (0..n).flat_map(|i| llff_row(&pose(i, n, 30.0), SIZE, 50.0)).collect()
}

#[test]
fn poses_of_another_shape_type_or_length() {
    let file = "poses_bounds.npy: ";
    assert_says(&fault_of_poses(&npy(&[9, 15], &vec![1.0; 135])), &[file, "shape [9, 15], expected [N, 17]"]);
    assert_says(&fault_of_poses(&npy(&[153], &vec![1.0; 153])), &[file, "shape [153], expected [N, 17]"]);
    assert_says(&fault_of_poses(&npy(&[1, 17], &rows(1))), &[file, "1 cameras, but a scene needs at least two"]);
    let whole = npy(&[9, 17], &rows(9));
    let integers = String::from_utf8_lossy(&whole).contains("<f8").then(|| {
        let at = whole.windows(3).position(|w| w == b"<f8").unwrap();
        [&whole[..at], b"<i8", &whole[at + 3..]].concat()
    });
    assert_says(&fault_of_poses(&integers.unwrap()), &[file, "<i8", "an array of <f4 or <f8"]);
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), 9, 30.0);
    for length in 0..whole.len() {
        write(folder.path().join("poses_bounds.npy"), &whole[..length]);
        assert_says(&fault_of(folder.path()), &[file]);
    }
}

#[test]
fn poses_with_senseless_numbers() {
    let with = |place: usize, value: f64| {
        let mut rows = rows(9);
        rows[2 * 17 + place] = value;
        fault_of_poses(&npy(&[9, 17], &rows))
    };
    assert_says(&with(15, f64::NAN), &["poses_bounds.npy: row 2 holds NaN"]);
    assert_says(&with(3, f64::INFINITY), &["row 2 holds inf"]);
    assert_says(&with(16, 0.5), &["row 2 has the bounds 1 and 0.5, but expected 0 < near < far"]);
    assert_says(&with(15, -1.0), &["row 2 has the bounds -1 and 9"]);
    assert_says(&with(14, 0.0), &["row 2 says that the image is 40×30 with a focal length of 0"]);
    assert_says(&with(4, 1e12), &["row 2 says that the image is 40×1000000000000"]);
    let mut flat = rows(9);
    (0..3).for_each(|r| flat[5 * r + 1] = flat[5 * r]);
    assert_says(&fault_of_poses(&npy(&[9, 17], &flat)), &["row 0 has a camera whose axes lie in a plane"]);
}

#[test]
fn images_that_do_not_match_the_poses() {
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), 9, 30.0);
    std::fs::remove_file(folder.path().join("images/004.png")).unwrap();
    assert_says(&fault_of(folder.path()), &["images: holds 8 images, but poses_bounds.npy has 9 cameras"]);
    image(folder.path().join("images/004.png"), (40, 20), 0);
    assert_says(&fault_of(folder.path()), &["004.png: 004 is 40×20", "camera is of 40×30", "aspect"]);
    image(folder.path().join("images/004.png"), SIZE, 0);
    (0..9).for_each(|i| image(folder.path().join(format!("images_8/{i}.png")), (20, 15), 0));
    assert_says(
        &fault_of(folder.path()),
        &["images_8/0.png", "is 20×15, which is not its full size of 40×30 divided by 8"],
    );
    std::fs::remove_dir_all(folder.path().join("images_8")).unwrap();
    std::fs::remove_dir_all(folder.path().join("images")).unwrap();
    assert_says(&fault_of(folder.path()), &["holds poses_bounds.npy but no images", "images_8"]);
}

// ---------------------------------------------------------------------------------------------------------------------
// transforms.json.

fn fault_of_transforms(change: impl FnOnce(&Path, &mut Value)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut document = transforms(folder.path(), 4, 200.0);
    change(folder.path(), &mut document);
    write_json(folder.path().join("transforms.json"), &document);
    fault_of(folder.path())
}

#[test]
fn transforms_that_cannot_be() {
    assert_says(&fault_of_transforms(|_, d| d["aabb_scale"] = json!(-4)), &["transforms.json: aabb_scale is -4"]);
    assert_says(&fault_of_transforms(|_, d| d["aabb_scale"] = json!(1000)), &["aabb_scale is 1000", "at most 128"]);
    assert_says(&fault_of_transforms(|_, d| d["scale"] = json!(0)), &["scale is 0; it must be above 0"]);
    assert_says(&fault_of_transforms(|_, d| d["scale"] = json!(1e-60)), &["scale is too small"]);
    assert_says(&fault_of_transforms(|_, d| d["offset"] = json!([1, 2])), &["offset has 2 numbers, expected 3"]);
    assert_says(
        &fault_of_transforms(|_, d| d["train_filenames"] = json!(["images/9.png"])),
        &["train_filenames[0] is images/9.png, which is not the file_path of any frame"],
    );
    assert_says(&fault_of_transforms(|_, d| d["train_filenames"] = json!([])), &["leaves no view to train on"]);
    assert_says(
        &fault_of_transforms(|_, d| d["frames"][1]["mask_path"] = json!("no.png")),
        &["frame 1 (images/001.png): mask_path names", "no.png, which is not there"],
    );
    let all_absent = fault_of_transforms(|folder, _| std::fs::remove_dir_all(folder.join("images")).unwrap());
    assert_says(&all_absent, &["frame 0 (images/000.png)", "names an image that is not in"]);
}

#[test]
fn masks_and_depths_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let mut document = transforms(folder.path(), 4, 200.0);
    image(folder.path().join("wide.png"), (40, 10), 0);
    document["frames"][1]["mask_path"] = json!("wide.png");
    document["frames"][1]["depth_file_path"] = json!("wide.png");
    write_json(folder.path().join("transforms.json"), &document);
    let scene = Scene::open(folder.path()).unwrap();
    let view = &scene.splits.train[0];
    assert_says(
        &view.load_mask(1).unwrap_err().to_string(),
        &["wide.png: is 40×10, of another aspect ratio than images/001"],
    );
    assert_says(
        &view.load_depth(1).unwrap_err().to_string(),
        &["the depth map of images/001 is not an image with one channel"],
    );
}

// ---------------------------------------------------------------------------------------------------------------------
// COLMAP.

/// Returns the error for a reconstruction after `change`, with all its images present.
fn fault_of_colmap(change: impl Fn(&mut crate::captures::Colmap)) -> String {
    let sentences = [true, false].map(|binary| {
        let folder = tempfile::tempdir().unwrap();
        let mut model = colmap(4, 200.0);
        change(&mut model);
        let sparse = folder.path().join("sparse/0");
        if binary {
            model.write_binary(&sparse)
        } else {
            model.write_text(&sparse)
        }
        model.write_images(folder.path());
        fault_of(folder.path())
    });
    let after = |sentence: &String| sentence.rsplit_once(": ").unwrap().1.to_owned();
    assert_eq!(after(&sentences[0]), after(&sentences[1]), "binary and text give the same error");
    sentences.into_iter().next().unwrap()
}

#[test]
fn reconstructions_that_cannot_be() {
    let list = "SIMPLE_PINHOLE, PINHOLE, SIMPLE_RADIAL, RADIAL, OPENCV, OPENCV_FISHEYE, FULL_OPENCV, \
                SIMPLE_RADIAL_FISHEYE, RADIAL_FISHEYE, THIN_PRISM_FISHEYE, SIMPLE_FISHEYE, FISHEYE, EQUIRECTANGULAR";
    for (model, n_parameters) in [("FOV", 5), ("RAD_TAN_THIN_PRISM_FISHEYE", 16), ("DIVISION", 5), ("EUCM", 6)] {
        let sentence = fault_of_colmap(|file| file.cameras[0] = (1, model, 40, 30, vec![1.0; n_parameters]));
        let told = format!("cameras.bin: camera 1 is of the model {model}, which is not supported");
        assert_says(&sentence, &[&told, list]);
    }
    let odd = fault_of_colmap(|model| model.cameras[0] = (1, "EQUIRECTANGULAR", 40, 30, vec![40.0, 20.0]));
    assert_says(&odd, &["camera 1 is a panorama of 40×30 pixels, but has the parameters 40 and 20"]);
    assert_says(&fault_of_colmap(|model| model.cameras[0].4[0] = f64::NAN), &["camera 1 has the parameter NaN"]);
    assert_says(&fault_of_colmap(|model| model.cameras[0].4[0] = -3.0), &["camera 1 has the focal length -3 by 51"]);
    assert_says(&fault_of_colmap(|model| model.cameras[0].2 = 0), &["camera 1 is 0×30 pixels large"]);
    assert_says(
        &fault_of_colmap(|model| model.images[2].2 = 9),
        &["images.bin: 002.png has the camera 9, which is not"],
    );
    assert_says(
        &fault_of_colmap(|model| model.images[2].0 = [0.0; 4]),
        &["002.png has the rotation [0.0, 0.0, 0.0, 0.0]"],
    );
    assert_says(&fault_of_colmap(|model| model.images[2].1[1] = f64::INFINITY), &["002.png has inf in its pose"]);
    assert_says(&fault_of_colmap(|model| model.images[2].3 = "001.png".into()), &["images.bin: names 001.png twice"]);
    assert_says(&fault_of_colmap(|model| model.points[5].1[0] = f64::NAN), &["points3D.bin: point 6 is at [NaN"]);
    assert_says(&fault_of_colmap(|model| model.images.clear()), &["holds no image; reconstruct again"]);
    assert_says(&fault_of_colmap(|model| model.images.truncate(1)), &["leaves no view to train on"]);
}

#[test]
fn text_that_cannot_be_read_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let sparse = folder.path().join("sparse/0");
    let model = colmap(4, 200.0);
    model.write_images(folder.path());
    for (file, text, says) in [
        ("cameras.txt", "# c\n1 PINHOLE 40 x 1 2 3 4\n", "line 2: has \"x\" where a height is expected"),
        ("cameras.txt", "1 PINHOLE 40 30 50 50\n", "line 1: camera 1 has 2 parameters, but a PINHOLE camera has 4"),
        (
            "cameras.txt",
            "1 FULL_OPENCV 40 30 50 50 20 15 0 0 0 0\n",
            "line 1: camera 1 has 8 parameters, but a FULL_OPENCV camera has 12",
        ),
        (
            "cameras.txt",
            "1 RADIAL_FISHEYE 40 30 50 20 15 0.1 0.1 0.1\n",
            "line 1: camera 1 has 6 parameters, but a RADIAL_FISHEYE camera has 5",
        ),
        ("images.txt", "1 1 0 0\n", "line 1: ends where a number of the pose is expected"),
        ("images.txt", "1 1 0 0 0 0 0 4 1\n", "line 1: has no image name"),
        ("points3D.txt", "\n1 0.5 0.5\n", "line 2: ends where a coordinate is expected"),
        ("points3D.txt", "-1 0 0 0\n", "line 1: has \"-1\" where the point's number is expected"),
    ] {
        model.write_text(&sparse);
        write(sparse.join(file), text);
        assert_says(&fault_of(folder.path()), &[&format!("{file}: {says}")]);
    }
}

#[test]
fn binary_files_truncated_at_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let sparse = folder.path().join("sparse/0");
    let model = colmap(4, 200.0);
    model.write_images(folder.path());
    model.write_binary(&sparse);
    Scene::open(folder.path()).unwrap();
    for (name, whole) in ["cameras.bin", "images.bin", "points3D.bin"].into_iter().zip(model.binary()) {
        for length in 0..whole.len() {
            write(sparse.join(name), &whole[..length]);
            assert_says(&fault_of(folder.path()), &[name, "truncated"]);
        }
        // Counts larger than the file's size allows.
        for count in [u64::MAX, 1 << 40, 1 << 12] {
            write(sparse.join(name), [&count.to_le_bytes(), &whole[8..]].concat());
            assert_says(&fault_of(folder.path()), &[name, "truncated"]);
        }
        write(sparse.join(name), whole);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Rigs.

/// Returns the faults of the rig after `change`, and the error that training reports.
fn rig(n: usize, change: impl Fn(usize, &mut [[f64; 4]; 3])) -> (Vec<RigFault>, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    let mut document = transforms(folder.path(), n, 360.0);
    for i in 0..n {
        let mut pose = pose(i, n, 360.0);
        change(i, &mut pose);
        let [a, b, c] = pose;
        document["frames"][i]["transform_matrix"] = json!([a, b, c, [0.0, 0.0, 0.0, 1.0]]);
    }
    write_json(folder.path().join("transforms.json"), &document);
    let faults = Scene::open(folder.path()).unwrap().rig_faults();
    let config = SceneConfig { path: folder.path().to_owned(), ..SceneConfig::default() };
    (faults, open_scene(&config).err().map(|error| error.to_string()))
}

#[test]
fn rigs_that_tell_no_depth_are_refused() {
    assert_eq!(rig(9, |_, _| {}), (vec![], None));
    let (faults, sentence) = rig(2, |_, _| {});
    assert_eq!(faults, [RigFault::OneCamera]);
    assert_says(&sentence.unwrap(), &["there is only one training view"]);
    let (faults, sentence) = rig(9, |_, pose| (0..3).for_each(|row| pose[row][3] = 2.0));
    assert_eq!(faults, [RigFault::OnePlace]);
    assert_says(&sentence.unwrap(), &["all training cameras are at one place"]);
    // Turn the camera around: negate right and back.
    let about =
        |_: usize, pose: &mut [[f64; 4]; 3]| pose.iter_mut().for_each(|row| (row[0], row[2]) = (-row[0], -row[2]));
    let (faults, sentence) = rig(5, about);
    assert_eq!(faults, [RigFault::LookingApart, RigFault::OpenCvAxes]);
    assert_says(&sentence.unwrap(), &["no two training cameras look at the same part", "--pose-convention opencv"]);
}

#[test]
fn rigs_that_are_odd_are_told_of() {
    let mirror = |i: usize, pose: &mut [[f64; 4]; 3]| {
        if i >= 6 {
            pose.iter_mut().for_each(|row| row[0] = -row[0]);
        }
    };
    assert_eq!(rig(9, mirror), (vec![RigFault::Mirrored(2, "images/006".into())], None));
    let shear = |i: usize, pose: &mut [[f64; 4]; 3]| {
        if i == 3 {
            pose.iter_mut().for_each(|row| row[0] += 0.2 * row[1]);
        }
    };
    assert_eq!(rig(9, shear), (vec![RigFault::Sheared(1, "images/003".into())], None));
}
