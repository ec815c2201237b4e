//! The run folder: its location, what it refuses, and what `RUN` on the command line means.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use gridfield::checkpoint::{Checkpoint, Header, Tensor};
use gridfield::config::Config;
use gridfield::geometry::UnitCube;
use gridfield::train::run::scene_name;
use gridfield::train::{Resolved, Run};

fn checkpoint(step: u64) -> Checkpoint<'static> {
    let unit_cube = UnitCube::new(1.0, [0.0; 3]);
    let header = Header::new(Config::default(), "boat", unit_cube, step, 0.0);
    Checkpoint::new(header, vec![Tensor::new("x", &[1], vec![0.5f32])])
}

fn create(output_dir: &Path, name: &str) -> gridfield::Result<Run> {
    Run::create(output_dir, "boat", Some(name), &Config::default())
}

fn set_age(path: &Path, seconds: u64) {
    let written = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
}

#[test]
fn a_run_lies_under_scene_and_model_with_its_config() {
    let output = tempfile::tempdir().unwrap();
    let run = create(output.path(), "first").unwrap();
    assert_eq!(run.folder(), output.path().join("boat/hash/first"));
    assert_eq!(Config::load(run.config_path()).unwrap(), Config::default());
    assert_eq!(Run::open(run.folder()).unwrap(), run);

    let by_time = Run::create(output.path(), "boat", None, &Config::default()).unwrap();
    let name = by_time.folder().file_name().unwrap().to_str().unwrap();
    let shape: String = name.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00_000000");
}

#[test]
fn a_name_that_is_taken_or_no_name_is_refused() {
    let output = tempfile::tempdir().unwrap();
    create(output.path(), "first").unwrap();
    let error = create(output.path(), "first").unwrap_err().to_string();
    assert!(error.contains("a run of this name exists; choose another --run-name"), "{error}");
    for name in ["", ".", "..", "a/b", "/tmp", "a/"] {
        let error = create(output.path(), name).unwrap_err().to_string();
        assert!(error.contains("not a plain folder name"), "{name}: {error}");
    }
}

#[test]
fn an_output_folder_that_cannot_be_written_is_named() {
    let output = tempfile::tempdir().unwrap();
    let file = output.path().join("file");
    File::create(&file).unwrap();
    let error = create(&file.join("out"), "first").unwrap_err().to_string();
    assert!(
        error.contains("file/out/boat/hash: cannot be written, as a file stands where a folder is needed"),
        "{error}"
    );
}

#[test]
fn saving_keeps_the_three_highest_steps() {
    let output = tempfile::tempdir().unwrap();
    let run = create(output.path(), "first").unwrap();
    for step in [5, 100, 20, 1000] {
        let path = run.save(&checkpoint(step)).unwrap();
        assert_eq!(path, run.folder().join(format!("checkpoints/step-{step:09}.safetensors")));
    }
    let steps: Vec<u64> = run.checkpoints().unwrap().into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [20, 100, 1000]);
}

#[test]
fn a_run_a_checkpoint_and_latest_resolve() {
    let output = tempfile::tempdir().unwrap();
    let (older, newer) = (create(output.path(), "a").unwrap(), create(output.path(), "b").unwrap());
    let path = older.save(&checkpoint(100)).unwrap();
    newer.save(&checkpoint(7)).unwrap();
    let last = newer.save(&checkpoint(8)).unwrap();

    let by_folder = Resolved::find(newer.folder(), Path::new("unused")).unwrap();
    assert_eq!((by_folder.checkpoint, by_folder.run), (last.clone(), Some(newer)));
    let by_file = Resolved::find(&path, Path::new("unused")).unwrap();
    assert_eq!((&by_file.checkpoint, &by_file.run), (&path, &Some(older)));

    set_age(&path, 60);
    let latest = |output: &Path| Resolved::find(Path::new("latest"), output).unwrap().checkpoint;
    assert_eq!(latest(output.path()), last);
    set_age(&last, 120);
    assert_eq!(latest(output.path()), path, "the run whose checkpoint was written last");
}

#[test]
fn a_checkpoint_outside_of_a_run_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copied.safetensors");
    checkpoint(3).write(&path).unwrap();
    assert_eq!(Resolved::find(&path, Path::new("unused")).unwrap().run, None);
}

#[test]
fn what_is_no_run_is_refused() {
    let output = tempfile::tempdir().unwrap();
    let empty = create(output.path(), "empty").unwrap();
    for (arg, says) in [
        (empty.folder(), "this run has no checkpoint yet"),
        (output.path(), "not a run folder"),
        (&output.path().join("nothing"), "there is no such run or checkpoint"),
        (Path::new("latest"), "no run with a checkpoint is in this folder"),
    ] {
        let error = Resolved::find(arg, output.path()).unwrap_err().to_string();
        assert!(error.contains(says), "{}: {error}", arg.display());
    }
}

#[test]
fn resuming_clears_what_a_killed_process_left() {
    let output = tempfile::tempdir().unwrap();
    let run = create(output.path(), "first").unwrap();
    let path = run.save(&checkpoint(10)).unwrap();
    let part = path.with_file_name(".gridfield-part-abc");
    File::create(&part).unwrap();
    run.prepare_to_resume(10).unwrap();
    assert!(!part.exists() && path.exists());
    let error = run.prepare_to_resume(9).unwrap_err().to_string();
    assert!(error.contains("step 10, beyond step 9"), "{error}");
}

#[test]
fn a_scene_is_called_by_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("lego/images")).unwrap();
    assert_eq!(scene_name(&folder.path().join("lego")).unwrap(), "lego");
    assert_eq!(scene_name(&folder.path().join("lego/images/..")).unwrap(), "lego");
    assert!(scene_name(&folder.path().join("none")).is_err());
    assert!(scene_name(Path::new("/")).unwrap_err().to_string().contains("no name"));
}
