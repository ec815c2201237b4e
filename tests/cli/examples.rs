//! The programs under `examples/`, which cargo builds with the tests.

use std::path::PathBuf;
use std::process::Command;

use crate::binary::ORRERY;

/// Runs an example until it exits and returns its output.
fn run(name: &str, args: &[&str]) -> String {
    // Tests are in target/PROFILE/deps, examples in target/PROFILE/examples.
    let profile: PathBuf = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
    let program = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    let output = Command::new(&program).args(args).output().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn train_scene_trains_and_measures() {
    let said = run("train_scene", &[ORRERY, "20"]);
    assert!(said.contains("orrery after 20 steps: ") && said.contains(" dB on 5 views"), "{said}");
}

#[test]
fn render_path_writes_a_video_of_each_channel() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/checkpoints/radiance-0.1.0.safetensors");
    let video = folder.path().join("orbit.mp4");
    let said = run("render_path", &[checkpoint, video.to_str().unwrap(), ORRERY]);
    let videos = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(videos, 2, "{said}");
}

#[test]
fn fit_image_writes_the_fitted_image() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("fitted.png");
    let said = run("fit_image", &[&format!("{ORRERY}/test/r_0.png"), output.to_str().unwrap(), "20"]);
    assert!(said.contains(" dB") && output.is_file(), "{said}");
}
