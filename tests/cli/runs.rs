//! The commands end to end, on the bundled scene with settings so small that a run takes seconds.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binary::{
    ORRERY, TINY, checked, command, gridfield, printed, sentence, stderr, stdout, tiny_checkpoint, tiny_run,
    train_tiny, train_tiny_on, without_times,
};
use crate::captures::room;
use crate::skip::skipped;
use gridfield::device::{Device, DeviceChoice, Precision};
use serde_json::{Value, json};

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn size(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).unwrap()
}

/// Returns the names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Trains a tiny run in a new folder.
fn trained() -> (tempfile::TempDir, PathBuf) {
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
fn a_run_is_rendered_as_frames_of_several_channels() {
    let (folder, run) = trained();
    let frames = ["--seconds=1", "--fps=3", "--width=24", "--outputs=rgb,depth,opacity,normal"];
    let args = [&["render", run.to_str().unwrap(), "--output=new/frames/%03d.png"], &frames[..]].concat();
    let said = printed(folder.path(), &args);
    let patterns = ["rgb", "depth", "opacity", "normal"].map(|channel| format!("new/frames/%03d-{channel}.png"));
    assert_eq!(said.lines().collect::<Vec<_>>(), patterns);
    let folder = folder.path().join("new/frames");
    assert_eq!(names(&folder).len(), 12);
    for name in ["000-rgb.png", "002-normal.png"] {
        assert_eq!(size(&folder.join(name)), (24, 24), "the aspect ratio is kept");
    }
}

#[test]
fn a_run_on_panoramas_is_described_evaluated_and_rendered() {
    let folder = tempfile::tempdir().unwrap();
    room::write(&folder.path().join("room"));
    let told = printed(folder.path(), &["info", "room"]);
    for part in ["14 images of 96×48, 360.0° wide", "panorama, equirectangular"] {
        assert!(told.contains(part) && !told.contains("warning"), "{part}: {told}");
    }
    train_tiny_on("room", folder.path(), &["--max-steps=20", "--quiet"]);
    printed(folder.path(), &["eval", "latest", "--save-images"]);
    let frames = |path: &str, args: &[&str]| {
        let usual = ["render", "latest", "--output=f/%d.png", path];
        printed(folder.path(), &[&usual, args].concat());
        size(&folder.path().join("f/0.png"))
    };
    let short = ["--seconds=0.1", "--fps=10"];
    assert_eq!(frames("--path=dataset", &[]), (12, 6), "the views are panoramas already");
    assert_eq!(frames("--path=orbit", &[&short[..], &["--camera=equirectangular", "--width=40"]].concat()), (40, 20));
    assert_eq!(frames("--path=orbit", &[&short[..], &["--height=9"]].concat()), (18, 9));
    let args = ["render", "latest", "--camera=equirectangular", "--width=40", "--height=40", "--output=g/%d.png"];
    assert!(sentence(folder.path(), &args).contains("a panorama is twice as wide as high, not 40×40"));
    assert!(!folder.path().join("g").exists());
    let args = [&["train", "room"], &TINY[..], &["--max-steps=5", "--set=march.space=ndc"]].concat();
    assert!(sentence(folder.path(), &args).contains("march.space is ndc"), "panoramas are not forward-facing");
}

#[test]
fn a_forward_facing_run_has_no_panoramas() {
    let folder = tempfile::tempdir().unwrap();
    crate::captures::llff(&folder.path().join("flat"), 9, 30.0);
    train_tiny_on("flat", folder.path(), &["--max-steps=5", "--quiet"]);
    let args = ["render", "latest", "--camera=equirectangular", "--width=16", "--output=pano/%d.png"];
    let said = sentence(folder.path(), &args);
    assert!(said.contains("march.space is ndc") && said.contains("--camera perspective"), "{said}");
    assert!(!folder.path().join("pano/0.png").exists());
}

#[test]
fn a_folder_as_output_holds_frames() {
    let (folder, _) = trained();
    fs::create_dir(folder.path().join("there")).unwrap();
    for output in ["new/frames/", "there"] {
        let output = format!("--output={output}");
        let args = ["render", "latest", "--seconds=0.2", "--fps=10", "--width=8", &output];
        let said = printed(folder.path(), &args);
        assert_eq!(said.trim(), format!("{}/%04d.png", output[9..].trim_end_matches('/')));
    }
    for frames in ["new/frames", "there"] {
        assert_eq!(names(&folder.path().join(frames)), ["0000.png", "0001.png"]);
    }
    let error = sentence(folder.path(), &["render", "latest", "--output=frames"]);
    assert!(error.contains("or a folder for frames such as frames/"), "{error}");
}

#[test]
fn odd_sizes_of_videos_are_named() {
    let (folder, _) = trained();
    let render = |size: &[&str], output: &str| {
        let args = [&["render", "latest", "--seconds=0.1", "--fps=10", output], size].concat();
        let output = command(folder.path(), &args).env("PATH", "").output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output).to_owned()
    };
    let says = |size: &[&str]| render(size, "--output=film.mp4");
    let note = "gridfield: note: videos need an even width and height, so the last";
    assert!(says(&["--width=33", "--height=24"]).contains(&format!("{note} column is repeated: 33×24 becomes 34×24")));
    assert!(says(&["--width=32", "--height=25"]).contains(&format!("{note} row is repeated: 32×25 becomes 32×26")));
    assert!(says(&["--width=33"]).contains(&format!("{note} column and row are repeated: 33×33 becomes 34×34")));
    assert_eq!(says(&["--width=32"]), "");
    assert_eq!(render(&["--width=33"], "--output=frames/"), "");
}

