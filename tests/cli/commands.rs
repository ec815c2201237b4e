//! The command line: help, errors, exit codes, and output that scripts can read.

use std::path::PathBuf;
use std::process::Stdio;

use crate::binary::{ORRERY, command, gridfield, printed, sentence, stderr, stdout};
use gridfield::checkpoint::{Checkpoint, Header, Tensor};
use gridfield::config::{Config, ModelName, TaskName};
use gridfield::geometry::UnitCube;
use gridfield::train::Run;

/// Creates a folder with `outputs/boat/hash/first` and its checkpoint of step 42.
fn with_a_run() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::default();
    let run = Run::create(&folder.path().join("outputs"), "boat", Some("first"), &config).unwrap();
    let unit_cube = UnitCube::new(0.33, [0.5; 3]);
    let header = Header::new(config, "boat", unit_cube, 42, 61.0);
    let tensors = vec![Tensor::new("grid.features", &[2, 4], vec![0.25f32; 8])];
    let path = run.save(&Checkpoint::new(header, tensors)).unwrap();
    (folder, path)
}

#[test]
fn help_and_version_go_to_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let top = gridfield(folder.path(), &["--help"]);
    assert!(top.status.success());
    for command in ["train", "eval", "render", "info", "devices"] {
        assert!(stdout(&top).contains(&format!("\n  {command} ")), "{}", stdout(&top));
    }
    let version = gridfield(folder.path(), &["--version"]);
    assert!(stdout(&version).starts_with(concat!("gridfield ", env!("CARGO_PKG_VERSION"))), "{}", stdout(&version));
}

#[test]
fn every_flag_is_in_its_commands_help() {
    let folder = tempfile::tempdir().unwrap();
    for (command, flags) in [
        (
            "train",
            "--model --device --max-steps --max-seconds --seed --threads --output-dir --run-name --resume --stop-after \
             --downscale --background --config --set --eval-every --save-every --quiet --json",
        ),
        ("eval", "--split --background --max-images --scene --save-images --save-error-maps --output"),
        ("render", "--path --camera --scene --output --width --height --fps --seconds --outputs --shard"),
    ] {
        let help = gridfield(folder.path(), &[command, "--help"]);
        assert!(help.status.success());
        for flag in flags.split_whitespace() {
            assert!(stdout(&help).split([' ', '\n']).any(|word| word == flag), "{command} {flag}");
        }
    }
    let render = gridfield(folder.path(), &["render", "--help"]);
    let words: Vec<&str> = stdout(&render).split_whitespace().collect();
    assert!(words.join(" ").contains("1/3 renders frames 0, 3, 6"), "{}", stdout(&render));
    let train = gridfield(folder.path(), &["train", "--help"]);
    assert!(stdout(&train).contains("[default: 20000]"), "the default comes from the configuration");
}

#[test]
fn training_commands_tell_the_defaults_and_the_models_of_their_task() {
    let folder = tempfile::tempdir().unwrap();
    for (command, steps, on_cpu, evaluations, has_networks) in [
        ("train", 20_000, 6000, "up to 10 validation (else test) images", false),
        ("fit-image", 10_000, 1000, "of the whole image", true),
        ("fit-sdf", 10_000, 2000, "of the inside", false),
    ] {
        let help = printed(folder.path(), &[command, "--help"]);
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for says in [
            &format!("Training steps [default: {steps}]; on a CPU {on_cpu}; with --max-seconds alone: no limit"),
            evaluations,
            "- mulfagrid:",
        ] {
            assert!(words.contains(says), "{command} {says}: {help}");
        }
        for name in ["fourier_features", "fourier_net", "gabor_net"] {
            assert_eq!(words.contains(&format!("- {name}:")), has_networks, "{command} {name}: {help}");
        }
    }
    assert!(printed(folder.path(), &["compare-image", "--help"]).contains("gabor_net"));
    let error = sentence(folder.path(), &["train", ".", "--model=gabor_net"]);
    assert!(error.contains("networks without a grid are references for images"), "{error}");
}

