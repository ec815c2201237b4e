//! User errors on the command line: exit code 2, one sentence that says where the fault is, and no partial output.

use std::fs;
use std::path::Path;

use crate::binary::{ORRERY, TINY, printed, sentence, stderr, tiny_checkpoint, train_tiny};
use crate::skip::skipped;
use gridfield::checkpoint::{Checkpoint, Tensor};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Creates a scene of two images, in the folder `scene` of a new folder.
fn small_scene() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("scene");
    fs::create_dir_all(scene.join("train")).unwrap();
    for i in 0..2 {
        image::RgbaImage::from_pixel(32, 32, image::Rgba([200, 100, 50, 255]))
            .save(scene.join(format!("train/r_{i}.png")))
            .unwrap();
    }
    write_transforms(&folder, &document().to_string());
    folder
}

fn document() -> Value {
    let pose = json!([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]);
    let frame = |i| json!({ "file_path": format!("./train/r_{i}"), "transform_matrix": pose });
    json!({ "camera_angle_x": 0.7, "frames": [frame(0), frame(1)] })
}

fn write_transforms(folder: &TempDir, text: &str) {
    fs::write(folder.path().join("scene/transforms_train.json"), text).unwrap();
}

/// Returns the error of training on `folder`'s scene, and checks that nothing was written.
fn training_fault(folder: &Path, args: &[&str]) -> String {
    let error = sentence(folder, &[&["train", "scene", "--device=cpu", "--max-steps=2"], args].concat());
    assert!(!folder.join("outputs").exists(), "nothing was written: {error}");
    error
}

#[track_caller]
fn assert_starts(error: &str, start: &str) {
    assert!(error.starts_with(start), "{error}");
}

#[track_caller]
fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "no {part:?} in: {error}");
    }
}

#[test]
fn a_scene_that_is_not_there() {
    let folder = small_scene();
    fs::remove_file(folder.path().join("scene/transforms_train.json")).unwrap();
    assert_says(&training_fault(folder.path(), &[]), &["scene: holds no scene: none of transforms_train.json"]);
    fs::remove_dir_all(folder.path().join("scene")).unwrap();
    assert_starts(&training_fault(folder.path(), &[]), "scene: there is no such folder; check the path");
}

#[test]
fn transforms_that_are_broken() {
    let folder = small_scene();
    let whole = document().to_string();
    write_transforms(&folder, &whole[..whole.len() / 2]);
    assert_says(&training_fault(folder.path(), &[]), &["transforms_train.json: ends too early", "truncated"]);
    write_transforms(&folder, "[1, 2]");
    assert_says(&training_fault(folder.path(), &[]), &["transforms_train.json: ", "expected an object"]);
    for (key, value, says) in [
        ("camera_angle_x", json!(0), "camera_angle_x is 0"),
        ("camera_angle_x", json!(3.2), "camera_angle_x is 3.2"),
        ("frames", json!([]), "frames is empty"),
    ] {
        let mut broken = document();
        broken[key] = value;
        write_transforms(&folder, &broken.to_string());
        assert_says(&training_fault(folder.path(), &[]), &["transforms_train.json: ", says]);
    }
}

#[test]
fn poses_that_are_broken() {
    let folder = small_scene();
    let row = json!([0, 0, 0, 1]);
    for (pose, says) in [
        (json!([[1, 0, 0, 0], [0, 1, 0, 0]]), "4×4"),
        (json!([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 4], row]), "singular"),
        (json!([[1, 0, 0, 1e300], [0, 1, 0, 0], [0, 0, 1, 4], row]), "finite"),
        (json!([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 4, 1]]), "last row"),
    ] {
        let mut broken = document();
        broken["frames"][1]["transform_matrix"] = pose;
        write_transforms(&folder, &broken.to_string());
        let error = training_fault(folder.path(), &[]);
        assert_says(&error, &["transforms_train.json: frame 1 (./train/r_1): transform_matrix", says]);
    }
}

