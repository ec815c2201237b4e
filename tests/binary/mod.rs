//! Runs the `gridfield` binary as a user would, and reads its output.
#![allow(dead_code)] // each test binary uses only some of these

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gridfield::checkpoint::Checkpoint;
use serde_json::Value;

/// The scene that comes with the project.
pub const ORRERY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenes/orrery");

/// Settings that make a step take milliseconds.
pub const TINY: [&str; 8] = [
    "--downscale=8",
    "--set=train.batch_samples=2048",
    "--set=model.grid.log2_hashmap_size=12",
    "--set=model.grid.n_levels=4",
    "--set=march.occupancy_resolution=32",
    "--run-name=tiny",
    "--device=cpu",
    "--threads=2",
];

/// Runs `gridfield` in `folder` until it exits.
pub fn gridfield(folder: &Path, args: &[&str]) -> Output {
    checked(command(folder, args).output().unwrap(), args)
}

/// Returns the command that runs `gridfield` in `folder`, not yet started.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gridfield"));
    command.args(args).current_dir(folder);
    command
}

/// Returns `output` after checking that it contains no escape codes.
pub fn checked(output: Output, args: &[&str]) -> Output {
    for bytes in [&output.stdout, &output.stderr] {
        assert!(!bytes.contains(&0x1b), "no escape codes away from a terminal: {args:?}");
    }
    output
}

/// Runs `gridfield`, which must succeed, and returns what it printed.
pub fn printed(folder: &Path, args: &[&str]) -> String {
    let output = gridfield(folder, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output).to_owned()
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Runs `gridfield` with faulty `args` and returns its error message: exit code 2, nothing on stdout, and on stderr the
/// program's name followed by one sentence on one line.
pub fn sentence(folder: &Path, args: &[&str]) -> String {
    let output = gridfield(folder, args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    assert_eq!(stdout(&output), "", "{args:?}");
    let text = stderr(&output).strip_prefix("gridfield: error: ").unwrap_or_else(|| panic!("{}", stderr(&output)));
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    text.to_owned()
}

/// Writes the bundled scene, with its cameras moved by `by`, into `folder`, and returns its path.
pub fn moved_orrery(folder: &Path, by: [f64; 3]) -> PathBuf {
    let moved = folder.join("orrery");
    std::fs::create_dir_all(&moved).unwrap();
    for split in ["train", "val", "test"] {
        std::os::unix::fs::symlink(Path::new(ORRERY).join(split), moved.join(split)).unwrap();
        let name = format!("transforms_{split}.json");
        let text = std::fs::read_to_string(Path::new(ORRERY).join(&name)).unwrap();
        let mut document: Value = serde_json::from_str(&text).unwrap();
        for frame in document["frames"].as_array_mut().unwrap() {
            for (row, by) in by.iter().enumerate() {
                let place = &mut frame["transform_matrix"][row][3];
                *place = (place.as_f64().unwrap() + by).into();
            }
        }
        std::fs::write(moved.join(name), document.to_string()).unwrap();
    }
    moved
}

/// Trains the tiny model on the bundled scene, with `args` added.
pub fn train_tiny(folder: &Path, args: &[&str]) -> String {
    train_tiny_on(ORRERY, folder, args)
}

/// Trains the tiny model on another scene.
pub fn train_tiny_on(scene: &str, folder: &Path, args: &[&str]) -> String {
    printed(folder, &[&["train", scene], &TINY[..], args].concat())
}

/// Returns the run folder that [`train_tiny`] wrote, for any model.
pub fn tiny_run(folder: &Path) -> PathBuf {
    let models = std::fs::read_dir(folder.join("outputs/orrery")).unwrap();
    models.map(|model| model.unwrap().path().join("tiny")).find(|run| run.is_dir()).expect("a run was trained")
}

/// Returns the path of the checkpoint that [`train_tiny`] wrote after `step` steps.
pub fn tiny_checkpoint(folder: &Path, step: u64) -> PathBuf {
    tiny_run(folder).join(format!("checkpoints/step-{step:09}.safetensors"))
}

/// Reads a checkpoint and clears the training time, so that the checkpoints of two identical trainings are equal.
pub fn without_times(path: &Path) -> Checkpoint<'static> {
    let Checkpoint { header, tensors, .. } = Checkpoint::read(path).unwrap();
    let mut checkpoint = Checkpoint::new(header, tensors);
    checkpoint.header.seconds = 0.0;
    checkpoint
}
