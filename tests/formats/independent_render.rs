//! Checks that docs/formats.md is sufficient to render a checkpoint: `scripts/render_checkpoint.py`, which relies on
//! nothing else, renders the same image as gridfield.

use std::path::Path;
use std::process::Command;

use crate::binary::{ORRERY, moved_orrery, printed, train_tiny_on};
use crate::skip::skipped;

/// Largest difference of a value. A wrong sign or order changes whole regions by tens of levels; rounding only moves a
/// sample across the face of an occupied cell.
const MOST_LEVELS: u8 = 2;

/// Trains with `settings` and compares the first test view; skipped without numpy.
#[track_caller]
fn assert_script_agrees(test: &str, settings: &[&str]) {
    assert_script_agrees_on(test, "hash", settings);
}

#[track_caller]
fn assert_script_agrees_on(test: &str, model: &str, settings: &[&str]) {
    assert_script_agrees_of(test, ORRERY, model, settings);
}

#[track_caller]
fn assert_script_agrees_of(test: &str, scene: &str, model: &str, settings: &[&str]) {
    let has_numpy = Command::new("python3").args(["-c", "import numpy"]).output();
    if !has_numpy.is_ok_and(|output| output.status.success()) {
        skipped(test, "there is no python3 with numpy");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    train_tiny_on(scene, folder.path(), &[&["--max-steps=300", "--quiet"], settings].concat());
    printed(folder.path(), &["eval", "latest", "--background=white", "--max-images=1", "--save-images"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/render_checkpoint.py");
    let picture = folder.path().join("view.png");
    let mut python = Command::new("python3");
    let run = folder.path().join("outputs").join(Path::new(scene).file_name().unwrap()).join(model).join("tiny");
    python
        .arg(script)
        .arg(run.join("checkpoints/step-000000300.safetensors"))
        .args([scene, "--view=0", "--output"])
        .arg(&picture);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut pictures = std::fs::read_dir(run.join("renders/eval-test")).unwrap();
    let ours = image::open(pictures.next().unwrap().unwrap().path()).unwrap().into_rgb8();
    let theirs = image::open(&picture).unwrap().into_rgb8();
    assert_eq!(ours.dimensions(), theirs.dimensions());
    assert!(ours.iter().max() > ours.iter().min(), "the picture shows something");
    let apart = ours.iter().zip(theirs.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(apart <= MOST_LEVELS, "{apart} of 255 apart");
}

#[test]
fn a_script_renders_the_usual_field() {
    assert_script_agrees("a_script_renders_the_usual_field", &[]);
}

#[test]
fn a_script_renders_a_scene_far_from_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let scene = moved_orrery(folder.path(), [441547.502, 5121946.513, 345.087]);
    assert_script_agrees_of("a_script_renders_a_scene_far_from_its_origin", scene.to_str().unwrap(), "hash", &[]);
}

#[test]
fn a_script_renders_a_field_with_every_setting_changed() {
    let settings = [
        "--set=model.grid.kernel=smoothstep",
        "--set=model.grid.n_features_per_level=2",
        "--set=model.grid.n_levels=5",
        "--set=model.grid.per_level_scale=1.6",
        "--set=model.sh_degree=5",
        "--set=model.density_network={\"n_neurons\": 32, \"n_hidden_layers\": 2}",
        "--set=model.color_network={\"n_neurons\": 16, \"n_hidden_layers\": 1}",
        "--set=march.cascades=2",
        "--set=march.step_scale=2",
        "--set=march.stop_transmittance=0.01",
        "--set=train.ema_decay=0",
    ];
    assert_script_agrees("a_script_renders_a_field_with_every_setting_changed", &settings);
}

#[test]
fn a_script_renders_every_variant_of_mulfagrid() {
    for variant in ["paper", "windowed", "modulated"] {
        let own = format!("--set=model.grid.mulfa.per_feature={}", variant != "windowed");
        let shared = format!("--set=model.grid.mulfa.shared={}", variant == "windowed");
        let levels = format!("--set=model.grid.mulfa.n_levels={}", if variant == "paper" { 2 } else { 32 });
        let depth = format!("--set=model.grid.mulfa.depth={}", if variant == "windowed" { 3 } else { 1 });
        let variant = format!("--set=model.grid.mulfa.variant={variant}");
        let settings = ["--model=mulfagrid", &variant, &own, &shared, &levels, &depth];
        assert_script_agrees_on("a_script_renders_every_variant_of_mulfagrid", "mulfagrid", &settings);
    }
}

#[test]
fn a_script_renders_a_cascade_of_levels_with_learned_windows() {
    let test = "a_script_renders_a_cascade_of_levels_with_learned_windows";
    let settings = ["--model=cascade_local", "--set=model.grid.local.n_frequencies=2"];
    assert_script_agrees_on(test, "cascade_local", &settings);
    let smooth = ["--model=cascade", "--set=model.grid.kernel=smoothstep", "--set=train.ema_decay=0.9"];
    assert_script_agrees_on(test, "cascade", &smooth);
}

#[test]
fn a_script_renders_a_field_that_fills_its_box() {
    // Almost nothing is learned: every cell stays occupied and nothing is opaque, so rays have as many samples as
    // possible.
    let settings = ["--set=optimizer.learning_rate=1e-6", "--set=march.occupancy_threshold=0"];
    assert_script_agrees("a_script_renders_a_field_that_fills_its_box", &settings);
}

#[test]
fn a_script_renders_a_dense_grid_between_two_resolutions() {
    let settings = [
        "--model=dense",
        "--set=model.grid.n_levels=1",
        "--set=model.grid.base_resolution=24",
        "--set=model.grid.upscale_at=[0.2, 0.999]",
    ];
    assert_script_agrees_on("a_script_renders_a_dense_grid_between_two_resolutions", "dense", &settings);
}

#[test]
fn a_script_renders_a_fourier_grid() {
    let settings = ["--model=fourier", "--set=model.grid.n_levels=5", "--set=model.grid.base_resolution=12"];
    assert_script_agrees_on("a_script_renders_a_fourier_grid", "fourier", &settings);
}

#[test]
fn a_script_renders_points() {
    let settings = ["--model=points", "--set=model.grid.n_levels=1", "--set=model.grid.points.resolution=8"];
    assert_script_agrees_on("a_script_renders_points", "points", &settings);
}

#[test]
fn a_script_renders_a_contracted_space() {
    let settings = ["--set=march.space=contraction", "--set=march.near=0.2", "--set=march.step_scale=3"];
    assert_script_agrees("a_script_renders_a_contracted_space", &settings);
}

/// Training cameras of the bundled scene that look in similar directions.
const NEIGHBOURS: [&str; 6] = ["r_15", "r_16", "r_17", "r_18", "r_20", "r_22"];

#[test]
fn a_script_renders_normalised_device_coordinates() {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("facing");
    std::fs::create_dir_all(scene.join("train")).unwrap();
    let text = std::fs::read_to_string(Path::new(ORRERY).join("transforms_train.json")).unwrap();
    let mut transforms: serde_json::Value = serde_json::from_str(&text).unwrap();
    let frames = transforms["frames"].as_array_mut().unwrap();
    frames.retain(|frame| NEIGHBOURS.iter().any(|name| frame["file_path"] == format!("./train/{name}")));
    assert_eq!(frames.len(), NEIGHBOURS.len());
    for name in NEIGHBOURS {
        let image = format!("train/{name}.png");
        std::fs::copy(Path::new(ORRERY).join(&image), scene.join(&image)).unwrap();
    }
    for split in ["train", "test"] {
        std::fs::write(scene.join(format!("transforms_{split}.json")), transforms.to_string()).unwrap();
    }
    let settings = ["--preset=llff", "--set=scene.nearest=2.5"];
    let scene = scene.to_str().unwrap();
    assert_script_agrees_of("a_script_renders_normalised_device_coordinates", scene, "hash", &settings);
}