#[test]
fn arguments_that_make_no_sense_end_with_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for (args, says) in [
        (
            &["train", "scene", "--max-step", "5"][..],
            "unexpected argument '--max-step' found; a similar argument exists: '--max-steps'; --help says more",
        ),
        (&["tran", "scene"], "unrecognized subcommand 'tran'"),
        (&["train"], "<SCENE>"),
        (&["train", "scene", "--max-steps", "many"], "invalid value 'many' for '--max-steps <N>'"),
        (&["train", "scene", "--threads", "0"], "0 is not in 1.."),
        (&["train", "scene", "--max-seconds=-1"], "a number above 0 is expected"),
        (&["train", "scene", "--max-seconds", "nan"], "a number above 0 is expected"),
        (&["render", "latest", "--seconds", "inf"], "a number above 0 is expected"),
        (&["train", "scene", "--background", "blue"], "invalid value 'blue'"),
        (&["train", "scene", "--device", "tpu"], "[possible values: auto, cpu, cuda]"),
        (&["eval", "latest", "--background", "random"], "[possible values: white, black]"),
        (&["render", "latest", "--outputs", "rgb,heat"], "invalid value 'heat'"),
        (
            &["render", "latest", "--path", "circle"],
            "expected orbit, spiral, interpolate, dataset or a camera-path file",
        ),
        (
            &["render", "latest", "--output", "film.gif"],
            "expected a video such as orbit.mp4, frames such as frames/%04d.png, or a folder",
        ),
        (&["render", "latest", "--shard", "3/2"], "a shard is I/N with I from 1 to N"),
        (&["render", "latest", "--shard", "0/2"], "a shard is I/N with I from 1 to N"),
    ] {
        let error = sentence(folder.path(), args);
        assert!(error.contains(says), "{args:?}: {error}");
    }
    let nothing = gridfield(folder.path(), &[]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(stderr(&nothing).contains("Usage: gridfield"), "{}", stderr(&nothing));
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (args, flags) in [
        (&["--quiet", "--json"][..], ["--quiet", "--json"]),
        (&["--resume", "latest", "--seed", "3"], ["--resume", "--seed"]),
        (&["--resume", "latest", "--model", "hash"], ["--resume", "--model"]),
        (&["--resume", "latest", "--downscale", "2"], ["--resume", "--downscale"]),
        (&["--resume", "latest", "--background", "white"], ["--resume", "--background"]),
        (&["--resume", "latest", "--config", "a.json"], ["--resume", "--config"]),
        (&["--resume", "latest", "--set", "train.seed=3"], ["--resume", "--set"]),
        (&["--resume", "latest", "--run-name", "a"], ["--resume", "--run-name"]),
    ] {
        let error = sentence(folder.path(), &[&["train", "."], args].concat());
        let named = flags.iter().all(|flag| error.contains(flag)) && error.contains("cannot be used with");
        assert!(named, "{args:?}: {error}");
    }
    let error = sentence(folder.path(), &["train", ".", "--max-steps", "100", "--stop-after", "101"]);
    assert!(error.starts_with("--stop-after 101 lies beyond the end of the run at step 100"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn configuration_mistakes_name_file_and_key() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.json"), r#"{"train": {"max_step": 5}}"#).unwrap();
    for (args, says) in [
        (
            ["--config", "c.json"],
            "c.json: `train.max_step` is not a configuration key; the nearest one is `train.max_steps`",
        ),
        (["--config", "none.json"], "none.json: the config file cannot be read"),
        (["--set", "trian=1"], "`trian` is not a configuration key; the nearest one is section `train`"),
        (["--set", "scene.scale=1e300"], "scene.scale is 1e300, but must be from "),
        (["--set", "train.seed=4294967296"], "train.seed is 4294967296, but must be from 0 to 4294967295"),
        (["--set", "train.seeds=1"], "`train.seeds` is not a configuration key; the nearest one is `train.seed`"),
        (["--set", "model.sh_degree=7"], "model.sh_degree is 7, but must be from 1 to 6"),
        (["--downscale", "0"], "scene.downscale is 0"),
    ] {
        let joined = format!("{}={}", args[0], args[1]);
        let error = sentence(folder.path(), &["train", ".", &joined]);
        assert!(error.starts_with(says), "{args:?}: {error}");
    }
    let error = sentence(folder.path(), &["train", "nowhere"]);
    assert!(error.starts_with("nowhere: there is no such folder; check the path"), "{error}");
}

#[test]
fn info_describes_a_checkpoint_a_run_and_the_latest() {
    let (folder, path) = with_a_run();
    let by_file = gridfield(folder.path(), &["info", path.to_str().unwrap()]);
    assert!(by_file.status.success(), "{}", stderr(&by_file));
    for part in ["boat", "42 of 20,000 steps, 1 min 01 s", "grid.features  F32  [2, 4]", "x_unit = 0.33 x_scene"] {
        assert!(stdout(&by_file).contains(part), "{part}: {}", stdout(&by_file));
    }
    for arg in ["latest", "outputs/boat/hash/first"] {
        let output = gridfield(folder.path(), &["info", arg]);
        assert!(stdout(&output).contains("42 of 20,000 steps"), "{arg}: {}", stderr(&output));
    }
}

#[test]
fn info_lists_the_members_of_the_family() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["info", "--models"]);
    let (table, advice) = text.split_once("\n\n").unwrap();
    let lines: Vec<Vec<&str>> = table.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    let expected: Vec<_> = ModelName::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(lines.iter().map(|words| words[0]).collect::<Vec<_>>(), expected, "{text}");
    // Name, index, kernel, parameters, their memory, operations, and the number of rows gathered: 8 levels of 8
    // corners.
    let line = |name: &str| lines.iter().find(|words| words[0] == name).unwrap();
    assert_eq!(line("hash")[..7], ["hash", "hash", "linear", "11.7", "M", "199", "MB"], "{text}");
    assert_eq!(line("hash")[8], "64", "{text}");
    assert_eq!(line("points")[..3], ["points", "points", "gaussian"], "{text}");
    // Networks without a grid; the figures are for the three channels of an image.
    assert_eq!(line("fourier_net")[..4], ["fourier_net", "none", "–", "201"], "{text}");
    for name in ModelName::ALL.iter().filter(|name| !name.is_for(TaskName::Radiance)) {
        assert!(line(name.as_str()).contains(&"images:"), "{text}");
    }
    for task in ["radiance fields ", "images ", "distance fields ", "images, by networks without hidden layers"] {
        assert!(advice.lines().any(|line| line.trim_start().starts_with(task)), "{task}: {advice}");
    }
    let both = sentence(folder.path(), &["info", "--models", ORRERY]);
    assert!(both.contains("cannot be used with"), "{both}");
    assert!(sentence(folder.path(), &["info"]).contains("<SCENE|RUN|CHECKPOINT>"));
}