#[test]
fn a_long_render_tells_how_far_it_is_where_there_is_no_terminal() {
    let (folder, _) = trained();
    let args = ["render", "latest", "--seconds=1000", "--output=frames/", "--device=cpu", "--threads=1"];
    let mut child = command(folder.path(), &args).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.next().expect("a line every few seconds");
    assert!(line.starts_with("frames: ") && line.contains(" of 30000, ") && line.ends_with(" left"), "{line}");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn shards_share_the_frames_and_leave_those_that_are_there() {
    let (folder, _) = trained();
    let shard = |shard: &str| {
        let args = ["render", "latest", "--path=spiral", "--seconds=1", "--fps=5", "--output=f/%d.png", shard];
        printed(folder.path(), &args)
    };
    let frames = folder.path().join("f");
    shard("--shard=2/2");
    assert_eq!(names(&frames), ["1.png", "3.png"]);
    fs::write(frames.join("2.png"), "another process's").unwrap();
    shard("--shard=1/2");
    assert_eq!(names(&frames), ["0.png", "1.png", "2.png", "3.png", "4.png"]);
    assert_eq!(fs::read(frames.join("2.png")).unwrap(), b"another process's");
}

#[test]
fn the_dataset_path_renders_what_an_evaluation_compares() {
    let (folder, run) = trained();
    printed(folder.path(), &["eval", "latest", "--max-images=2", "--save-images"]);
    printed(folder.path(), &["render", "latest", "--path=dataset", "--output=views/%d.png"]);
    assert_eq!(names(&folder.path().join("views")).len(), 20);
    let evaluated = image::open(run.join("renders/eval-test/test_r_1.png")).unwrap();
    assert_eq!(image::open(folder.path().join("views/1.png")).unwrap(), evaluated);
}

#[test]
fn a_video_needs_nothing_installed() {
    let (folder, run) = trained();
    let args = ["render", "latest", "--seconds=0.2", "--fps=10", "--width=32", "--outputs=rgb,depth"];
    // Without a PATH ffmpeg is not found, and the bundled encoder is used.
    let output = checked(command(folder.path(), &args).env("PATH", "").output().unwrap(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    let videos = ["renders/orbit-rgb.mp4", "renders/orbit-depth.mp4"].map(|name| run.join(name));
    let said = videos
        .iter()
        .map(|video| format!("outputs/orrery/hash/tiny/renders/{}\n", video.file_name().unwrap().to_str().unwrap()));
    assert_eq!(stdout(&output), said.collect::<String>());
    for video in videos {
        assert_eq!(&fs::read(&video).unwrap()[4..8], b"ftyp", "{}", video.display());
    }
    assert_eq!(names(&run.join("renders")).len(), 2, "nothing else is left");
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

/// Trains with `args` without a break and with one, resuming on a different number of threads, and compares the
/// checkpoints.
fn assert_resume_gives_the_same_bits(model: &str, args: &[&str]) {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let args = [&["--max-steps=100", "--quiet"], args].concat();
    // The occupancy grid is updated at every step at first and at every 5th step by step 83: the break is between two
    // updates.
    train_tiny(whole.path(), &args);
    train_tiny(parts.path(), &[&args[..], &["--stop-after=83"]].concat());
    printed(parts.path(), &["train", "--resume", "latest", "--device=cpu", "--threads=1", "--quiet"]);
    let path = |folder: &tempfile::TempDir| {
        folder.path().join(format!("outputs/orrery/{model}/tiny/checkpoints/step-000000100.safetensors"))
    };
    let [expected, found] = [&whole, &parts].map(|folder| without_times(&path(folder)));
    assert_eq!(found.header, expected.header);
    for (found, expected) in found.tensors.iter().zip(&expected.tensors) {
        assert!(found == expected, "{model} {args:?}: {} differs", found.name);
    }
    assert_eq!(found.tensors.len(), expected.tensors.len());
}

#[test]
fn resume_gives_the_same_bits_at_any_number_of_threads() {
    assert_resume_gives_the_same_bits("hash", &[]);
}

#[test]
fn bf16_resumes_with_the_same_bits() {
    if let Err(error) = Device::open(DeviceChoice::Cpu, 1).unwrap().with_precision(Precision::Bf16) {
        return skipped("bf16_resumes_with_the_same_bits", error);
    }
    assert_resume_gives_the_same_bits("hash", &["--set=train.precision=bf16"]);
}

#[test]
fn every_encoding_resumes_with_the_same_bits() {
    let dense = ["--model=dense", "--set=model.grid.n_levels=1", "--set=model.grid.base_resolution=32"];
    let upscales = |at: &'static str| [&dense[..], &[at, "--set=optimizer.total_variation=1e-4"]].concat();
    // The break lies between two doublings of the resolution, after both, and on one.
    for at in [
        "--set=model.grid.upscale_at=[0.4, 0.9]",
        "--set=model.grid.upscale_at=[0.2, 0.5]",
        "--set=model.grid.upscale_at=[0.83]",
    ] {
        assert_resume_gives_the_same_bits("dense", &upscales(at));
    }
    let averaged = [&dense[..], &["--set=model.grid.upscale_at=[0.4, 0.9]", "--set=train.ema_decay=0.9"]].concat();
    assert_resume_gives_the_same_bits("dense", &averaged);
    let fourier = ["--model=fourier", "--set=model.grid.n_levels=5", "--set=model.grid.base_resolution=12"];
    assert_resume_gives_the_same_bits("fourier", &fourier);
    assert_resume_gives_the_same_bits("mulfagrid", &["--model=mulfagrid"]);
    let frequencies = "--set=model.grid.local.n_frequencies=2";
    assert_resume_gives_the_same_bits("cascade_local", &["--model=cascade_local", frequencies]);
    assert_resume_gives_the_same_bits("cascade", &["--model=cascade", "--set=train.ema_decay=0.9"]);
    let points = ["--model=points", "--set=model.grid.n_levels=1", "--set=model.grid.points.resolution=10"];
    assert_resume_gives_the_same_bits("points", &points);
}

#[test]
fn what_is_learned_of_photographs_resumes_with_the_same_bits() {
    let refined = ["--set=train.refine_cameras=true", "--set=train.exposure=true", "--set=train.ema_decay=0.9"];
    assert_resume_gives_the_same_bits("hash", &refined);
}

const POINTS: [&str; 2] = ["--model=points", "--set=model.grid.n_levels=1"];

#[test]
fn points_come_from_a_file_that_is_needed_no_more() {
    let folder = tempfile::tempdir().unwrap();
    // Points in scene coordinates; the last one lies outside the unit cube.
    let points: String = (0..64).map(|i| format!("{} {} {}\n", i % 4, i / 4 % 4, i / 16)).collect();
    let ply = format!(
        "ply\nformat ascii 1.0\nelement vertex 65\nproperty float x\nproperty float y\nproperty float z\nend_header\n\
         {}9 9 9\n",
        points.replace('2', "-0.5").replace('3', "-1")
    );
    fs::write(folder.path().join("cloud.ply"), ply).unwrap();
    let args = ["--set=model.grid.points.file=cloud.ply", "--max-steps=20", "--stop-after=10", "--quiet"];
    train_tiny(folder.path(), &[&POINTS[..], &args].concat());
    fs::remove_file(folder.path().join("cloud.ply")).unwrap();
    printed(folder.path(), &["train", "--resume", "latest", "--quiet"]);
    printed(folder.path(), &["eval", "latest", "--max-images=1"]);
    let checkpoint = folder.path().join("outputs/orrery/points/tiny/checkpoints/step-000000020.safetensors");
    let nodes = without_times(&checkpoint).get::<f32>("grid.nodes", &[64, 3]).unwrap().to_vec();
    let holds = |x: f32| nodes.iter().any(|node| (node - x).abs() < 1e-6);
    assert!(holds(0.83) && holds(0.335) && holds(0.17), "x_unit = 0.33 x_scene + 0.5: {nodes:?}");
}

#[test]
fn points_come_from_the_occupied_cells_of_a_run() {
    let (folder, _) = trained();
    let from_run = ["--set=model.grid.points.from_run=latest", "--max-steps=5", "--quiet"];
    train_tiny(folder.path(), &[&POINTS[..], &from_run].concat());
    let checkpoint = folder.path().join("outputs/orrery/points/tiny/checkpoints/step-000000005.safetensors");
    let nodes = without_times(&checkpoint).tensors.into_iter().find(|tensor| tensor.name == "grid.nodes").unwrap();
    let bits = without_times(&tiny_checkpoint(folder.path(), 40)).take::<u8>("occupancy.bits", &[1, 4096]).unwrap();
    let occupied: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
    assert_eq!(nodes.shape, [occupied as usize, 3]);
}

#[test]
fn nodes_that_cannot_be_had_are_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let header = |n: usize| {
        let properties = ["x", "y", "z"].map(|axis| format!("property float {axis}\n")).concat();
        format!("ply\nformat ascii 1.0\nelement vertex {n}\n{properties}end_header\n")
    };
    for (name, text) in [
        ("cut.ply", header(5) + "0 0 0\n"),
        ("nan.ply", header(2) + "0 0 0\n0 nan 0\n"),
        ("few.ply", header(3) + "0 0 0\n0.1 0 0\n0 0.1 0\n"),
        ("far.ply", header(1) + "50 0 0\n"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for (key, says) in [
        ("file=none.ply", "none.ply: the point cloud cannot be read"),
        ("file=cloud.obj", "cloud.obj: the point cloud cannot be read"),
        ("file=cut.ply", "cut.ply: truncated: its header announces 5 vertices, but 1 are there"),
        ("file=nan.ply", "nan.ply: point 1 is [0.0, NaN, 0.0], but coordinates must be finite numbers"),
        ("file=few.ply", "model.grid.points.k is 8, but there are 3 nodes"),
        ("file=far.ply", "far.ply: none of its 1 points lies in the field's box"),
        ("from_run=nowhere", "nowhere: there is no such run or checkpoint"),
    ] {
        let set = format!("--set=model.grid.points.{key}");
        let args = [&["train", ORRERY], &TINY[..], &POINTS, &[&set]].concat();
        let error = sentence(folder.path(), &args);
        assert!(error.starts_with(says), "{key}: {error}");
    }
    assert!(!folder.path().join("outputs").exists(), "no run is started");
}

#[test]
fn a_run_that_stopped_says_how_to_go_on_and_one_that_ended_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let said = train_tiny(folder.path(), &["--max-steps=9", "--stop-after=4"]);
    assert!(said.contains("train --resume outputs/orrery/hash/tiny"), "{said}");
    let resume = ["train", "--resume", "latest", "--threads=2"];
    let error = sentence(folder.path(), &[&resume[..], &["--stop-after=4"]].concat());
    assert!(error.starts_with("--stop-after 4 is not beyond step 4"), "{error}");
    assert!(!printed(folder.path(), &resume).contains("--resume"));
    let error = sentence(folder.path(), &resume);
    assert!(error.starts_with("the run has all of its 9 steps; to train it further, raise --max-steps"), "{error}");
    printed(folder.path(), &[&resume[..], &["--max-steps=12"]].concat());
    assert_eq!(read_json(&tiny_run(folder.path()).join("config.json"))["train"]["max_steps"], 12);
}

#[test]
fn ctrl_c_saves_and_the_run_can_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let args = [&["train", ORRERY, "--max-steps=1000000", "--json"], &TINY[..]].concat();
    let mut child = command(folder.path(), &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains(r#""event":"step""#)).expect("a step is reported");
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let last: Value = serde_json::from_str(&lines.last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["reason"]), (&"finished".into(), &"interrupted".into()));
    assert_eq!(child.wait().unwrap().code(), Some(130));

    let step = last["step"].as_u64().unwrap();
    assert!(tiny_checkpoint(folder.path(), step).is_file());
    let more = format!("--stop-after={}", step + 1);
    let output = gridfield(folder.path(), &["train", "--resume", "latest", &more, "--quiet"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Creates an `ffmpeg` that reads frames until its input ends or a signal arrives, and that records its process group.
#[cfg(target_os = "linux")]
fn fake_ffmpeg(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let script = "#!/bin/sh\ncase $* in *-encoders*) echo libx264; exit;; esac\ncut -d' ' -f5 /proc/$$/stat >group.part\nmv group.part group\nexec cat >/dev/null\n";
    let path = folder.join("ffmpeg");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_during_a_video_is_no_failure_of_ffmpeg() {
    use std::os::unix::process::CommandExt as _;
    let (folder, run) = trained();
    fake_ffmpeg(folder.path());
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let args = ["render", "latest", "--output=film.mp4", "--seconds=1000", "--device=cpu", "--threads=1"];
    let mut command = command(folder.path(), &args);
    command.env("PATH", path).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let group = folder.path().join("group");
    while !group.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let own = child.id().to_string();
    assert_ne!(fs::read_to_string(&group).unwrap().trim(), own, "Ctrl-C reaches a whole process group");
    assert!(Command::new("kill").args(["-INT", "--", &format!("-{own}")]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(!folder.path().join("film.mp4").exists() && !run.join("renders").exists());
}
