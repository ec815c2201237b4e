//! Poses in another convention than that of their format: the warnings about them, and how they are read.

use std::path::Path;

use crate::binary::{ORRERY, gridfield, printed, sentence, stderr, stdout};
use crate::captures::{colmap, data, llff, pose, transforms, write_json};
use gridfield::scene::{OpenOptions, PoseConvention, RigFault, Scene};
use nalgebra::Matrix4;
use serde_json::{Value, json};

const N: usize = 16;

/// Writes a scene of cameras all around the origin, each matrix changed by `change`.
fn write(folder: &Path, change: impl Fn(Matrix4<f64>) -> Matrix4<f64>) {
    let mut document = transforms(folder, N, 360.0);
    for (i, frame) in document["frames"].as_array_mut().unwrap().iter_mut().enumerate() {
        let rows = pose(i, N, 360.0);
        let mut matrix = Matrix4::from_fn(|row, column| if row < 3 { rows[row][column] } else { 0.0 });
        matrix[(3, 3)] = 1.0;
        // Off the exact circle, as real cameras are.
        matrix[(2, 3)] = 0.2 * (i as f64).sin();
        let changed = change(matrix);
        let row = |row: usize| changed.row(row).iter().copied().collect::<Vec<f64>>();
        frame["transform_matrix"] = json!([row(0), row(1), row(2), row(3)]);
    }
    write_json(folder.join("transforms.json"), &document);
}

/// Negates the axes y and z of the cameras.
fn opencv(matrix: Matrix4<f64>) -> Matrix4<f64> {
    matrix * Matrix4::from_diagonal(&[1.0, -1.0, -1.0, 1.0].into())
}

fn faults(change: impl Fn(Matrix4<f64>) -> Matrix4<f64>) -> Vec<RigFault> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), change);
    Scene::open(folder.path()).unwrap().rig_faults()
}

#[test]
fn info_and_train_warn_of_opencv_axes_and_read_them_if_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (folder.path().join("right"), folder.path().join("wrong"));
    write(&right, |matrix| matrix);
    write(&wrong, opencv);
    let says = ["meet behind the cameras", "OpenCV's axes (y down, z forward)", "give --pose-convention opencv"];
    let info = printed(folder.path(), &["info", "wrong"]);
    assert!(info.contains("warning") && says.iter().all(|part| info.contains(part)), "{info}");
    let short =
        ["--max-steps=1", "--set=train.batch_samples=2048", "--set=model.grid.log2_hashmap_size=12", "--device=cpu"];
    let train = |args: &[&str]| {
        let output = gridfield(folder.path(), &[&["train"], args, &short].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        (stderr(&output).to_owned(), stdout(&output).to_owned())
    };
    let (notes, _) = train(&["wrong"]);
    assert!(notes.contains("gridfield: note: ") && says.iter().all(|part| notes.contains(part)), "{notes}");
    let (notes, _) = train(&["wrong", "--pose-convention=opencv"]);
    assert!(!notes.contains("note: "), "{notes}");
    assert!(!printed(folder.path(), &["info", "wrong", "--pose-convention=opencv"]).contains("warning"));

    let options = OpenOptions { pose_convention: PoseConvention::OpenCv, ..OpenOptions::default() };
    let (expected, found) = (Scene::open(&right).unwrap(), Scene::open_with(&wrong, &options).unwrap());
    assert_eq!((expected.unit_cube, expected.capture), (found.unit_cube, found.capture));
    for (a, b) in expected.splits.train.iter().zip(&found.splits.train) {
        assert_eq!(a.camera, b.camera);
    }
    // The right poses, read wrongly, are told of too: nothing is turned by itself.
    assert!(printed(folder.path(), &["info", "right", "--pose-convention=opencv"]).contains("meet behind the cameras"));

    // A run remembers how it read its scene, and another format has no choice.
    let checkpoint = "outputs/wrong/hash";
    let runs = std::fs::read_dir(folder.path().join(checkpoint)).unwrap().map(|run| run.unwrap().path());
    let kept = runs.filter(|run| {
        let config: Value = serde_json::from_str(&std::fs::read_to_string(run.join("config.json")).unwrap()).unwrap();
        config["scene"]["pose_convention"] == "opencv"
    });
    assert_eq!(kept.count(), 1);
    llff(&folder.path().join("llff"), 5, 40.0);
    let error = sentence(folder.path(), &["info", "llff", "--pose-convention=opencv"]);
    assert!(error.contains("the convention of poses can be chosen for transforms files only"), "{error}");
}

#[test]
fn inverted_and_mirrored_matrices_are_told_of() {
    assert_eq!(faults(|matrix| matrix), vec![]);
    assert_eq!(faults(opencv), [RigFault::OpenCvAxes]);
    let invert = |matrix: Matrix4<f64>| matrix.try_inverse().unwrap();
    assert!(faults(invert).contains(&RigFault::WorldToCamera), "{:?}", faults(invert));
    let both = |matrix| invert(opencv(matrix));
    assert!(faults(both).contains(&RigFault::WorldToCamera), "{:?}", faults(both));
    let mirror = |matrix: Matrix4<f64>| matrix * Matrix4::from_diagonal(&[-1.0, 1.0, 1.0, 1.0].into());
    assert_eq!(faults(mirror), [RigFault::Mirrored(14, "images/001".into())]);
    let said = RigFault::WorldToCamera.to_string();
    assert!(said.contains("world-to-camera") && said.contains("invert them"), "{said}");
}

#[test]
fn usual_rigs_are_not_warned_of() {
    let quiet = |path: &Path| {
        let scene = Scene::open(path).unwrap();
        assert_eq!(scene.rig_faults(), vec![], "{}", path.display());
    };
    quiet(Path::new(ORRERY));
    for name in ["blender/lego", "nerf/fox", "llff/fern"] {
        if let Some(path) = data("usual_rigs_are_not_warned_of", name) {
            quiet(&path);
        }
    }
    for degrees in [10.0, 40.0, 90.0, 200.0, 360.0] {
        let folder = tempfile::tempdir().unwrap();
        llff(folder.path(), 12, degrees);
        quiet(folder.path());
        let folder = tempfile::tempdir().unwrap();
        let reconstruction = colmap(12, degrees);
        reconstruction.write_images(folder.path());
        reconstruction.write_text(&folder.path().join("sparse/0"));
        quiet(folder.path());
    }
}
