//! `latest`, and the folders in which runs are looked for.

use std::fs;

use crate::binary::{command, printed, sentence, stderr, train_tiny};

#[test]
fn the_last_run_is_found_wherever_it_was_put() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let far = elsewhere.path().to_str().unwrap();
    let error = sentence(folder.path(), &["eval", "latest"]);
    assert!(error.starts_with("outputs: no run with a checkpoint is in this folder; train one"), "{error}");
    let latest = || {
        let said = printed(folder.path(), &["info", "latest"]);
        said.lines().next().unwrap().split_whitespace().nth(1).unwrap().to_owned()
    };
    train_tiny(folder.path(), &["--max-steps=1", "--quiet"]);
    assert_eq!(latest(), "outputs/orrery/hash/tiny/checkpoints/step-000000001.safetensors");
    train_tiny(folder.path(), &["--max-steps=2", "--quiet", "--output-dir=a/b"]);
    assert_eq!(latest(), "a/b/orrery/hash/tiny/checkpoints/step-000000002.safetensors");
    train_tiny(folder.path(), &["--max-steps=4", "--stop-after=3", "--quiet", &format!("--output-dir={far}")]);
    assert_eq!(latest(), format!("{far}/orrery/hash/tiny/checkpoints/step-000000003.safetensors"));
    printed(folder.path(), &["train", "--resume", "latest", "--quiet", "--device=cpu"]);
    assert_eq!(latest(), format!("{far}/orrery/hash/tiny/checkpoints/step-000000004.safetensors"));
    printed(folder.path(), &["eval", "latest", "--max-images=1"]);
    assert!(elsewhere.path().join("orrery/hash/tiny/eval.json").is_file());

    // A run that was deleted is not silently replaced by another.
    fs::remove_dir_all(elsewhere.path().join("orrery")).unwrap();
    let error = sentence(folder.path(), &["render", "latest"]);
    let says = "tiny: the last run is no longer there, or has no checkpoint; give the folder of another, such as outputs/orrery";
    assert!(error.starts_with(far) && error.contains(says), "{error}");
    train_tiny(folder.path(), &["--max-steps=1", "--quiet", "--model=cascade"]);
    assert!(latest().starts_with("outputs/orrery/cascade/tiny"));
}

#[test]
fn every_command_that_takes_a_run_takes_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=1", "--quiet", "--output-dir=a"]);
    train_tiny(folder.path(), &["--max-steps=1", "--quiet", "--model=cascade"]);
    let said = printed(folder.path(), &["info", "latest", "--output-dir=a"]);
    assert!(said.contains("a/orrery/hash/tiny"), "{said}");
    printed(folder.path(), &["eval", "latest", "--output-dir=a", "--max-images=1"]);
    assert!(folder.path().join("a/orrery/hash/tiny/eval.json").is_file());
    let frames = ["--seconds=0.1", "--fps=10", "--width=8", "--output=frames/"];
    printed(folder.path(), &[&["render", "latest", "--output-dir=a"], &frames[..]].concat());
    for command in
        [&["eval", "latest"][..], &["render", "latest"], &["info", "latest"], &["export", "latest", "--mesh=a.ply"]]
    {
        let error = sentence(folder.path(), &[command, &["--output-dir=none"]].concat());
        assert!(error.starts_with("none: no run with a checkpoint is in this folder"), "{command:?}: {error}");
    }
}

#[test]
fn a_run_goes_on_where_it_cannot_be_recorded() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("outputs"), "a file").unwrap();
    let args =
        [&["train", crate::binary::ORRERY, "--max-steps=1", "--output-dir=a"], &crate::binary::TINY[..]].concat();
    let output = command(folder.path(), &args).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let says = "gridfield: note: `latest` will not find this run: outputs: cannot be written, as a file stands";
    assert!(stderr(&output).contains(says), "{}", stderr(&output));
}
