//! Runs that stop and go on: the same bits as without a break, and what the program says.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::binary::{
    ORRERY, TINY, command, gridfield, printed, sentence, stderr, tiny_checkpoint, tiny_run, train_tiny, without_times,
};
use crate::runs::read_json;
use crate::skip::skipped;
use gridfield::device::{Device, DeviceChoice, Precision};
use serde_json::Value;

/// Trains with `args` without a break and with one, resuming on a different number of threads, and compares the
/// checkpoints.
fn assert_resume_gives_the_same_bits(model: &str, args: &[&str]) {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let args = [&["--max-steps=100", "--quiet"], args].concat();
    // The occupancy grid is updated at every step at first and at every 5th step by step 83: the break is between two
    // updates.
    train_tiny(whole.path(), &args);
    train_tiny(parts.path(), &[&args[..], &["--stop-after=83"]].concat());
    printed(parts.path(), &["train", "--resume", "latest", "--device=cpu", "--threads=1", "--quiet"]);
    let path = |folder: &tempfile::TempDir| {
        folder.path().join(format!("outputs/orrery/{model}/tiny/checkpoints/step-000000100.safetensors"))
    };
    let [expected, found] = [&whole, &parts].map(|folder| without_times(&path(folder)));
    assert_eq!(found.header, expected.header);
    for (found, expected) in found.tensors.iter().zip(&expected.tensors) {
        assert!(found == expected, "{model} {args:?}: {} differs", found.name);
    }
    assert_eq!(found.tensors.len(), expected.tensors.len());
}

#[test]
fn resume_gives_the_same_bits_at_any_number_of_threads() {
    assert_resume_gives_the_same_bits("hash", &[]);
}

#[test]
fn bf16_resumes_with_the_same_bits() {
    if let Err(error) = Device::open(DeviceChoice::Cpu, 1).unwrap().with_precision(Precision::Bf16) {
        return skipped("bf16_resumes_with_the_same_bits", error);
    }
    assert_resume_gives_the_same_bits("hash", &["--set=train.precision=bf16"]);
}

#[test]
fn every_encoding_resumes_with_the_same_bits() {
    let dense = ["--model=dense", "--set=model.grid.n_levels=1", "--set=model.grid.base_resolution=32"];
    let upscales = |at: &'static str| [&dense[..], &[at, "--set=optimizer.total_variation=1e-4"]].concat();
    // The break lies between two doublings of the resolution, after both, and on one.
    for at in [
        "--set=model.grid.upscale_at=[0.4, 0.9]",
        "--set=model.grid.upscale_at=[0.2, 0.5]",
        "--set=model.grid.upscale_at=[0.83]",
    ] {
        assert_resume_gives_the_same_bits("dense", &upscales(at));
    }
    let averaged = [&dense[..], &["--set=model.grid.upscale_at=[0.4, 0.9]", "--set=train.ema_decay=0.9"]].concat();
    assert_resume_gives_the_same_bits("dense", &averaged);
    let fourier = ["--model=fourier", "--set=model.grid.n_levels=5", "--set=model.grid.base_resolution=12"];
    assert_resume_gives_the_same_bits("fourier", &fourier);
    assert_resume_gives_the_same_bits("mulfagrid", &["--model=mulfagrid"]);
    let frequencies = "--set=model.grid.local.n_frequencies=2";
    assert_resume_gives_the_same_bits("cascade_local", &["--model=cascade_local", frequencies]);
    assert_resume_gives_the_same_bits("cascade", &["--model=cascade", "--set=train.ema_decay=0.9"]);
    let points = ["--model=points", "--set=model.grid.n_levels=1", "--set=model.grid.points.resolution=10"];
    assert_resume_gives_the_same_bits("points", &points);
}

#[test]
fn what_is_learned_of_photographs_resumes_with_the_same_bits() {
    let refined = ["--set=train.refine_cameras=true", "--set=train.exposure=true", "--set=train.ema_decay=0.9"];
    assert_resume_gives_the_same_bits("hash", &refined);
}

#[test]
fn a_run_that_stopped_says_how_to_go_on_and_one_that_ended_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let said = train_tiny(folder.path(), &["--max-steps=9", "--stop-after=4"]);
    assert!(said.contains("train --resume outputs/orrery/hash/tiny"), "{said}");
    let resume = ["train", "--resume", "latest", "--threads=2"];
    let error = sentence(folder.path(), &[&resume[..], &["--stop-after=4"]].concat());
    assert!(error.starts_with("--stop-after 4 is not beyond step 4"), "{error}");
    assert!(!printed(folder.path(), &resume).contains("--resume"));
    let error = sentence(folder.path(), &resume);
    assert!(error.starts_with("the run has all of its 9 steps; to train it further, raise --max-steps"), "{error}");
    printed(folder.path(), &[&resume[..], &["--max-steps=12"]].concat());
    assert_eq!(read_json(&tiny_run(folder.path()).join("config.json"))["train"]["max_steps"], 12);
}

#[test]
fn ctrl_c_saves_and_the_run_can_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&["train", ORRERY, "--max-steps=1000000", "--json"], &TINY[..]].concat();
    let mut child = command(folder.path(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains(r#""event":"step""#)).expect("a step is reported");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let last: Value = serde_json::from_str(&lines.last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["reason"]), (&"finished".into(), &"interrupted".into()));
    assert_eq!(child.wait().unwrap().code(), Some(130));

    let step = last["step"].as_u64().unwrap();
    assert!(tiny_checkpoint(folder.path(), step).is_file());
    let more = format!("--stop-after={}", step + 1);
    let output = gridfield(folder.path(), &["train", "--resume", "latest", &more, "--quiet"]);
    assert!(output.status.success(), "{}", stderr(&output));
}
