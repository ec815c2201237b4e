//! The scripts that run on other machines: what they list, write and refuse.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns the tests that `gpu_check.sh` packs.
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
    for folder in fs::read_dir(Path::new(ROOT).join("tests")).unwrap().map(|entry| entry.unwrap().path()) {
        if !folder.join("main.rs").is_file() {
            continue;
        }
        let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let on_every_target = |file: PathBuf| {
            file.extension().is_some_and(|extension| extension == "rs")
                && fs::read_to_string(&file).unwrap().contains("\non_every_target!(")
        };
        if files.into_iter().any(on_every_target) {
            expected.insert(folder.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(packed_tests(&gpu_check()), expected);
}

/// Creates a folder like the one that `pack` writes, with a substitute for every program. It writes the output it is
/// asked for, and refuses a run name that is taken.
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
        crate::skip::skipped(test, "there is no bash");
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
        for model in ["hash", "mulfagrid", "cascade_local"] {
            assert_eq!(report[format!("psnr_cuda_minus_cpu_{model}")], 0.0);
        }
        let skips: Vec<&str> =
            report["skipped"].as_array().unwrap().iter().map(|skip| skip.as_str().unwrap()).collect();
        assert!(skips.iter().all(|skip| said.contains(&format!("== skipped {skip}"))), "{said}");
        assert_eq!(skips.iter().any(|skip| skip.starts_with("lego: ")), data.is_empty(), "a relative path is accepted");
        assert_eq!(report["eval-lego-white"].is_null(), data.is_empty());
    }
    let output = bash(folder.path(), &["./gpu_check.sh", "run"], "nowhere");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_gpu_check_unpacks_its_programs() {
    let has_xz = Command::new("xz").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_bash("the_gpu_check_unpacks_its_programs") || !has_xz {
        return crate::skip::skipped("the_gpu_check_unpacks_its_programs", "there is no bash or no xz");
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
    fs::write(folder.path().join("bin/test-oracle"), "#!/bin/sh\nexit 101\n").unwrap();
    let output = bash(folder.path(), &["./gpu_check.sh", "run"], "");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("gpu_check.json")).unwrap()).unwrap();
    assert_eq!(report["failed"], serde_json::json!(["test-oracle"]));
}

/// The scripts that evaluate many scenes, each with a file that every scene of its format contains.
const EVALUATIONS: [(&str, &str); 2] =
    [("eval_blender.sh", "transforms_train.json"), ("eval_llff.sh", "poses_bounds.npy")];

fn script(name: &str) -> String {
    Path::new(ROOT).join("scripts").join(name).to_str().unwrap().to_owned()
}

/// Runs a script that evaluates many scenes in `folder`, over `scenes/<name>` for each name, with a substitute for the
/// program. It records its arguments in `calls`, and gives the scenes a PSNR of 30.25, 31.25 … dB in turn.
fn evaluate(folder: &Path, (name, marker): (&str, &str), scenes: &[&str], flags: &[&str]) -> Output {
    for scene in scenes {
        fs::create_dir_all(folder.join("scenes").join(scene)).unwrap();
        fs::write(folder.join("scenes").join(scene).join(marker), "").unwrap();
    }
    let stand_in = r#"#!/bin/sh
echo "$*" >>calls
if [ "$1" = train ]; then
    reduced=1
    previous=
    for word; do
        case $previous in --downscale) reduced=$word ;; esac
        previous=$word
    done
    mkdir -p "outputs/$(basename "$2")/hash/$4"
    echo "$reduced" >"outputs/$(basename "$2")/hash/$4/reduced"
    exit
fi
lpips=null
case $* in *--lpips*) lpips=0.0625 ;; esac
n=$(grep -c ^eval calls)
printf '{\n  "results": {\n    "psnr": %s.25,\n    "psnr_std": 2.0,\n    "ssim": 0.875,\n    "lpips": %s\n  },\n  "downscale": %s,\n  "per_image": [\n    {\n      "psnr": 3.0\n    }\n  ]\n}\n' \
    $((29 + n)) "$lpips" "$(cat "$2/reduced")" >"$2/eval.json"
"#;
    let program = folder.join("gridfield");
    fs::write(&program, stand_in).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Command::new("bash")
        .args([script(name).as_str(), "scenes"])
        .args(flags)
        .current_dir(folder)
        .env("GRIDFIELD", program)
        .output()
        .unwrap()
}

