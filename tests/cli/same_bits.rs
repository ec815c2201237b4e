//! Short trainings of each task produce the same bits as at the commit that recorded them. A change that only moves or
//! renames code must leave these values unchanged; one that intentionally changes what is learned must update them
//! here.
//!
//! The bits depend on the compiler and on the instruction level, so they are compared only where both match the
//! recorded ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary::{ORRERY, printed};
use crate::skip::skipped;
use gridfield::device::{Device, DeviceChoice};

/// The compiler and the instruction level with which the bits were recorded.
const COMPILER: &str = "12.2.0";
const LEVEL: &str = "x86-64-v4";

/// An octahedron.
const SHAPE: &str = "v 1 0 0\nv -1 0 0\nv 0 1 0\nv 0 -1 0\nv 0 0 1\nv 0 0 -1\nf 1 3 5\nf 3 2 5\nf 2 4 5\nf 4 1 5\nf 3 1 6\n\
                     f 2 3 6\nf 4 2 6\nf 1 4 6\n";

/// Returns why the bits of this machine cannot be compared, if they cannot.
fn other_machine() -> Option<String> {
    let level = Device::open(DeviceChoice::Cpu, 1).unwrap().describe();
    if !level.ends_with(LEVEL) {
        return Some(format!("its bits were recorded at {LEVEL}, and this machine is {level}"));
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let version = Command::new(compiler).arg("-dumpfullversion").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    (version != COMPILER).then(|| format!("its bits were recorded with GCC {COMPILER}, and this is {version}"))
}

/// Returns the only checkpoint of the runs below a folder.
fn checkpoint(folder: &Path) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "safetensors") {
                return path;
            }
        }
    }
    panic!("no checkpoint below {}", folder.display());
}

/// Returns the FNV-1a hash of a checkpoint's tensors, without its header, which names the commit and the training time.
fn hash(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes[8 + header..].iter().fold(0xcbf2_9ce4_8422_2325, add)
}

/// Trains with `args` for 20 steps and compares the bits.
fn assert_bits(task: &str, args: &[&str], expected: u64) {
    if let Some(why) = other_machine() {
        return skipped(&format!("the bits of {task}"), why);
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shape.obj"), SHAPE).unwrap();
    printed(folder.path(), &[args, &["--quiet", "--device=cpu", "--threads=2", "--max-steps=20"]].concat());
    let found = hash(&checkpoint(folder.path()));
    assert_eq!(found, expected, "{task}: {found:#018x}, recorded {expected:#018x}");
}

/// Settings that make a step of a radiance field take milliseconds.
const RADIANCE: [&str; 5] = [
    "--downscale=8",
    "--set=train.batch_samples=2048",
    "--set=model.grid.log2_hashmap_size=12",
    "--set=march.occupancy_resolution=32",
    "--set=optimizer.schedule.warmup_steps=0",
];

#[test]
fn radiance_field_of_a_hash_grid() {
    let args = [&["train", ORRERY, "--set=model.grid.n_levels=4"], &RADIANCE[..]].concat();
    assert_bits("a hash grid", &args, 0x39c6_0577_32a3_66c7);
}

#[test]
fn radiance_field_of_mulfagrid() {
    let args = [&["train", ORRERY, "--model=mulfagrid"], &RADIANCE[..]].concat();
    assert_bits("MulFAGrid", &args, 0x87a5_4372_c49e_0ca9);
}

#[test]
fn image_of_a_hash_grid() {
    let image = format!("{ORRERY}/test/r_0.png");
    let settings = ["--set=train.batch_samples=2048", "--set=model.grid.log2_hashmap_size=10"];
    assert_bits("an image", &[&["fit-image", &image], &settings[..]].concat(), 0x23fd_5790_5604_6058);
}

#[test]
fn image_of_a_coordinate_network() {
    let image = format!("{ORRERY}/test/r_0.png");
    let settings = ["--model=gabor_net", "--set=train.batch_samples=512", "--set=model.grid.waves.width=32"];
    assert_bits("a GaborNet", &[&["fit-image", &image], &settings[..]].concat(), 0x454f_47ab_2c1d_821b);
}

#[test]
fn distances_of_a_hash_grid() {
    let settings = ["--set=train.batch_samples=4096", "--set=model.grid.log2_hashmap_size=10"];
    assert_bits("distances", &[&["fit-sdf", "shape.obj"], &settings[..]].concat(), 0xfcce_1ac3_32df_169a);
}
