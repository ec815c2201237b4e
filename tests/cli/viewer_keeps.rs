//! Files that browsers save with a run: camera paths, videos, the crop box; and the photographs that they download.

use std::fs;
use std::path::Path;

use crate::binary::{command, sentence, tiny_run, train_tiny};
use crate::viewer_client::{Browser, Served};
use serde_json::{Value, json};

fn viewing(folder: &Path) -> Served {
    train_tiny(folder, &["--max-steps=20", "--quiet"]);
    Served::start(folder, &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"])
}

/// A path of two views, 64×48 at 10 frames per second for 0.5 s.
fn path() -> Value {
    let key = |x: f64, seconds: f64| json!({ "camera_to_world": [[1, 0, 0, x], [0, 1, 0, 0], [0, 0, 1, 4]], "fov_y": 0.7, "seconds": seconds });
    json!({ "keys": [key(-0.5, 1.0), key(0.5, 0.5)], "width": 64, "height": 48, "fps": 10, "is_closed": false })
}

/// Reads to the news that a video is in another stage than being rendered.
fn hear_end_of_video(browser: &mut Browser) -> Value {
    loop {
        let video = browser.hear("video")["video"].take();
        if video["stage"] != "rendering" {
            return video;
        }
    }
}

#[test]
fn a_path_is_previewed_saved_and_rendered_and_render_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let served = viewing(folder.path());
    let mut browser = served.join();
    assert_eq!(browser.hear("hello")["video"], Value::Null);

    browser.send(&json!({ "type": "preview", "path": path() }));
    let preview = browser.hear("preview");
    let frames = preview["frames"].as_array().unwrap();
    assert_eq!((frames.len(), &preview["seconds"]), (5, &json!(0.5)));
    assert!(
        (frames[0][3].as_f64().unwrap() + 0.5).abs() < 1e-5 && (frames[0][12].as_f64().unwrap() - 0.7).abs() < 1e-5
    );

    browser.send(&json!({ "type": "video", "path": path() }));
    let video = hear_end_of_video(&mut browser);
    assert_eq!((&video["stage"], &video["done"], &video["total"]), (&"done".into(), &5.into(), &5.into()));
    let run = tiny_run(folder.path());
    let video = fs::read(run.join("renders/camera_path.mp4")).unwrap();
    assert_eq!(&video[4..8], b"ftyp");
    let Served { host, token, .. } = &served;
    let answer = served.get_bytes(&format!("/video?token={token}"), &format!("Host: {host}\r\n"));
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(&video));
    // Whoever comes later hears of it too.
    assert_eq!(served.join().hear("hello")["video"]["stage"], "done");

    let saved: Value = serde_json::from_str(&fs::read_to_string(run.join("camera_path.json")).unwrap()).unwrap();
    assert_eq!((saved["keyframes"].as_array().unwrap().len(), saved["camera_path"].as_array().unwrap().len()), (2, 5));
    let file = run.join("camera_path.json");
    let args = ["render", "latest", "--path", file.to_str().unwrap(), "--output", "frames/", "--device=cpu"];
    let rendered = command(folder.path(), &args).output().unwrap();
    let told = String::from_utf8(rendered.stderr).unwrap();
    assert!(rendered.status.success() && !told.contains("note"), "{told}");
    assert_eq!(fs::read_dir(folder.path().join("frames")).unwrap().count(), 5);
    let frame = image::open(folder.path().join("frames/0000.png")).unwrap();
    assert_eq!((frame.width(), frame.height()), (64, 48));

    // The occupancy grid is an output like others.
    let both = [&args[..], &["--outputs=occupancy,rgb"]].concat();
    assert_eq!(command(folder.path(), &both).output().unwrap().status.code(), Some(0));
    let cells = image::open(folder.path().join("frames/0000-occupancy.png")).unwrap().to_rgb8();
    let colours = image::open(folder.path().join("frames/0000-rgb.png")).unwrap();
    assert!(colours == frame && cells != frame.to_rgb8());

    // A path with a crop box shows what is in the box: here nothing but the background.
    let mut cropped = path();
    cropped["crop"] = json!({ "min": [7, 7, 7], "max": [9, 9, 9] });
    browser.send(&json!({ "type": "save_path", "path": cropped }));
    browser.hear("kept");
    assert_eq!(command(folder.path(), &args).output().unwrap().status.code(), Some(0));
    let nothing = image::open(folder.path().join("frames/0000.png")).unwrap().to_rgb8();
    assert!(nothing.pixels().all(|pixel| pixel == nothing.get_pixel(0, 0)) && nothing != frame.to_rgb8());
}