/// Returns the table that a successful evaluation prints, split into columns, with the lines that follow it.
fn table(output: &Output) -> Vec<Vec<String>> {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines = said.lines().skip_while(|line| !line.starts_with("scene"));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn scenes_stand_beside_what_is_published_of_them() {
    if !has_bash("scenes_stand_beside_what_is_published_of_them") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let found = table(&evaluate(folder.path(), EVALUATIONS[0], &["chair", "lego"], &["--max-seconds", "3"]));
    let rows = [
        "scene PSNR SSIM LPIPS Instant-NGP K-Planes TensoRF 3DGS Zip-NeRF",
        "chair 30.25 0.8750 - 35.07 34.85 35.72 35.84 35.75",
        "lego 31.25 0.8750 - 35.65 35.73 36.49 35.70 35.81",
        "mean 30.75 0.8750 - 35.36 35.29 36.11 35.77 35.78",
    ];
    assert_eq!(found[..4], rows.map(|row| row.split(' ').map(str::to_owned).collect::<Vec<_>>()));
    assert!(found.iter().flatten().any(|word| word == "NerfBaselines"), "the source is named: {found:?}");
    let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    assert!(calls[0].starts_with("train scenes/chair --run-name eval-") && calls[0].ends_with(" --max-seconds 3"));
    assert!(calls[1].ends_with(" --split test --protocol nerfbaselines"), "{calls:?}");

    // A scene without published figures has dashes, and so do the means that would need them.
    fs::write(folder.path().join("vgg.safetensors"), "").unwrap();
    let found = table(&evaluate(folder.path(), EVALUATIONS[0], &["mine"], &["--lpips=vgg.safetensors"]));
    assert_eq!(found[3].join(" "), "mine 34.25 0.8750 0.0625 - - - - -");
    assert_eq!(found[4].join(" "), "mean 33.25 0.8750 0.0625 - - - - -");
    let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
    let of_weights: Vec<&str> = calls.lines().filter(|call| call.contains("lpips")).collect();
    assert!(of_weights.len() == 3 && of_weights.iter().all(|call| call.starts_with("eval ")), "{calls}");
}

#[test]
fn forward_facing_scenes_are_compared_at_the_published_size() {
    if !has_bash("forward_facing_scenes_are_compared_at_the_published_size") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = evaluate(folder.path(), EVALUATIONS[1], &["fern", "trex"], &[]);
    let found = table(&output);
    assert_eq!(found[0].join(" "), "scene PSNR SSIM LPIPS TensoRF");
    assert_eq!(found[1].join(" "), "fern 30.25 0.8750 - 25.27");
    assert_eq!(found[3].join(" "), "mean 30.75 0.8750 - -");
    let comparable = |output: &Output| !String::from_utf8_lossy(&output.stdout).contains("not comparable");
    assert!(comparable(&output));
    let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
    assert!(calls.starts_with("train scenes/fern") && calls.contains(" --downscale 4\n"), "{calls}");
    // The mean over all scenes is known even where the figure of each scene is not.
    let rest = ["flower", "fortress", "horns", "leaves", "orchids", "room"];
    let output = evaluate(folder.path(), EVALUATIONS[1], &rest, &["--downscale", "8"]);
    assert_eq!(table(&output)[9].last().unwrap(), "26.73");
    assert!(!comparable(&output), "other image sizes are reported as not comparable");
}

#[test]
fn the_table_of_the_docs_is_that_of_the_scripts() {
    let published = fs::read_to_string(script("published.tsv")).unwrap();
    let results = fs::read_to_string(Path::new(ROOT).join("docs/results.md")).unwrap();
    let mut n_rows = 0;
    for row in published.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = row.split('\t').collect();
        if cells[1] == "source" {
            continue;
        }
        let name = if cells[1] == "scenes" { "" } else { cells[1] };
        let in_docs: Vec<&str> = cells[2..].iter().map(|cell| if *cell == "-" { "–" } else { cell }).collect();
        assert!(results.contains(&format!("{name} | {} |\n", in_docs.join(" | "))), "{in_docs:?}");
        let figures: Vec<f64> = cells[2..].iter().filter_map(|cell| cell.parse().ok()).collect();
        if let Some((mean, scenes)) = figures.split_last().filter(|(_, scenes)| scenes.len() > 1) {
            let expected = scenes.iter().sum::<f64>() / scenes.len() as f64;
            assert!((mean - expected).abs() < 0.01, "{row}");
            n_rows += 1;
        }
    }
    assert_eq!(n_rows, 5);
}

