//! Rendering end to end: frames, videos, shards, panoramas.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::binary::{TINY, checked, command, printed, sentence, stderr, stdout, train_tiny_on};
use crate::captures::room;
use crate::runs::{names, size, trained};

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
