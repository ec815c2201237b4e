//! `gridfield import` with substitutes for COLMAP and ffmpeg, and `gridfield info` on the resulting scene; with the
//! real ffmpeg where it is installed.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::binary::{command, stderr, stdout};
use crate::captures::{colmap, image, name};

/// Creates a folder with five photographs and a program `colmap` in `bin`, which runs `script` for every command except
/// `--help`. The script can copy the reconstruction in `model`.
fn studio(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    (0..5).for_each(|i| image(folder.path().join(format!("photos/{}.png", name(i))), crate::captures::SIZE, 100));
    colmap(4, 300.0).write_binary(&folder.path().join("model"));
    let here = folder.path().display();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {here}/calls\ncase \"$*\" in *--help*) echo SiftExtraction.use_gpu; exit 0;; esac\n\
         model={here}/model\n{script}\n"
    );
    write_program(folder.path(), "colmap", &script);
    folder
}

/// Writes a program to `bin`.
fn write_program(folder: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let program = folder.join("bin").join(name);
    crate::captures::write(&program, script);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn import(folder: &Path, args: &[&str]) -> Command {
    import_from("photos", folder, args)
}

fn import_from(source: &str, folder: &Path, args: &[&str]) -> Command {
    let mut import = command(folder, &[&["import", source, "scene"], args].concat());
    import.env("PATH", format!("{}:/usr/bin:/bin", folder.join("bin").display()));
    import
}

fn sentence_of(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(2), "{}", stderr(output));
    stderr(output).lines().last().unwrap().strip_prefix("gridfield: error: ").unwrap()
}

/// Returns what is in the folder besides its initial contents: nothing after a failed import.
fn left(folder: &Path) -> Vec<PathBuf> {
    let ours = ["photos", "model", "bin", "calls", "film", "film.mp4", "masks"].map(|name| folder.join(name));
    let there = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    there.filter(|path| !ours.contains(path)).collect()
}