#[test]
fn the_evaluation_of_many_scenes_refuses_what_it_cannot_do() {
    if !has_bash("the_evaluation_of_many_scenes_refuses_what_it_cannot_do") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, marker) in EVALUATIONS {
        let cases: [(&[&str], &str); 7] = [
            (&[".", "--output-dir", "x"], "--output-dir is the script's own to set"),
            (&[".", "--max-steps=3", "--run-name=y"], "--run-name is the script's own to set"),
            (&[".", "--lpips"], "--lpips needs a file of weights"),
            (&[".", "--lpips=none"], "--lpips needs a file of weights, and there is none at 'none'"),
            (&["."], &format!("no folder of . holds a {marker}")),
            (&["nowhere"], &format!("usage: scripts/{name} DIR")),
            (&[], &format!("usage: scripts/{name} DIR")),
        ];
        for (args, says) in cases {
            let output = bash(folder.path(), &[&[script(name).as_str()], args].concat(), "");
            assert_eq!(output.status.code(), Some(2));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let sentence = said.strip_prefix(&format!("{name}: ")).unwrap_or(&said);
            assert!(sentence.starts_with(says) && said.lines().count() == 1, "{said}");
        }
    }
}

/// Runs a job file of Slurm as a task of an array, with a substitute for the program, which records its arguments in
/// `calls`.
fn job(folder: &Path, name: &str, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let program = folder.join("gridfield");
    let stand_in =
        "#!/bin/sh\necho \"$*\" >>calls\n[ $1 != train ] || mkdir -p \"outputs/$(basename \"$2\")/hash/$4\"\n";
    fs::write(&program, stand_in).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let file = script(&format!("slurm/{name}"));
    let mut command = Command::new("bash");
    command.arg(file).args(args).current_dir(folder).env("GRIDFIELD", program);
    command.envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn jobs_of_slurm_take_their_share() {
    if !has_bash("jobs_of_slurm_take_their_share") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for scene in ["scenes/chair", "scenes/lego", "scenes/none"] {
        fs::create_dir_all(path.join(scene)).unwrap();
        if scene != "scenes/none" {
            fs::write(path.join(scene).join("transforms_train.json"), "").unwrap();
        }
    }
    let scenes = |task: &str, more: &[&str]| {
        let variables =
            [("SLURM_ARRAY_TASK_ID", task), ("SLURM_ARRAY_JOB_ID", "77"), ("LPIPS", more.first().unwrap_or(&""))];
        job(path, "scenes.sbatch", &["scenes/", "--max-steps", "3"], &variables)
    };
    assert!(scenes("0", &[]).status.success() && scenes("1", &["vgg.safetensors"]).status.success());
    let idle = scenes("2", &[]);
    assert!(idle.status.success() && String::from_utf8_lossy(&idle.stdout).starts_with("there are 2 scenes, and none"));
    let of_array = [("SLURM_ARRAY_TASK_ID", "2"), ("SLURM_ARRAY_TASK_COUNT", "3"), ("SLURM_ARRAY_TASK_MIN", "1")];
    let video = |most: &'static str| {
        let variables = [&of_array[..], &[("SLURM_ARRAY_TASK_MAX", most)]].concat();
        job(path, "video.sbatch", &["latest", "frames/", "--path", "spiral"], &variables)
    };
    assert!(video("3").status.success());
    let calls = fs::read_to_string(path.join("calls")).unwrap();
    let expected = [
        "train scenes/chair --run-name slurm-77 --max-steps 3",
        "eval outputs/chair/hash/slurm-77 --split test --protocol nerfbaselines",
        "train scenes/lego --run-name slurm-77 --max-steps 3",
        "eval outputs/lego/hash/slurm-77 --split test --protocol nerfbaselines --lpips vgg.safetensors",
        "render latest --output frames/ --shard 2/3 --path spiral",
    ];
    assert_eq!(calls.lines().collect::<Vec<_>>(), expected);

    let refused = |output: Output, says: &str| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.lines().count() == 1 && said.contains(says), "{said}");
    };
    refused(video("5"), "video.sbatch: the array goes from 1 in steps of one");
    refused(job(path, "video.sbatch", &["latest"], &[]), "video.sbatch: give the run, and a folder");
    refused(job(path, "video.sbatch", &["latest", "f/"], &[]), "video.sbatch: submit it as an array");
    refused(job(path, "scenes.sbatch", &["nowhere"], &[]), "scenes.sbatch: give the folder");
    refused(job(path, "scenes.sbatch", &["scenes"], &[]), "scenes.sbatch: submit it as an array");
    let taken = job(path, "scenes.sbatch", &["scenes", "--run-name=x"], &[("SLURM_ARRAY_TASK_ID", "0")]);
    refused(taken, "scenes.sbatch: --run-name is the script's own to set");
    refused(job(path, "train.sbatch", &[], &[]), "train.sbatch: give the scene");
}
