//! `gridfield import` with a substitute for COLMAP, and `gridfield info` on the resulting scene.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::binary::{command, stderr, stdout};
use crate::captures::{colmap, image, name};

/// Creates a folder with five photographs and a program `colmap` in `bin`, which runs `script` for every command except
/// `--help`. The script can copy the reconstruction in `model`.
fn studio(script: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    (0..5).for_each(|i| image(folder.path().join(format!("photos/{}.png", name(i))), crate::captures::SIZE, 100));
    colmap(4, 300.0).write_binary(&folder.path().join("model"));
    let here = folder.path().display();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {here}/calls\ncase \"$*\" in *--help*) echo SiftExtraction.use_gpu; exit 0;; esac\n\
         model={here}/model\n{script}\n"
    );
    let program = folder.path().join("bin/colmap");
    crate::captures::write(&program, script);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn import(folder: &Path, args: &[&str]) -> Command {
    let mut import = command(folder, &[&["import", "photos", "scene"], args].concat());
    import.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display()));
    import
}

fn sentence_of(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(2), "{}", stderr(output));
    stderr(output).lines().last().unwrap().strip_prefix("gridfield: error: ").unwrap()
}

/// Returns what is in the folder besides its initial contents: nothing after a failed import.
fn left(folder: &Path) -> Vec<PathBuf> {
    let ours = ["photos", "model", "bin", "calls"].map(|name| folder.join(name));
    let there = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    there.filter(|path| !ours.contains(path)).collect()
}

/// A script whose mapper reconstructs two models, the second larger.
const MAPS: &str = "case $1 in mapper) mkdir sparse/0 sparse/1; cp $model/cameras.bin sparse/0; \
                    printf '\\0\\0\\0\\0\\0\\0\\0\\0' > sparse/0/images.bin; cp $model/* sparse/1; touch database.db;; esac";

#[test]
fn photographs_become_a_scene_that_opens_and_trains() {
    let folder = studio(MAPS);
    let output = import(folder.path(), &["--threads=3", "--sequential"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("4 of 5 photographs were placed; the scene is in scene"), "{}", stdout(&output));
    for stage in ["finding features", "matching them", "placing cameras"] {
        assert!(stderr(&output).contains(stage), "{}", stderr(&output));
    }
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(calls, ["feature_extractor", "feature_extractor", "sequential_matcher", "mapper"]);
    let files = |path: &str| {
        let entries = std::fs::read_dir(folder.path().join(path)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(files("scene"), ["images", "sparse"]);
    assert_eq!((files("scene/sparse"), files("scene/images").len()), (vec!["0".to_owned()], 5));
    let text = crate::binary::printed(folder.path(), &["info", "scene"]);
    for part in
        ["COLMAP", "3 images of 40×30", "no distortion", "20 of the scene's surfaces", "outputs/scene/cameras.svg"]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let tiny =
        ["--max-steps=2", "--set=train.batch_samples=2048", "--set=model.grid.log2_hashmap_size=12", "--device=cpu"];
    let text = crate::binary::printed(folder.path(), &[&["train", "scene", "--scene-scale=0.25"], &tiny[..]].concat());
    assert!(text.contains("unit cube: x_unit = 0.25 x_scene + [0.5"), "{text}");
}

#[test]
fn what_stands_in_the_way_is_told_before_anything_is_done() {
    let folder = studio(MAPS);
    let refuse = |args: &[&str]| sentence_of(&command(folder.path(), args).output().unwrap()).to_owned();
    assert!(refuse(&["import", "nowhere", "scene"]).starts_with("nowhere: is no folder"));
    std::fs::create_dir(folder.path().join("photos/empty")).unwrap();
    assert!(refuse(&["import", "photos/empty", "scene"]).contains("holds 0 PNG or JPEG images, but at least 3"));
    std::fs::create_dir(folder.path().join("scene")).unwrap();
    let output = import(folder.path(), &[]).output().unwrap();
    assert!(sentence_of(&output).starts_with("scene: is there already"), "{}", stderr(&output));
    std::fs::remove_dir(folder.path().join("scene")).unwrap();
    let output = import(folder.path(), &[]).env("PATH", "/nowhere").output().unwrap();
    let sentence = sentence_of(&output);
    assert!(sentence.contains("COLMAP") && sentence.contains("apt install colmap"), "{sentence}");
    assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_colmap_that_fails_leaves_nothing_and_is_quoted() {
    let folder = studio("case $1 in exhaustive_matcher) echo 'no disk, no cry' >&2; exit 3;; esac");
    let output = import(folder.path(), &[]).output().unwrap();
    let sentence = sentence_of(&output);
    assert!(sentence.contains("failed while matching them") && sentence.contains("no disk, no cry"), "{sentence}");
    assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
    for places_nothing in ["true", "case $1 in mapper) echo ' => failed to create sparse model'; exit 1;; esac"] {
        let folder = studio(places_nothing);
        let output = import(folder.path(), &[]).output().unwrap();
        assert!(sentence_of(&output).starts_with("photos: COLMAP found no photographs that fit together"));
        assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn an_interruption_ends_colmap_and_leaves_nothing() {
    let folder = studio("case $1 in exhaustive_matcher) touch $model/begun; exec sleep 60;; esac");
    let begun = Instant::now();
    let child = import(folder.path(), &[]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !folder.path().join("model/begun").exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "COLMAP was not started");
        std::thread::sleep(Duration::from_millis(20));
    }
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("nothing is kept"), "{}", stderr(&output));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
}
