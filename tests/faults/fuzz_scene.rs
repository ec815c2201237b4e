//! Mutated scenes: whatever the bytes, a reader returns a scene with valid numbers or a one-line error, and uses no
//! more memory than the file justifies.
//!
//! Each test mutates for two seconds, or for `GRIDFIELD_FUZZ_SECONDS`, with the seed `GRIDFIELD_FUZZ_SEED`. If an input
//! makes a reader panic, it stays in the temporary folder that the output names.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::captures::{colmap, llff, llff_row, npy, pose, transforms, write, write_json};
use crate::common::Random;
use gridfield::Error;
use gridfield::scene::{Scene, View};
use serde_json::json;

/// Limit on the address space of the readers of these small files, their threads and the tests that run at the same
/// time.
const MOST_KIB: u64 = 2 << 20;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text}")))
}

/// Opens the scene in `folder` repeatedly, each time with one of its `files` mutated.
fn fuzz(test: &str, folder: tempfile::TempDir, files: &[&str]) {
    let originals: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(folder.path().join(file)).unwrap()).collect();
    check(folder.path(), true).unwrap();
    let mut random = Random::new(setting("GRIDFIELD_FUZZ_SEED", 1));
    let end = Instant::now() + Duration::from_secs(setting("GRIDFIELD_FUZZ_SECONDS", 2));
    let (mut tried, mut opened) = (0u64, 0u64);
    while Instant::now() < end {
        let place = random.below(files.len());
        let path = folder.path().join(files[place]);
        let mut bytes = originals[place].clone();
        (0..1 + random.below(4)).for_each(|_| mutate(&mut bytes, &mut random));
        write(&path, &bytes);
        match catch_unwind(AssertUnwindSafe(|| check(folder.path(), tried.is_multiple_of(16)))) {
            Ok(result) => opened += u64::from(result.is_ok()),
            Err(panic) => {
                eprintln!("{test}: {} makes the reader panic", folder.keep().join(files[place]).display());
                resume_unwind(panic)
            }
        }
        write(&path, &originals[place]);
        tried += 1;
    }
    eprintln!("{test}: {tried} mutations, of which {opened} are scenes");
    assert!(opened > 0 && opened < tried, "{opened} of {tried} open");
    if let Some(peak) = peak_kib() {
        assert!(peak < MOST_KIB, "{peak} KiB of address space");
    }
}

/// Opens the scene, and checks that its numbers are valid and that its rig can be drawn.
fn check(folder: &Path, draw: bool) -> Result<(), ()> {
    let scene = match Scene::open(folder) {
        Ok(scene) => scene,
        Err(error) => {
            assert!(matches!(error, Error::File { .. } | Error::Config(_)));
            let sentence = error.to_string();
            assert!(!sentence.contains('\n') && sentence.len() < 4000, "{sentence}");
            return Err(());
        }
    };
    let cube = scene.unit_cube;
    assert!(cube.scale.is_finite() && cube.scale > 0.0 && cube.offset.iter().all(|x| x.is_finite()), "{cube}");
    assert!(!scene.splits.train.is_empty());
    assert!(scene.points.iter().flatten().all(|x| x.is_finite()));
    assert!(scene.capture.frame.iter().flatten().all(|x| x.is_finite()), "{:?}", scene.capture);
    for view in scene.splits.train.iter().chain(&scene.splits.val).chain(&scene.splits.test) {
        check_view(view);
    }
    scene.rig_faults().iter().for_each(|fault| assert!(!fault.to_string().is_empty()));
    if draw {
        assert!(scene.rig_picture().ends_with("</svg>\n"));
    }
    Ok(())
}

fn check_view(view: &View) {
    let k = view.camera.intrinsics;
    assert!(view.camera.camera_to_world.iter().flatten().all(|x| x.is_finite()), "{view:?}");
    assert!([k.fl_x, k.fl_y].iter().all(|f| f.is_finite() && *f > 0.0), "{view:?}");
    assert!(k.cx.is_finite() && k.cy.is_finite() && k.width > 0 && k.height > 0);
    assert!(view.bounds.is_none_or(|[near, far]| near > 0.0 && near < far && far.is_finite()), "{view:?}");
    let (_, direction) = view.camera.ray(0.5, 0.5);
    let length = direction.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((length - 1.0).abs() < 1e-3, "{view:?}: {direction:?}");
    if let Ok(Some(mask)) = view.load_mask(2) {
        assert_eq!(mask.len(), 20 * 15);
    }
    if let Ok(Some(depth)) = view.load_depth(2) {
        assert!(depth.iter().all(|depth| *depth >= 0.0));
    }
}