#[test]
fn info_describes_a_scene() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["info", ORRERY]);
    for part in ["orrery", "60 images of 160×160", "10 images", "20 images", "x_unit = 0.33 x_scene"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn devices_names_the_cpu_and_says_what_becomes_of_cuda() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(folder.path(), &["devices"]);
    assert!(text.contains("cpu   CPU, ") && text.contains("\ncuda  "), "{text}");
}

#[test]
fn info_refuses_what_is_damaged_or_missing() {
    let (folder, path) = with_a_run();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(folder.path().join("cut.safetensors"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(sentence(folder.path(), &["info", "cut.safetensors"]).starts_with("cut.safetensors: truncated"));
    assert!(sentence(folder.path(), &["info", "nowhere"]).starts_with("nowhere: there is no such"));
    assert!(sentence(folder.path(), &["info", "outputs"]).starts_with("outputs: neither a scene"));
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(sentence(elsewhere.path(), &["info", "latest"]).starts_with("outputs: no run with a checkpoint"));
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let (folder, _path) = with_a_run();
    for args in [&["info", "latest"][..], &["--help"]] {
        let mut child = command(folder.path(), args).stdout(closed_pipe()).stderr(Stdio::piped()).spawn().unwrap();
        child.wait().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "{args:?}");
    }
}

/// Returns a pipe whose reading end is closed.
fn closed_pipe() -> std::io::PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

/// Without MPI, each process would train a run of its own.
#[cfg(not(feature = "mpi"))]
#[test]
fn one_of_several_ranks_is_refused_without_mpi() {
    let folder = tempfile::tempdir().unwrap();
    let started = |rank: &str, size: &str| {
        let mut command = command(folder.path(), &["train", "nowhere"]);
        command.envs([("OMPI_COMM_WORLD_RANK", rank), ("OMPI_COMM_WORLD_SIZE", size)]).output().unwrap()
    };
    let first = started("0", "2");
    assert_eq!(first.status.code(), Some(2));
    assert!(
        stderr(&first).contains("as one of 2 ranks, but this gridfield was built without MPI"),
        "{}",
        stderr(&first)
    );
    let second = started("1", "2");
    assert_eq!((second.status.code(), stderr(&second)), (Some(2), ""));
    assert!(stderr(&started("0", "1")).contains("nowhere: there is no such folder"));
}
