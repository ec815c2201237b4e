//! User errors of `gridfield gtk`: exit code 2, one sentence that says where the fault is, and nothing written.

use std::fs;
use std::path::Path;

use crate::binary::{ORRERY, sentence, tiny_run, train_tiny};

/// Returns the error for `args`, and checks that nothing was written.
fn fault(folder: &Path, args: &[&str]) -> String {
    let error = sentence(folder, &[&["gtk"], args].concat());
    assert!(!folder.join("gtk").exists(), "nothing was written: {error}");
    error
}

#[track_caller]
fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

#[test]
fn more_points_than_the_memory_holds() {
    let folder = tempfile::tempdir().unwrap();
    for n in ["10000000", "18446744073709551615"] {
        let error = fault(folder.path(), &["spectrum", "-n", n]);
        assert_says(&error, &[n, "points would need", "GiB of memory", "are free; take at most about"]);
    }
}

#[test]
fn a_network_without_a_grid() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("model.json"), r#"{"task": "image", "model": {"name": "gabor_net"}}"#).unwrap();
    let error = fault(folder.path(), &["spectrum", "-m=model.json", "--dim=2"]);
    assert_says(&error, &["model has no grid, and so no grid tangent kernel"]);
}

#[test]
fn points_that_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.json"), "[0.1, 0.25, 0.7, 0.25]").unwrap();
    for command in ["matrix", "spectrum", "flow", "drift", "bound"] {
        let error = fault(folder.path(), &[command, "--data=x.json"]);
        assert_says(&error, &["points 1 and 3 are the same, [0.25], so that G is singular"]);
    }
}

#[test]
fn a_matrix_that_is_singular_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let error = fault(folder.path(), &["bound", "-m=linear", "-n=40"]);
    assert_says(&error, &["linear: G is singular at these 40 points (rank 32", "they reach only 32 nodes"]);
    // Three points lie in one cell, which has two nodes; the other cells have more nodes than points.
    fs::write(folder.path().join("x.json"), "[0.5, 0.501, 0.502, 0.9]").unwrap();
    let error = fault(folder.path(), &["bound", "-m=linear", "--data=x.json"]);
    assert_says(&error, &["linear: G is singular at these 4 points (rank 3", "too close"]);
}

#[test]
fn a_checkpoint_of_another_dimension() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=2", "--set=march.occupancy_resolution=16"]);
    let run = tiny_run(folder.path());
    let run = run.to_str().unwrap();
    let error = fault(folder.path(), &["spectrum", "-m", run, "--dim=2"]);
    assert_says(&error, &["tiny was trained in 3 dimensions, but the points have 2"]);
    let error = fault(folder.path(), &["bound", "-m", run, "--data", ORRERY, "-n=20"]);
    assert_says(&error, &["tiny was trained in 3 dimensions, but the points have 2"]);
    let error = fault(folder.path(), &["spectrum", "-m", &format!("{run},n_levels=2")]);
    assert_says(&error, &["n_levels=2 cannot change a trained model"]);
    let error = fault(folder.path(), &["spectrum", "--dim=2", "--data", run]);
    assert_says(&error, &["--dim is 2, but the data have 3 dimensions"]);
    // There are 4096 cells in total, occupied or not.
    let error = fault(folder.path(), &["spectrum", "--data", run, "-n=4097"]);
    assert_says(&error, &["occupied cells, but 4097 points are asked for"]);
}

#[test]
fn labels_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let labels = |text: &str| {
        fs::write(folder.path().join("y.json"), text).unwrap();
        fault(folder.path(), &["bound", "-n=3", "--labels=y.json"])
    };
    assert_says(&labels("[1, 2]"), &["y.json: holds 2 labels, but there are 3 points"]);
    assert_says(&labels("[1, 2, \"x\"]"), &["y.json: is not a list of numbers"]);
    assert_says(&labels("[1, 2"), &["y.json: not valid JSON"]);
    let error = fault(folder.path(), &["flow", "--labels=absent.json"]);
    assert_says(&error, &["absent.json: cannot be read"]);
}

#[test]
fn data_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let list = |text: &str| {
        fs::write(folder.path().join("x.json"), text).unwrap();
        fault(folder.path(), &["spectrum", "--data=x.json"])
    };
    assert_says(&list("[0.5, 1.5]"), &["x.json: point 1 has the coordinate 1.5, but grids cover 0 to 1"]);
    assert_says(&list("[[0.1, 0.2], [0.3]]"), &["x.json: is not a list of points", "point 1 has 1 numbers"]);
    assert_says(&list("[[]]"), &["point 0 has 0 numbers"]);
    assert_says(&list("[]"), &["x.json: is not a list of points"]);
    assert_says(&list("{}"), &["x.json: is not a list of points"]);
    assert_says(&fault(folder.path(), &["spectrum", "--data=absent"]), &["absent: there is no such data"]);
    fs::write(folder.path().join("x.png"), "no image").unwrap();
    assert_says(&fault(folder.path(), &["spectrum", "--data=x.png"]), &["x.png: the image cannot be"]);
    image::GrayImage::new(4, 4).save(folder.path().join("x.png")).unwrap();
    assert_says(&fault(folder.path(), &["bound", "--data=x.png"]), &["x.png: has 16 pixels, but 256 to learn from"]);
}

#[test]
fn models_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let model = |text: &str| fault(folder.path(), &["spectrum", "-m", text]);
    assert_says(&model("mulfagird"), &["`mulfagird` is not a model, a config file or a run", "`mulfagrid`"]);
    assert_says(&model("linear,n_levls=2"), &["model.grid.n_levls", "`model.grid.n_levels`"]);
    assert_says(&model("linear,n_levels=99"), &["model.grid.n_levels is 99"]);
    assert_says(&model("absent.json"), &["absent.json: the config file cannot be read"]);
}

#[test]
fn arguments_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    assert_says(&fault(folder.path(), &["bound", "--at=0.3:0.3"]), &["--at is 0.3:0.3", "two different points"]);
    assert_says(
        &fault(folder.path(), &["bound", "--at=0.3:0.4", "--dim=2"]),
        &["two different points of 2 coordinates"],
    );
    let error = fault(folder.path(), &["flow", "-m=linear", "--learning-rate=1000", "--steps=50"]);
    assert_says(&error, &["linear: gradient descent diverges at learning rate 1000"]);
}

#[test]
fn an_output_folder_that_is_a_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("taken"), "").unwrap();
    let error = sentence(folder.path(), &["gtk", "spectrum", "-n=8", "--output=taken"]);
    assert_says(&error, &["taken: cannot be written", "a file stands"]);
}

#[test]
fn a_trained_theta_is_read_from_its_run() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=2", "--quiet", "--model=mulfagrid"]);
    let run = tiny_run(folder.path());
    crate::binary::printed(folder.path(), &["gtk", "matrix", "-n=8", "--dim=3", "-m", run.to_str().unwrap()]);
    assert!(folder.path().join("gtk/matrix.json").is_file());
}
