//! Training and evaluating end to end, on the bundled scene with settings so small that a run takes seconds.

use std::fs;
use std::path::{Path, PathBuf};

use crate::binary::{ORRERY, TINY, printed, sentence, tiny_checkpoint, tiny_run, train_tiny};
use serde_json::{Value, json};

pub fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

pub fn size(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).unwrap()
}

/// Returns the names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Trains a tiny run in a new folder.
pub fn trained() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=40", "--quiet"]);
    let run = tiny_run(folder.path());
    (folder, run)
}

#[test]
fn training_leaves_the_documented_files_and_says_what_to_do_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let said = train_tiny(folder.path(), &["--max-steps=30", "--save-every=20", "--eval-every=25"]);
    let run = tiny_run(folder.path());
    assert_eq!(names(&run), ["checkpoints", "config.json", "metrics.jsonl"]);
    let checkpoints = ["step-000000020.safetensors", "step-000000030.safetensors"];
    assert_eq!(names(&run.join("checkpoints")), checkpoints);
    assert_eq!(read_json(&run.join("config.json"))["train"]["max_steps"], 30);
    let lines = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_kind = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((of_kind("started"), of_kind("evaluated"), of_kind("saved"), of_kind("finished")), (1, 1, 2, 1));
    for part in [
        "orrery: 60 images, hash model of ",
        "step 25: PSNR ",
        "results are in outputs/orrery/hash/tiny",
        "eval outputs/orrery/hash/tiny",
        "render outputs/orrery/hash/tiny",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn quiet_is_quiet_and_json_is_json() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(train_tiny(folder.path(), &["--max-steps=5", "--quiet", "--output-dir=a"]), "");
    let lines = train_tiny(folder.path(), &["--max-steps=5", "--json", "--output-dir=b"]);
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["started", "step", "saved", "finished"]);
    assert_eq!(events[3]["reason"], "max_steps");
}

#[test]
fn a_run_is_evaluated_into_eval_json_and_pictures() {
    let (folder, run) = trained();
    let args = ["eval", "latest", "--max-images=3", "--save-images", "--save-error-maps", "--threads=2"];
    let said = printed(folder.path(), &args);
    assert!(said.contains("3 test") && said.contains(" dB ± ") && said.contains("eval.json"), "{said}");

    let report = read_json(&run.join("eval.json"));
    for (key, value) in [
        ("experiment_name", Value::from("orrery")),
        ("method_name", "hash".into()),
        ("split", "test".into()),
        ("n_images", 3.into()),
        ("background", "white".into()),
        ("color_space", "sRGB".into()),
        ("downscale", 8.into()),
        ("seed", 0.into()),
        ("step", 40.into()),
        ("gridfield", env!("CARGO_PKG_VERSION").into()),
    ] {
        assert_eq!(report[key], value, "{key}");
    }
    let results = report["results"].as_object().unwrap();
    let keys: Vec<_> = results.keys().map(String::as_str).collect();
    assert_eq!(keys, ["psnr", "psnr_std", "ssim", "lpips", "num_rays_per_sec", "fps"]);
    let scores = report["per_image"].as_array().unwrap();
    assert_eq!(scores[0]["name"], "test/r_0", "the first images are taken");
    let mean = scores.iter().map(|score| score["psnr"].as_f64().unwrap()).sum::<f64>() / 3.0;
    assert!((mean - results["psnr"].as_f64().unwrap()).abs() < 1e-9);

    let pictures = run.join("renders/eval-test");
    assert_eq!(names(&pictures)[..2], ["test_r_0-error.png", "test_r_0.png"]);
    assert_eq!(names(&pictures).len(), 6);
    assert_eq!(size(&pictures.join("test_r_0.png")), (20, 20));
}

#[test]
fn an_evaluation_takes_the_split_the_background_and_the_file_it_is_told() {
    let (folder, run) = trained();
    let checkpoint = tiny_checkpoint(folder.path(), 40);
    let args = ["--split=val", "--background=black", "--max-images=1", "--output=figures/val.json"];
    printed(folder.path(), &[&["eval", checkpoint.to_str().unwrap()], &args[..]].concat());
    let report = read_json(&folder.path().join("figures/val.json"));
    assert_eq!((&report["split"], &report["background"]), (&"val".into(), &"black".into()));
    assert!(!run.join("eval.json").exists());
}

#[test]
fn a_scene_that_moved_is_found_where_it_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    copy_folder(Path::new(ORRERY), &before);
    printed(folder.path(), &[&["train", "before", "--max-steps=5"], &TINY[..]].concat());
    fs::rename(&before, &after).unwrap();
    let run = "outputs/before/hash/tiny";
    for command in [&["eval", run][..], &["render", run], &["train", "--resume", run, "--max-steps=9"]] {
        let error = sentence(folder.path(), command);
        assert!(error.contains("before: the scene that the field was trained on is no longer here"), "{error}");
    }
    let pose = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 4, 0, 0, 0, 1];
    let frames = json!({
        "render_width": 24, "render_height": 16, "camera_path": [{ "camera_to_world": pose, "fov": 40 }],
    });
    let keys = json!({ "path": [{ "R": [0, 0, 0, 1], "T": [0.5, 0.5, 0.5], "fov": 40 }] });
    for (file, path) in [("frames.json", frames), ("keys.json", keys)] {
        fs::write(folder.path().join(file), path.to_string()).unwrap();
    }
    printed(folder.path(), &["render", run, "--path=frames.json", "--output=own/%d.png"]);
    assert_eq!(size(&folder.path().join("own/0.png")), (24, 16), "a path file brings its own cameras");
    let by_keys = ["render", run, "--path=keys.json", "--output=keys/%d.png", "--fps=2"];
    let error = sentence(folder.path(), &by_keys);
    assert!(error.starts_with("keys.json: has no frame size of its own"), "{error}");
    printed(folder.path(), &[&by_keys[..], &["--width=8", "--height=8"]].concat());
    printed(folder.path(), &["eval", run, "--max-images=1", "--scene=after"]);
    printed(folder.path(), &["render", run, "--output=%d.png", "--seconds=0.1", "--fps=10", "--scene=after"]);
    printed(folder.path(), &["train", "after", "--resume", run, "--max-steps=9"]);

    fs::copy(after.join("transforms_val.json"), after.join("transforms_train.json")).unwrap();
    let error = sentence(folder.path(), &["eval", run, "--scene=after"]);
    assert!(error.starts_with("after: has 10 training images, but the field was trained on 60"), "{error}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to)
        } else {
            fs::copy(entry.path(), to).map(drop).unwrap()
        }
    }
}