/// Replacements for a number, a count or a word.
const TEXTS: [&str; 16] = [
    "0",
    "-1",
    "1",
    "1e999",
    "-1e38",
    "1e-45",
    "NaN",
    "Infinity",
    "null",
    "[]",
    "{}",
    "\"x\"",
    "true",
    "18446744073709551615",
    "",
    " ",
];

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len().max(1));
    match random.below(9) {
        0 => bytes.truncate(at),
        1 => bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << random.below(8)),
        2 => bytes.get_mut(at).into_iter().for_each(|byte| *byte = [0, 1, 0x7f, 0x80, 0xff][random.below(5)]),
        3 => {
            let numbers =
                [0, 1, 1 << 20, 1 << 40, u64::MAX, f64::NAN.to_bits(), f64::MAX.to_bits(), 1e-30f64.to_bits()];
            overwrite(bytes, at, &numbers[random.below(8)].to_le_bytes());
        }
        4 => overwrite(bytes, at, &(random.between(-300.0, 300.0).exp2() * random.sign()).to_le_bytes()),
        5 => {
            let end = (at + 1 + random.below(40)).min(bytes.len());
            let part = bytes.drain(at.min(end)..end).collect::<Vec<_>>();
            if random.below(2) == 0 {
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
        }
        6 => {
            let end = (at + 1 + random.below(200)).min(bytes.len());
            let part = bytes[at.min(end)..end].to_vec();
            bytes.splice(at..at, part);
        }
        _ => {
            // Replace a number or word of a text.
            let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-+._".contains(byte);
            let Some(begin) = bytes[at.min(bytes.len())..].iter().position(is_word).map(|offset| at + offset) else {
                return;
            };
            let end =
                bytes[begin..].iter().position(|byte| !is_word(byte)).map_or(bytes.len(), |offset| begin + offset);
            bytes.splice(begin..end, TEXTS[random.below(16)].bytes());
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes.iter_mut().skip(at).zip(with).for_each(|(byte, with)| *byte = *with);
}

/// Returns the peak address space of the process, if the system reports it.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

#[test]
fn llff_poses() {
    let folder = tempfile::tempdir().unwrap();
    llff(folder.path(), 3, 30.0);
    fuzz("llff_poses", folder, &["poses_bounds.npy"]);
}

/// Without full-size images there is nothing to compare the sizes in the poses with.
#[test]
fn llff_poses_alone() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<f64> = (0..3).flat_map(|i| llff_row(&pose(i, 3, 360.0), crate::captures::SIZE, 50.0)).collect();
    write(folder.path().join("poses_bounds.npy"), npy(&[3, 17], &rows));
    (0..3).for_each(|i| crate::captures::image(folder.path().join(format!("images_2/{i}.png")), (20, 15), 1));
    fuzz("llff_poses_alone", folder, &["poses_bounds.npy"]);
}

#[test]
fn transforms_json() {
    let folder = tempfile::tempdir().unwrap();
    let mut document = transforms(folder.path(), 4, 200.0);
    crate::captures::image(folder.path().join("mask.png"), crate::captures::SIZE, 0);
    write(folder.path().join("depth.npy"), npy(&[30, 40], &[2.0; 1200]));
    document["frames"][1]["mask_path"] = json!("mask.png");
    document["frames"][1]["depth_file_path"] = json!("depth.npy");
    for (key, value) in
        [("k1", 0.1), ("k2", -0.02), ("p1", 1e-3), ("scale", 0.3), ("cx", 20.0), ("camera_angle_y", 0.5)]
    {
        document[key] = json!(value);
    }
    document["aabb_scale"] = json!(4);
    document["is_fisheye"] = json!(false);
    document["train_filenames"] = json!(["images/000.png", "images/001.png", "images/002.png"]);
    write_json(folder.path().join("transforms.json"), &document);
    fuzz("transforms_json", folder, &["transforms.json", "transforms.json", "depth.npy"]);
}

#[test]
fn transforms_json_without_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let document = transforms(folder.path(), 4, 200.0);
    write_json(folder.path().join("transforms.json"), &document);
    fuzz("transforms_json_without_a_place", folder, &["transforms.json"]);
}

fn colmap_folder(binary: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut model = colmap(5, 200.0);
    model.cameras.push((2, "OPENCV", 40, 30, vec![50.0, 51.0, 20.0, 15.0, 0.1, -0.02, 1e-3, 2e-3]));
    model.cameras.push((3, "OPENCV_FISHEYE", 40, 30, vec![50.0, 51.0, 20.0, 15.0, 0.1, -0.02, 1e-3, 2e-3]));
    let parameters = vec![50.0, 51.0, 20.0, 15.0, 0.1, -0.02, 1e-3, 2e-3, 0.03, 0.2, -0.01, 4e-3];
    model.cameras.push((4, "FULL_OPENCV", 40, 30, parameters.clone()));
    model.cameras.push((5, "THIN_PRISM_FISHEYE", 40, 30, parameters));
    (1..5).for_each(|i| model.images[i].2 = i as u32 + 1);
    let sparse = folder.path().join("sparse/0");
    if binary {
        model.write_binary(&sparse)
    } else {
        model.write_text(&sparse)
    }
    model.write_images(folder.path());
    folder
}

#[test]
fn colmap_binary() {
    let files = ["sparse/0/cameras.bin", "sparse/0/images.bin", "sparse/0/points3D.bin"];
    fuzz("colmap_binary", colmap_folder(true), &files);
}

#[test]
fn colmap_text() {
    let files = ["sparse/0/cameras.txt", "sparse/0/images.txt", "sparse/0/points3D.txt"];
    fuzz("colmap_text", colmap_folder(false), &files);
}