#[test]
fn a_video_can_be_cancelled_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let served = viewing(folder.path());
    let mut browser = served.join();
    browser.hear("hello");
    let mut long = path();
    long["keys"][1]["seconds"] = json!(100);
    (long["width"], long["height"]) = (json!(640), json!(480));
    browser.send(&json!({ "type": "video", "path": long }));
    assert_eq!(browser.hear("video")["video"]["stage"], "rendering");
    browser.send(&json!({ "type": "video", "path": path() }));
    assert!(browser.hear("refused")["message"].as_str().unwrap().contains("rendered already"));
    // Pictures go before the video.
    browser.look(3.0, json!({}));
    browser.send(&json!({ "type": "cancel_video" }));
    assert_eq!(hear_end_of_video(&mut browser)["stage"], "cancelled");
    assert_eq!(fs::read_dir(tiny_run(folder.path()).join("renders")).unwrap().count(), 0);
    let answer = served.get(&format!("/video?token={}", served.token), &format!("Host: {}\r\n", served.host));
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[test]
fn a_run_in_training_gives_a_video_that_goes_on_after_its_end_while_someone_looks() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::training(folder.path());
    let mut browser = served.join();
    browser.hear("hello");
    browser.send(&json!({ "type": "video", "path": path() }));
    assert_eq!(hear_end_of_video(&mut browser)["stage"], "done");
    let renders = tiny_run(folder.path()).join("renders");
    let video = fs::read(renders.join("camera_path.mp4")).unwrap();
    let mut long = path();
    long["keys"][1]["seconds"] = json!(600);
    browser.send(&json!({ "type": "video", "path": long }));
    assert_eq!(browser.hear("video")["video"]["stage"], "rendering");
    // It goes on after the end of the training, while someone looks.
    browser.send(&json!({ "type": "stop" }));
    assert_eq!(browser.hear("state")["state"], "viewing");
    let progress = browser.hear("video")["video"].take();
    assert_eq!(progress["stage"], "rendering");
    drop(browser);
    assert_eq!(served.end().0, Some(0));
    // The unfinished video is gone, and the one before is still there.
    assert!(fs::read(renders.join("camera_path.mp4")).unwrap() == video);
    assert_eq!(fs::read_dir(renders).unwrap().count(), 1);
}

#[test]
fn paths_and_boxes_that_are_none_are_refused_in_a_sentence_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let served = viewing(folder.path());
    let mut browser = served.join();
    browser.hear("hello");
    for (change, says) in [
        (json!({ "keys": [] }), "0 keyframes"),
        (json!({ "width": 0 }), "render_width"),
        (json!({ "fps": 0 }), "fps"),
        (json!({ "fps": 1e9 }), "too long"),
        (json!({ "width": 100_000 }), "render_width"),
    ] {
        let mut wrong = path();
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        for kind in ["preview", "save_path", "video"] {
            browser.send(&json!({ "type": kind, "path": wrong }));
            let message = browser.hear("refused")["message"].as_str().unwrap().to_owned();
            assert!(message.contains(says), "{kind} {change}: {message}");
        }
    }
    browser.send(&json!({ "type": "crop", "box": { "min": [0, 0, 0], "max": [1, 0, 1] } }));
    assert!(browser.hear("refused")["message"].as_str().unwrap().contains("the box is empty"));
    let run = tiny_run(folder.path());
    assert!(
        !run.join("camera_path.json").exists() && !run.join("crop_box.json").exists() && !run.join("renders").exists()
    );
}