/// Returns the names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
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
    let files = |path: &str| names(&folder.path().join(path));
    assert_eq!(files("scene"), ["images", "sparse"]);
    assert_eq!((files("scene/sparse"), files("scene/images").len()), (vec!["0".to_owned()], 5));
    let text = crate::binary::printed(folder.path(), &["info", "scene"]);
    for part in ["COLMAP", "3 images of 40×30", "no distortion", "20 points on the scene's surfaces"] {
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
    assert!(refuse(&["import", "nowhere", "scene"]).starts_with("nowhere: there is no such folder or video"));
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

/// Writes masks of the first photographs, as COLMAP names them and with the plain name.
fn masks(folder: &Path) {
    image(folder.join("masks/000.png.png"), crate::captures::SIZE, 255);
    image(folder.join("masks/002.png"), crate::captures::SIZE, 0);
}

#[test]
fn masks_come_along_under_the_names_that_are_read() {
    let folder = studio(MAPS);
    masks(folder.path());
    let output = import(folder.path(), &["--masks=masks", "--colmap-gpu"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("4 of 5 photographs were placed, 2 have masks;"), "{}", stdout(&output));
    assert_eq!(names(&folder.path().join("scene")), ["images", "masks", "sparse"]);
    assert_eq!(names(&folder.path().join("scene/masks")), ["000.png.png", "002.png.png"]);
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    for says in ["--ImageReader.mask_path masks", "--SiftExtraction.use_gpu 1", "--SiftMatching.use_gpu 1"] {
        assert!(calls.contains(says), "no {says:?} in {calls}");
    }
    // Photograph 000 is held out, and 001 and 003 have no mask.
    let text = crate::binary::printed(folder.path(), &["info", "scene"]);
    assert!(text.contains("masks       1 of the training images"), "{text}");
}

#[test]
fn masks_and_flags_that_do_not_fit_are_refused() {
    let folder = studio(MAPS);
    masks(folder.path());
    let refuse = |args: &[&str]| sentence_of(&import(folder.path(), args).output().unwrap()).to_owned();
    for (args, says) in [
        (&["--masks=nowhere"][..], "nowhere: is not a folder; give the folder of the masks"),
        (&["--masks=bin"], "bin: holds no masks"),
        (&["--frames=9"], "photos: is a folder of photographs; --frames and --fps are for videos"),
        (&["--fps=2"], "photos: is a folder of photographs; --frames and --fps are for videos"),
    ] {
        assert!(refuse(args).starts_with(says), "{args:?}: {}", refuse(args));
    }
    for (mask, size, says) in [
        (
            "005.png",
            crate::captures::SIZE,
            "masks/005.png: belongs to no photograph; a mask is named as its photograph",
        ),
        ("001.jpg", crate::captures::SIZE, "masks/001.jpg: is no PNG file, which masks must be"),
        ("001.png", (8, 6), "masks/001.png: is 8×6, but photos/001.png is 40×30; make the mask of the same size"),
    ] {
        let path = folder.path().join("masks").join(mask);
        image(&path, size, 255);
        assert!(refuse(&["--masks=masks"]).starts_with(says), "{}", refuse(&["--masks=masks"]));
        std::fs::remove_file(path).unwrap();
    }
    std::fs::write(folder.path().join("film.mp4"), "a film").unwrap();
    let output = import_from("film.mp4", folder.path(), &["--masks=masks"]).output().unwrap();
    assert!(sentence_of(&output).starts_with("film.mp4: is a video, whose frames have no names for masks"));
    assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
}

/// Makes the studio's reconstruction one of the frames that `ffmpeg` writes, and adds an `ffmpeg` that decodes eight
/// frames, of which those of the numbers `sharp` are the sharpest, and that then runs `script`.
fn cinema(sharp: &[usize], script: &str) -> tempfile::TempDir {
    let folder = studio(MAPS);
    let mut reconstruction = colmap(4, 300.0);
    (0..4).for_each(|i| reconstruction.images[i].3 = format!("frame_{:05}.png", i + 1));
    reconstruction.write_binary(&folder.path().join("model"));
    let mut film = b"YUV4MPEG2 W4 H4 F25:1 Ip A0:0 Cmono\n".to_vec();
    let mut messages = String::new();
    for i in 0..8 {
        let contrast = if sharp.contains(&i) { 200 } else { 20 };
        film.extend(b"FRAME\n");
        film.extend((0..16).map(|pixel| if (pixel + pixel / 4) % 2 == 0 { contrast } else { 0 }));
        messages += &format!("[Parsed_showinfo_2 @ 0x1] n: {i} pts: {i} pts_time:{} pos: 1\n", i as f64 / 4.0);
    }
    crate::captures::write(folder.path().join("film/frames"), film);
    crate::captures::write(folder.path().join("film/messages"), messages);
    std::fs::write(folder.path().join("film.mp4"), "a film").unwrap();
    let here = folder.path().display();
    let script = format!(
        "#!/bin/sh\necho ffmpeg \"$@\" >> {here}/calls\n\
         case \"$*\" in *yuv4mpegpipe*) cat {here}/film/messages >&2; cat {here}/film/frames; exit 0;; esac\n\
         while [ \"$1\" != -frames:v ]; do shift; done\nfor i in $(seq $2); do cp {here}/photos/000.png frame_0000$i.png; done\n\
         {script}\n"
    );
    write_program(folder.path(), "ffmpeg", &script);
    folder
}

#[test]
fn the_sharpest_frames_of_a_video_become_a_scene() {
    let folder = cinema(&[1, 2, 4, 7], "");
    let output = import_from("film.mp4", folder.path(), &["--frames=4"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("4 of 4 frames were placed; the scene is in scene"), "{}", stdout(&output));
    for line in ["ffmpeg: looking for the sharpest frames", "ffmpeg: writing them", "COLMAP: placing cameras"] {
        assert!(stderr(&output).contains(line), "{}", stderr(&output));
    }
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    let chosen = r"select=((eq(n\,1)+eq(n\,2))+(eq(n\,4)+eq(n\,7)))";
    assert!(calls.contains(chosen) && calls.contains("sequential_matcher"), "{calls}");
    assert_eq!(names(&folder.path().join("scene")), ["images", "sparse"]);
    assert_eq!(names(&folder.path().join("scene/images")).len(), 4);
    assert!(crate::binary::printed(folder.path(), &["info", "scene"]).contains("3 images of 40×30"));

    // Eight frames in two seconds.
    std::fs::remove_dir_all(folder.path().join("scene")).unwrap();
    let output = import_from("film.mp4", folder.path(), &["--fps=2", "--exhaustive"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let calls = std::fs::read_to_string(folder.path().join("calls")).unwrap();
    assert!(calls.matches(chosen).count() == 2 && calls.contains("exhaustive_matcher"), "{calls}");
}

#[test]
fn a_video_that_cannot_be_used_leaves_nothing() {
    let folder = cinema(&[], "exit 1");
    let error = |folder: &tempfile::TempDir, args: &[&str]| {
        let output = import_from("film.mp4", folder.path(), args).output().unwrap();
        assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
        sentence_of(&output).to_owned()
    };
    let says = error(&folder, &["--frames=4"]);
    assert!(says.starts_with("film.mp4: ffmpeg cannot read frames of it; its last words: none"), "{says}");
    assert!(error(&folder, &["--fps=0.5"]).contains("would give 1 frames, but at least 3 are needed; ask for more"));
    crate::captures::write(folder.path().join("film/frames"), b"YUV4MPEG2 W4 H4\nFRAME\ncut");
    assert!(error(&folder, &[]).starts_with("film.mp4: ffmpeg cannot read frames of it"));
    write_program(folder.path(), "ffmpeg", "#!/bin/sh\necho Stream map 0:v:0 matches no streams. >&2\nexit 1\n");
    assert!(error(&folder, &[]).starts_with("film.mp4: holds no video"));
    std::fs::remove_file(folder.path().join("bin/ffmpeg")).unwrap();
    let bin = folder.path().join("bin").display().to_string();
    let output = import_from("film.mp4", folder.path(), &[]).env("PATH", bin).output().unwrap();
    let sentence = sentence_of(&output);
    assert!(sentence.starts_with("ffmpeg, which reads videos, is not on PATH; install it"), "{sentence}");
    assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn frames_that_do_not_fit_together_are_told_what_to_do_about() {
    let folder = cinema(&[], "");
    write_program(folder.path(), "colmap", "#!/bin/sh\ntrue\n");
    let output = import_from("film.mp4", folder.path(), &["--frames=4"]).output().unwrap();
    let says = "film.mp4: COLMAP found no frames that fit together; use more of them (--frames), or film more slowly";
    assert!(sentence_of(&output).starts_with(says), "{}", stderr(&output));
    assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn an_interruption_ends_ffmpeg_and_leaves_nothing() {
    let folder = cinema(&[], "touch $(dirname $0)/../model/begun; exec sleep 60");
    let begun = Instant::now();
    let mut import = import_from("film.mp4", folder.path(), &["--frames=4"]);
    let child = import.stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !folder.path().join("model/begun").exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "ffmpeg was not started");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(left(folder.path()), Vec::<PathBuf>::new());
}

/// Every fourth view of the bundled scene's turn around its centre is sharp; the others are blurred.
#[test]
fn the_real_ffmpeg_finds_the_sharp_views_of_a_blurred_turn() {
    let test = "the_real_ffmpeg_finds_the_sharp_views_of_a_blurred_turn";
    let ffmpeg = |args: &[&str]| Command::new("ffmpeg").args(["-nostdin", "-v", "error"]).args(args).output();
    if !ffmpeg(&["-encoders"]).is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("libx264")) {
        crate::skip::skipped(test, "there is no ffmpeg with libx264");
        return;
    }
    let folder = studio(MAPS);
    let views = format!("{}/train/r_%d.png", crate::binary::ORRERY);
    let blur = "format=rgb24,gblur=sigma=3:enable=not(eq(mod(n\\,4)\\,2))";
    let film = folder.path().join("film.mp4");
    let film = film.to_str().unwrap();
    let arguments = ["-framerate", "24", "-i", &views, "-vf", blur, "-c:v", "libx264", "-crf", "12", film];
    let made = ffmpeg(&arguments).unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    // COLMAP is asked to place four of the frames.
    let mut reconstruction = colmap(4, 300.0);
    reconstruction.cameras[0].2 = 160;
    reconstruction.cameras[0].3 = 160;
    (0..4).for_each(|i| reconstruction.images[i].3 = format!("frame_{:05}.png", i + 1));
    reconstruction.write_binary(&folder.path().join("model"));
    let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap());
    let mut import = import_from("film.mp4", folder.path(), &["--fps=6"]);
    let output = import.env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(names(&folder.path().join("scene/images")).len(), 15);
    let picture = |path: PathBuf| image::open(path).unwrap().to_rgb8();
    let apart = |a: &image::RgbImage, b: &image::RgbImage| {
        a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.as_raw().len() as f64
    };
    let view = |i: usize| picture(Path::new(crate::binary::ORRERY).join(format!("train/r_{i}.png")));
    for k in 0..15 {
        let frame = picture(folder.path().join(format!("scene/images/frame_{:05}.png", k + 1)));
        let nearest = (4 * k..4 * k + 4).min_by(|a, b| apart(&frame, &view(*a)).total_cmp(&apart(&frame, &view(*b))));
        assert_eq!(nearest, Some(4 * k + 2), "frame {k}");
    }
}