#[test]
fn images_that_are_missing_truncated_or_too_small() {
    let folder = small_scene();
    let image = folder.path().join("scene/train/r_1.png");
    let bytes = fs::read(&image).unwrap();
    fs::write(&image, &bytes[..bytes.len() - 30]).unwrap();
    assert_says(&training_fault(folder.path(), &[]), &["train/r_1.png: train/r_1 "]);
    fs::write(&image, &bytes).unwrap();
    assert_says(&training_fault(folder.path(), &["--downscale=64"]), &["train/r_0.png: ", "too small to be reduced"]);
    fs::remove_file(&image).unwrap();
    let missing = "frame 1 (./train/r_1) names an image that is not in";
    assert_says(&training_fault(folder.path(), &[]), &["transforms_train.json: ", missing]);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    let folder = small_scene();
    let error = training_fault(folder.path(), &["--set=optimizer.learning_rat=1"]);
    assert_starts(
        &error,
        "`optimizer.learning_rat` is not a configuration key; the nearest one is `optimizer.learning_rate`",
    );
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let folder = small_scene();
    fs::write(folder.path().join("file"), "").unwrap();
    let error = training_fault(folder.path(), &["--output-dir=file/outputs"]);
    assert_starts(&error, "file/outputs/scene/hash: cannot be written, as a file stands where a folder is needed");
}

#[cfg(unix)]
#[test]
fn an_output_folder_without_permission() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = small_scene();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(closed.join("probe"), "").is_ok() {
        skipped("an_output_folder_without_permission", "this user may write everywhere, as root does");
        return;
    }
    let error = training_fault(folder.path(), &["--output-dir=closed"]);
    assert_says(&error, &["closed/scene", "writing there is not permitted"]);
}

#[test]
fn cuda_where_there_is_none() {
    let folder = small_scene();
    let devices = printed(folder.path(), &["devices"]);
    let Some(why) = devices.lines().find_map(|line| line.strip_prefix("cuda  none: ")) else {
        skipped("cuda_where_there_is_none", "there is a GPU here");
        return;
    };
    for command in ["train", "eval", "render"] {
        train_tiny(folder.path(), &["--max-steps=1", &format!("--output-dir=outputs-{command}")]);
        let run = format!("outputs-{command}/orrery/hash/tiny");
        let args = if command == "train" { vec!["train", ORRERY] } else { vec![command, &run] };
        let error = sentence(folder.path(), &[&args[..], &["--device=cuda"]].concat());
        assert_eq!(error.trim_end(), why);
    }
}

/// Creates a folder with a trained run; also returns every command that reads its checkpoint.
fn readers() -> (TempDir, Vec<Vec<&'static str>>) {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=3", "--stop-after=2", "--quiet"]);
    let readers = [&["eval", "latest"][..], &["render", "latest"], &["train", "--resume", "latest"]];
    (folder, readers.map(<[_]>::to_vec).into())
}

