//! Runs with the index `points`: where their nodes come from.

use std::fs;

use crate::binary::{ORRERY, TINY, printed, sentence, tiny_checkpoint, train_tiny, without_times};
use crate::runs::trained;

const POINTS: [&str; 2] = ["--model=points", "--set=model.grid.n_levels=1"];

#[test]
fn points_come_from_a_file_that_is_needed_no_more() {
    let folder = tempfile::tempdir().unwrap();
    // Points in scene coordinates; the last one lies outside the unit cube.
    let points: String = (0..64).map(|i| format!("{} {} {}\n", i % 4, i / 4 % 4, i / 16)).collect();
    let ply = format!(
        "ply\nformat ascii 1.0\nelement vertex 65\nproperty float x\nproperty float y\nproperty float z\nend_header\n\
         {}9 9 9\n",
        points.replace('2', "-0.5").replace('3', "-1")
    );
    fs::write(folder.path().join("cloud.ply"), ply).unwrap();
    let args = ["--set=model.grid.points.file=cloud.ply", "--max-steps=20", "--stop-after=10", "--quiet"];
    train_tiny(folder.path(), &[&POINTS[..], &args].concat());
    fs::remove_file(folder.path().join("cloud.ply")).unwrap();
    printed(folder.path(), &["train", "--resume", "latest", "--quiet"]);
    printed(folder.path(), &["eval", "latest", "--max-images=1"]);
    let checkpoint = folder.path().join("outputs/orrery/points/tiny/checkpoints/step-000000020.safetensors");
    let nodes = without_times(&checkpoint).get::<f32>("grid.nodes", &[64, 3]).unwrap().to_vec();
    let holds = |x: f32| nodes.iter().any(|node| (node - x).abs() < 1e-6);
    assert!(holds(0.83) && holds(0.335) && holds(0.17), "x_unit = 0.33 x_scene + 0.5: {nodes:?}");
}

#[test]
fn points_come_from_the_occupied_cells_of_a_run() {
    let (folder, _) = trained();
    let from_run = ["--set=model.grid.points.from_run=latest", "--max-steps=5", "--quiet"];
    train_tiny(folder.path(), &[&POINTS[..], &from_run].concat());
    let checkpoint = folder.path().join("outputs/orrery/points/tiny/checkpoints/step-000000005.safetensors");
    let nodes = without_times(&checkpoint).tensors.into_iter().find(|tensor| tensor.name == "grid.nodes").unwrap();
    let bits = without_times(&tiny_checkpoint(folder.path(), 40)).take::<u8>("occupancy.bits", &[1, 4096]).unwrap();
    let occupied: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(nodes.shape, [occupied as usize, 3]);
}

#[test]
fn nodes_that_cannot_be_had_are_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let header = |n: usize| {
        let properties = ["x", "y", "z"].map(|axis| format!("property float {axis}\n")).concat();
        format!("ply\nformat ascii 1.0\nelement vertex {n}\n{properties}end_header\n")
    };
    for (name, text) in [
        ("cut.ply", header(5) + "0 0 0\n"),
        ("nan.ply", header(2) + "0 0 0\n0 nan 0\n"),
        ("few.ply", header(3) + "0 0 0\n0.1 0 0\n0 0.1 0\n"),
        ("far.ply", header(1) + "50 0 0\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for (key, says) in [
        ("file=none.ply", "none.ply: the point cloud cannot be read"),
        ("file=cloud.obj", "cloud.obj: the point cloud cannot be read"),
        ("file=cut.ply", "cut.ply: truncated: its header announces 5 vertices, but 1 are there"),
        ("file=nan.ply", "nan.ply: point 1 is [0.0, NaN, 0.0], but coordinates must be finite numbers"),
        ("file=few.ply", "model.grid.points.k is 8, but there are 3 nodes"),
        ("file=far.ply", "far.ply: none of its 1 points lies in the field's box"),
        ("from_run=nowhere", "nowhere: there is no such run or checkpoint"),
    ] {
        let set = format!("--set=model.grid.points.{key}");
        let args = [&["train", ORRERY], &TINY[..], &POINTS, &[&set]].concat();
        let error = sentence(folder.path(), &args);
        assert!(error.starts_with(says), "{key}: {error}");
    }
    assert!(!folder.path().join("outputs").exists(), "no run is started");
}
