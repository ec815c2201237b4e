//! The path to a GPU and back, without a GPU: `src/device/cuda.rs` with a CUDA driver that runs kernels on the emulated
//! target (`driver.cpp`), and the messages that users get when a driver fails.
#![cfg(target_os = "linux")]

#[path = "../binary/mod.rs"]
mod binary;
#[path = "../skip/mod.rs"]
mod skip;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use binary::{ORRERY, checked, command, stderr, stdout};
use skip::skipped;

/// Returns the folder with the driver's library; prints the reason and returns None where it cannot be used.
fn driver() -> Option<&'static Path> {
    static DRIVER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = DRIVER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fake_cuda");
        std::fs::create_dir_all(&folder).unwrap();
        build(&folder.join("libcuda.so"));
        let devices = run(&folder, "", &["devices"]);
        if stdout(&devices).contains("this binary has no CUDA kernels") {
            skipped("the tests on a CUDA driver", stdout(&devices).trim_end());
            return None;
        }
        Some(folder)
    });
    built.as_deref()
}

/// Compiles the driver, and links it with the kernels that the build script has compiled for the emulated target.
fn build(library: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let emulated = ["gridfield_emulated", "gridfield_emulation"]
        .map(|name| Path::new(env!("OUT_DIR")).join(name).join(format!("lib{name}.a")));
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let compiled = Command::new(compiler)
        .args(["-std=c++17", "-O2", "-fPIC", "-shared", "-fno-exceptions", "-fno-rtti", "-DGF_EMULATED", "-I"])
        .arg(root.join("kernels"))
        .arg(root.join("tests/cuda_driver/driver.cpp"))
        .arg("-Wl,--whole-archive")
        .args(emulated)
        .args(["-Wl,--no-whole-archive", "-o"])
        .arg(library)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

/// Runs `gridfield` with the driver, which fails as `failure` says.
fn run(driver: &Path, failure: &str, args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), driver, failure, args)
}

fn run_in(folder: &Path, driver: &Path, failure: &str, args: &[&str]) -> Output {
    let mut command = command(folder, args);
    command.env("LD_LIBRARY_PATH", driver).env("FAKE_CUDA", failure);
    checked(command.output().unwrap(), args)
}

const TRAIN: [&str; 9] = [
    "train",
    ORRERY,
    "--device=cuda",
    "--downscale=8",
    "--max-steps=6",
    "--set=train.batch_samples=2048",
    "--set=model.grid.log2_hashmap_size=12",
    "--set=march.occupancy_resolution=32",
    "--run-name=gpu",
];

#[test]
fn a_failing_driver_is_a_mistake_in_one_sentence() {
    let Some(driver) = driver() else { return };
    for (failure, sentence) in [
        ("no device", "the CUDA driver finds no GPU"),
        ("old driver", "supports CUDA 11.8, and the kernels of this binary want CUDA 12.1"),
        ("old PTX", "the CUDA driver refuses this version of PTX"),
        ("old GPU", "fake GPU has compute capability 7.5, and the kernels want 8.0 or newer"),
        ("out of memory", "fake GPU is out of memory"),
        ("fault", "launching kernel adam failed: an illegal memory access was encountered"),
    ] {
        let output = run(driver, failure, &TRAIN);
        assert_eq!(output.status.code(), Some(2), "{failure}: {}", stderr(&output));
        let error = stderr(&output).lines().find(|line| line.starts_with("gridfield: error: ")).unwrap_or_default();
        assert!(error.contains(sentence), "{failure}: {error}");
    }
}

#[test]
fn training_goes_on_without_a_gpu_when_none_was_asked_for() {
    let Some(driver) = driver() else { return };
    for (failure, device) in [("", "cuda  fake GPU"), ("no device", "cuda  none: the CUDA driver finds no GPU")] {
        let devices = run(driver, failure, &["devices"]);
        assert!(stdout(&devices).contains(device), "{}", stdout(&devices));
    }
    let args = TRAIN.map(|arg| if arg == "--device=cuda" { "--device=auto" } else { arg });
    for (failure, why) in [
        ("no device", "gridfield: on the CPU, since the CUDA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide one)"),
        ("old driver", "gridfield: on the CPU, since the CUDA driver supports CUDA 11.8"),
    ] {
        let output = run(driver, failure, &args);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn fields_are_trained_and_rendered_through_the_driver() {
    let Some(driver) = driver() else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = run_in(folder.path(), driver, "", &TRAIN);
    assert!(output.status.success(), "{}", stderr(&output));
    let render =
        ["render", "latest", "--device=cuda", "--output=frames/%04d.png", "--width=16", "--height=16", "--seconds=0.1"];
    let output = run_in(folder.path(), driver, "", &render);
    assert!(output.status.success(), "{}", stderr(&output));
    let frame = image::open(folder.path().join("frames/0000.png")).unwrap().to_rgb8();
    assert_eq!(frame.dimensions(), (16, 16));
    assert!(frame.pixels().any(|pixel| pixel != frame.get_pixel(0, 0)), "the frame shows something");
}