#[test]
fn a_crop_box_is_kept_with_the_run_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let served = viewing(folder.path());
    let mut browser = served.join();
    assert_eq!(browser.hear("hello")["box"], Value::Null);
    let crop = json!({ "min": [-1.0, -0.5, 0.0], "max": [1.0, 0.5, 0.75] });
    browser.send(&json!({ "type": "crop", "box": crop }));
    assert!(browser.hear("kept")["message"].as_str().unwrap().contains("crop_box.json"));
    let file = tiny_run(folder.path()).join("crop_box.json");
    assert_eq!(serde_json::from_str::<Value>(&fs::read_to_string(&file).unwrap()).unwrap(), crop);
    assert_eq!(served.join().hear("hello")["box"], crop);

    // An export is of what is in the box, unless it is told otherwise.
    let export = |more: &[&str]| {
        let args = ["export", "latest", "--mesh=out.ply", "--resolution=32", "--density-threshold=0.5", "--device=cpu"];
        let output = command(folder.path(), &[&args, more].concat()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        text
    };
    assert!(export(&[]).contains("crop box of the run is exported, -1,-0.5,0,1,0.5,0.75"));
    let cropped = fs::metadata(folder.path().join("out.ply")).unwrap().len();
    assert!(!export(&["--box=none"]).contains("crop box"));
    assert!(cropped < fs::metadata(folder.path().join("out.ply")).unwrap().len());
    fs::write(&file, "{}").unwrap();
    let error = sentence(folder.path(), &["export", "latest", "--mesh=out.ply", "--device=cpu"]);
    assert!(error.contains("crop_box.json") && error.contains("is not a crop box"), "{error}");

    browser.send(&json!({ "type": "crop" }));
    browser.hear("kept");
    assert!(!file.exists());
}

#[test]
fn photographs_are_shown_to_whoever_has_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let served = viewing(folder.path());
    let hello = served.join().hear("hello");
    let cameras = hello["subject"]["overview"]["cameras"].as_array().unwrap();
    let camera = cameras.iter().find(|camera| camera["split"] == "test").unwrap();
    let Served { host, token, .. } = &served;
    let own = format!("Host: {host}\r\n");
    let answer = served.get_bytes(&format!("/photograph?token={token}&i={}", camera["photograph"]), &own);
    let begin = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let shown = image::load_from_memory(&answer[begin..]).unwrap().to_rgb8();
    let name = camera["name"].as_str().unwrap();
    let file = Path::new(crate::binary::ORRERY).join(format!("{name}.png"));
    let stored = image::open(file).unwrap().to_rgba8();
    assert_eq!(shown.dimensions(), stored.dimensions());
    let over_white = |pixel: &image::Rgba<u8>, c: usize| {
        let alpha = f64::from(pixel.0[3]) / 255.0;
        f64::from(pixel.0[c]) * alpha + 255.0 * (1.0 - alpha)
    };
    let difference: f64 = shown
        .pixels()
        .zip(stored.pixels())
        .flat_map(|(a, b)| (0..3).map(move |c| (f64::from(a.0[c]) - over_white(b, c)).abs()))
        .sum();
    let mean = difference / shown.as_raw().len() as f64;
    assert!(mean < 2.0, "{mean}");
    for (path, says) in [
        (format!("/photograph?token={token}&i=100000"), "HTTP/1.1 404"),
        (format!("/photograph?token={token}&i=x"), "HTTP/1.1 404"),
        (format!("/photograph?token={token}"), "HTTP/1.1 404"),
        ("/photograph?i=0".to_owned(), "HTTP/1.1 403"),
        ("/video".to_owned(), "HTTP/1.1 403"),
    ] {
        let answer = served.get(&path, &own);
        assert!(answer.starts_with(says), "{path}: {answer}");
    }
}
