//! The scripts for other machines: what they list, write and refuse.
#![cfg(unix)]

mod skip;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The tests that `gpu_check.sh` packs.
fn packed_tests(script: &str) -> BTreeSet<String> {
    let lists = script.lines().filter_map(|line| line.strip_prefix("TESTS=\""));
    let words = lists.flat_map(|list| list.trim_end_matches('"').split_whitespace());
    words.filter(|word| *word != "$TESTS").map(str::to_owned).collect()
}

fn gpu_check() -> String {
    fs::read_to_string(Path::new(ROOT).join("scripts/gpu_check.sh")).unwrap()
}

#[test]
fn the_gpu_check_runs_every_test_that_runs_on_a_gpu() {
    let mut expected = BTreeSet::from(["targets".to_owned()]);
    for entry in fs::read_dir(Path::new(ROOT).join("tests")).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = if entry.is_file() { fs::read_to_string(&entry).unwrap() } else { String::new() };
        if text.contains("on_every_target!") && name != "scripts" {
            expected.insert(name);
        }
    }
    assert_eq!(packed_tests(&gpu_check()), expected);
}

/// A folder as `pack` leaves it, with a stand-in for every program: it writes what it is asked to, and refuses a run of a
/// name that is taken.
fn packed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = gpu_check();
    fs::create_dir(folder.path().join("bin")).unwrap();
    fs::write(folder.path().join("commit"), "0123abc\n").unwrap();
    fs::write(folder.path().join("gpu_check.sh"), &script).unwrap();
    let stand_in = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        --output) printf '{\n  "results": {\n    "psnr": 20.5,\n    "ssim": 0.5\n  }\n}\n' >"$2" ;;
        --output-dir) runs=$2 ;;
        --run-name) mkdir -p "$runs" && mkdir "$runs/$2-$model" || exit 1 ;;
        --model) model=$2 ;;
        json=*) echo '{"stages": []}' >"${1#json=}" ;;
    esac
    shift
done
"#;
    let tests = packed_tests(&script).into_iter().map(|name| format!("test-{name}"));
    for program in tests.chain(["gridfield".to_owned(), "bench-stages".to_owned()]) {
        let path = folder.path().join("bin").join(program);
        fs::write(&path, stand_in).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn bash(folder: &Path, args: &[&str], data: &str) -> Output {
    Command::new("bash").args(args).current_dir(folder).env("GRIDFIELD_DATA", data).output().unwrap()
}

fn has_bash(test: &str) -> bool {
    let found = Command::new("bash").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        skip::skipped(test, "there is no bash");
    }
    found
}

#[test]
fn the_gpu_check_runs_where_it_was_packed_and_runs_again() {
    if !has_bash("the_gpu_check_runs_where_it_was_packed_and_runs_again") {
        return;
    }
    let folder = packed();
    fs::create_dir_all(folder.path().join("data/blender/lego")).unwrap();
    for data in ["", "data", "data"] {
        let output = bash(folder.path(), &["./gpu_check.sh", "run", "results"], data);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let text = fs::read_to_string(folder.path().join("results/gpu_check.json")).unwrap();
        let report: Value = serde_json::from_str(&text).expect(&text);
        assert_eq!((&report["commit"], &report["failed"]), (&"0123abc".into(), &Value::Array(Vec::new())));
        for model in ["hash", "mulfagrid"] {
            assert_eq!(report[format!("psnr_cuda_minus_cpu_{model}")], 0.0);
        }
        let skips: Vec<&str> =
            report["skipped"].as_array().unwrap().iter().map(|skip| skip.as_str().unwrap()).collect();
        assert!(skips.iter().all(|skip| said.contains(&format!("== skipped {skip}"))), "{said}");
        assert_eq!(skips.iter().any(|skip| skip.starts_with("lego: ")), data.is_empty(), "a relative path holds");
        assert_eq!(report["eval-lego-white"].is_null(), data.is_empty());
    }
    let output = bash(folder.path(), &["./gpu_check.sh", "run"], "nowhere");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_gpu_check_unpacks_its_programs() {
    let has_xz = Command::new("xz").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_bash("the_gpu_check_unpacks_its_programs") || !has_xz {
        return skip::skipped("the_gpu_check_unpacks_its_programs", "there is no bash or no xz");
    }
    let folder = packed();
    let archive = "tar -c bin | xz >bin.tar.xz && rm -r bin";
    assert!(bash(folder.path(), &["-c", archive], "").status.success());
    let output = bash(folder.path(), &["./gpu_check.sh", "run"], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_gpu_check_fails_with_the_test_that_failed() {
    if !has_bash("the_gpu_check_fails_with_the_test_that_failed") {
        return;
    }
    let folder = packed();
    fs::write(folder.path().join("bin/test-adam"), "#!/bin/sh\nexit 101\n").unwrap();
    let output = bash(folder.path(), &["./gpu_check.sh", "run"], "");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("gpu_check.json")).unwrap()).unwrap();
    assert_eq!(report["failed"], serde_json::json!(["test-adam"]));
}

#[test]
fn the_evaluation_of_many_scenes_refuses_flags_that_are_its_own() {
    if !has_bash("the_evaluation_of_many_scenes_refuses_flags_that_are_its_own") {
        return;
    }
    let script = Path::new(ROOT).join("scripts/eval_blender.sh");
    let folder = tempfile::tempdir().unwrap();
    for flags in [&["--output-dir", "x"][..], &["--max-steps=3", "--run-name=y"]] {
        let output = bash(folder.path(), &[&[script.to_str().unwrap(), "."], flags].concat(), "");
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.starts_with("eval_blender.sh: --") && said.lines().count() == 1, "{said}");
    }
}