/// Changes the run's checkpoint with `breaking`, and returns the error of every command that reads it.
fn checkpoint_faults(breaking: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Vec<String> {
    let (folder, readers) = readers();
    let path = tiny_checkpoint(folder.path(), 2);
    let broken = breaking(fs::read(&path).unwrap());
    fs::write(&path, &broken).unwrap();
    let errors = readers.iter().map(|args| sentence(folder.path(), args)).collect();
    assert_eq!(fs::read(&path).unwrap(), broken, "the checkpoint is unchanged");
    let run = path.parent().unwrap().parent().unwrap();
    assert!(!run.join("eval.json").exists() && !run.join("renders").exists());
    errors
}

const CHECKPOINT: &str = "outputs/orrery/hash/tiny/checkpoints/step-000000002.safetensors: ";

#[test]
fn a_checkpoint_that_is_truncated() {
    for keep in [3, 100, 100_000] {
        for error in checkpoint_faults(|bytes| bytes[..keep].to_vec()) {
            assert_starts(&error, &format!("{CHECKPOINT}truncated: "));
        }
    }
}

#[test]
fn a_checkpoint_with_nan() {
    let errors = checkpoint_faults(|mut bytes| {
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    });
    for error in errors {
        assert_starts(&error, &format!("{CHECKPOINT}tensor `grid.features` holds NaN at element 0"));
    }
}

#[test]
fn a_checkpoint_of_another_model() {
    let errors = checkpoint_faults(|bytes| {
        let (old, new) = (br#"log2_hashmap_size\":12"#, br#"log2_hashmap_size\":13"#);
        let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
        [&bytes[..at], new, &bytes[at + old.len()..]].concat()
    });
    for error in errors {
        assert_starts(&error, &format!("{CHECKPOINT}tensor `grid.features` has shape"));
        assert_says(&error, &["the checkpoint is of another model"]);
    }
}

#[test]
fn a_checkpoint_that_is_something_else() {
    for error in checkpoint_faults(|_| b"a text file that is longer than eight bytes".to_vec()) {
        assert_says(&error, &[CHECKPOINT, "not a safetensors file"]);
    }
}

#[test]
fn flags_that_make_no_sense_together() {
    let (folder, _) = readers();
    let large = json!({ "camera_path": [], "render_width": 1_000_000, "render_height": 1_000_000 });
    fs::write(folder.path().join("large.json"), large.to_string()).unwrap();
    for (args, says) in [
        (&["render", "latest", "--path=dataset", "--seconds=3"][..], "leave --seconds away"),
        (&["render", "latest", "--output=frame.png"], "frames need one number in their file name"),
        (&["render", "latest", "--shard=1/2"], "shards of a video cannot be joined; render frames"),
        (&["render", "latest", "--path=none.json"], "none.json: cannot be read"),
        (&["train", "--resume", "latest", "--stop-after=1"], "--stop-after 1 is not beyond step 2"),
        (&["train", "--resume", "latest", "--max-steps=2"], "the run has all of its 2 steps"),
        (&["render", "latest", "--path=large.json"], "large.json: render_width is 1000000; expected a whole number of"),
        (&["render", "latest", "--path=keys.json", "--width=8", "--height=16385"], "'16385' for '--height <PIXELS>'"),
    ] {
        assert_says(&sentence(folder.path(), args), &[says]);
    }
}

#[test]
fn results_that_cannot_be_written() {
    let (folder, _) = readers();
    fs::write(folder.path().join("file"), "").unwrap();
    for args in [
        &["eval", "latest", "--output=file/eval.json"][..],
        &["render", "latest", "--output=file/video.mp4"],
        &["render", "latest", "--output=file/%d.png"],
    ] {
        let error = sentence(folder.path(), args);
        assert_starts(&error, "file: cannot be written, as a file stands where a folder is needed");
    }
}

/// Replaces `old` with `new`, of the same length, in the checkpoint's own header.
fn with_header(bytes: Vec<u8>, old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at = bytes.windows(old.len()).position(|window| window == old.as_bytes()).expect(old);
    [&bytes[..at], new.as_bytes(), &bytes[at + old.len()..]].concat()
}

#[test]
fn a_checkpoint_with_a_unit_cube_that_nothing_can_be_divided_by() {
    let (folder, readers) = readers();
    let path = tiny_checkpoint(folder.path(), 2);
    let Checkpoint { header, tensors, .. } = Checkpoint::read(&path).unwrap();
    for scale in [0.0, -0.3, 1e-40] {
        let mut header = header.clone();
        header.unit_cube.scale = scale;
        Checkpoint::new(header, tensors.clone()).write(&path).unwrap();
        for args in &readers {
            assert_starts(&sentence(folder.path(), args), &format!("{CHECKPOINT}`unit_cube.scale` is "));
        }
    }
}

#[test]
fn a_checkpoint_with_more_rays_than_there_is_room_for() {
    let (folder, _) = readers();
    let path = tiny_checkpoint(folder.path(), 2);
    let Checkpoint { header, tensors, .. } = Checkpoint::read(&path).unwrap();
    for (name, value) in [
        ("rays_per_step", json!(4_000_000_000u64)),
        ("rays_per_step", json!(0)),
        ("occupancy_refreshes", json!(u32::MAX)),
        ("recent_rays", json!(u64::MAX)),
        ("recent_samples", json!(u64::MAX)),
    ] {
        let mut header = header.clone();
        header.trainer[name] = value.clone();
        Checkpoint::new(header, tensors.clone()).write(&path).unwrap();
        let error = sentence(folder.path(), &["train", "--resume", "latest"]);
        assert_starts(
            &error,
            &format!("{CHECKPOINT}the trainer's `{name}` is {value} in the header, but must be from "),
        );
    }
}

#[test]
fn a_field_that_gives_no_numbers_is_neither_evaluated_nor_rendered_nor_trained_further() {
    let (folder, _) = readers();
    let path = tiny_checkpoint(folder.path(), 2);
    let Checkpoint { header, mut tensors, .. } = Checkpoint::read(&path).unwrap();
    for tensor in tensors.iter_mut().filter(|tensor| tensor.name.ends_with("_network.1.weight")) {
        let n: usize = tensor.shape.iter().product();
        let weights: Vec<f32> = (0..n).map(|i| if i % 2 == 0 { 3e38 } else { -3e38 }).collect();
        *tensor = Tensor::new(tensor.name.clone(), &tensor.shape.clone(), weights);
    }
    Checkpoint::new(header, tensors).write(&path).unwrap();
    for args in [&["eval", "latest"][..], &["render", "latest", "--seconds=0.1"]] {
        let error = sentence(folder.path(), args);
        assert_starts(&error, &format!("{CHECKPOINT}the field gives pixels that are not finite"));
    }
    let error = sentence(folder.path(), &["train", "--resume", "latest", "--quiet"]);
    assert_starts(&error, "training diverged: ");
    assert_says(&error, &[" at step 3; the last good checkpoint is "]);
}

#[test]
fn a_run_that_diverges_names_the_step_and_keeps_the_last_good_checkpoint() {
    let (folder, _) = readers();
    let path = tiny_checkpoint(folder.path(), 2);
    let old = fs::read(&path).unwrap();
    fs::write(&path, with_header(old, r#"\"learning_rate\":0.01"#, r#"\"learning_rate\":1e30"#)).unwrap();
    let error =
        sentence(folder.path(), &["train", "--resume", "latest", "--quiet", "--max-steps=50", "--save-every=1"]);
    assert_starts(&error, "training diverged: ");
    assert_says(&error, &[" at step 3; the last good checkpoint is ", "try a lower optimizer.learning_rate"]);
    let (_, kept) = error.split_once("the last good checkpoint is ").unwrap();
    let (kept, _) = kept.split_once(';').unwrap();
    let said = printed(folder.path(), &["eval", kept, "--max-images=1"]);
    assert!(!said.contains("NaN"), "{said}");
}

#[test]
fn a_run_that_diverges_before_its_first_checkpoint_leaves_nothing() {
    for settings in [
        &["--max-steps=100", "--save-every=2", "--set=optimizer.learning_rate=1e38"][..],
        &["--max-steps=2", "--set=optimizer.learning_rate=1e38"],
        &["--max-steps=100", "--set=optimizer.learning_rate=1e30"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at_once = ["--set=optimizer.schedule.warmup_steps=0"];
        let args = [&["train", ORRERY, "--quiet"], &TINY[..], settings, &at_once].concat();
        let error = sentence(folder.path(), &args);
        assert_starts(&error, "training diverged: ");
        assert_says(&error, &["no checkpoint had been saved yet", "nothing was kept of the run"]);
        assert!(!folder.path().join("outputs/orrery/hash/tiny").exists(), "{settings:?}");
    }
}

/// Runs `gridfield` under a limit set by the shell's `ulimit`, and returns its error.
#[cfg(unix)]
fn limited(folder: &Path, limit: &str, args: &[&str]) -> String {
    // With the signal ignored, a file that exceeds its limit is a write error, as on a full disk.
    let script = format!("trap '' XFSZ; ulimit {limit}; exec \"$0\" \"$@\"");
    let mut shell = std::process::Command::new("bash");
    // Without a PATH ffmpeg is not found, and the bundled encoder writes videos.
    shell
        .args(["-c", &format!("export PATH=; {script}"), env!("CARGO_BIN_EXE_gridfield")])
        .args(args)
        .current_dir(folder);
    let output = crate::binary::checked(shell.output().unwrap(), args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    let error = stderr(&output).strip_prefix("gridfield: error: ").expect("an error of gridfield").to_owned();
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    error
}

#[cfg(target_os = "linux")]
#[test]
fn memory_that_ends_is_told_with_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["--set=model.grid.log2_hashmap_size=24", "--set=train.batch_samples=2048", "--max-steps=2"];
    let machine = ["--downscale=8", "--device=cpu", "--threads=1"];
    let args = [&["train", ORRERY], &settings[..], &machine].concat();
    let error = limited(folder.path(), "-v 1500000", &args);
    assert_says(&error, &[" MiB of memory were asked for, and this machine has no more to give; lower "]);
    assert!(!folder.path().join("outputs").exists());
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_is_told_in_the_same_words_everywhere() {
    let (folder, _) = readers();
    let full = "cannot be written, as the disk or its quota is full; free some space";
    for (output, says) in [("frames/%d.png", "frames/0.png: "), ("film.mp4", "film.mp4: ")] {
        let output = format!("--output={output}");
        let error = limited(folder.path(), "-f 1", &["render", "latest", "--width=160", "--seconds=0.1", &output]);
        assert_starts(&error, &format!("{says}{full}"));
    }
    let args = [&["train", ORRERY, "--max-steps=2", "--output-dir=other"], &TINY[..]].concat();
    let error = limited(folder.path(), "-f 100", &args);
    assert_says(&error, &["step-000000002.safetensors: ", full, "nothing was kept of the run"]);
    assert!(!folder.path().join("other/orrery/hash/tiny").exists());
    let resume = ["train", "--resume", "latest"];
    let error = limited(folder.path(), "-f 100", &resume);
    assert!(!error.contains("nothing was kept"), "{error}");
    assert!(tiny_checkpoint(folder.path(), 2).exists(), "the resumed run is kept");
}
