//! The viewer end to end: the program serves, and a client connects as a browser does.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::binary::{ORRERY, TINY, command, printed, sentence, tiny_checkpoint, tiny_run, train_tiny};
use crate::viewer_client::{Browser, Seen, Served, WITHIN, difference};
use gridfield::checkpoint::Checkpoint;
use serde_json::{Value, json};
use tungstenite::handshake::client::generate_key;
use tungstenite::http::Request;
use tungstenite::{Message, client};

#[test]
fn a_browser_sees_the_run_and_pictures_that_follow_the_camera() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=40", "--quiet"]);
    let served = Served::start(folder.path(), &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"]);
    let mut browser = served.join();
    let hello = browser.hear("hello");
    assert_eq!((&hello["state"], &hello["subject"]["scene"]), (&"viewing".into(), &"orrery".into()));
    assert_eq!(hello["subject"]["settings"]["train"]["max_steps"], 40);
    let cameras = hello["subject"]["overview"]["cameras"].as_array().unwrap();
    assert!(cameras.iter().filter(|camera| camera["split"] == "train").count() == 60, "{}", cameras.len());
    assert_eq!(hello["history"]["training"].as_array().unwrap().last().unwrap()["step"], 40);

    let near = browser.look(2.5, json!({}));
    assert_eq!((near.image.dimensions(), &near.header["step"]), ((40, 30), &40.into()));
    let again = browser.look(2.5, json!({}));
    assert_eq!(difference(&near, &again), 0.0, "the field does not change");
    let far = browser.look(5.0, json!({}));
    assert!(difference(&near, &far) > 1.0, "{}", difference(&near, &far));
    for output in ["depth", "opacity", "normal"] {
        let other = browser.look(2.5, json!({ "output": output }));
        assert!(difference(&near, &other) > 5.0, "{output}");
    }
    // Cells of the occupancy grid are boxes with dark edges: not what the field shows, but in the same place.
    assert_eq!(hello["subject"]["outputs"], json!(["rgb", "depth", "opacity", "normal", "occupancy"]));
    let cells = browser.look(2.5, json!({ "output": "occupancy", "background": [1, 0, 0] }));
    assert!(difference(&near, &cells) > 5.0);
    let is_cell = |seen: &Seen, x: u32, y: u32| {
        seen.image.get_pixel(x, y).0 != [254, 0, 0] && seen.image.get_pixel(x, y).0[2] > 60
    };
    assert!(is_cell(&cells, 20, 15), "the object is occupied");
    let corner = browser.look(50.0, json!({ "output": "occupancy", "background": [1, 0, 0], "fov_y": 1.5 }));
    assert!(!is_cell(&corner, 0, 0), "empty space is not");

    // A crop box leaves what is outside of it away.
    let whole = browser.look(4.0, json!({ "output": "opacity" }));
    let right = json!({ "min": [0, -9, -9], "max": [9, 9, 9] });
    let half = browser.look(4.0, json!({ "output": "opacity", "crop": right }));
    let light = |seen: &Seen, columns: std::ops::Range<u32>| {
        let pixels = columns.flat_map(|x| (0..30).map(move |y| (x, y)));
        pixels.map(|(x, y)| u32::from(seen.image.get_pixel(x, y).0[0])).sum::<u32>()
    };
    assert!(
        light(&whole, 0..18) > 10_000 && light(&half, 0..18) < 1000,
        "{} {}",
        light(&whole, 0..18),
        light(&half, 0..18)
    );
    let (before, after) = (light(&whole, 22..40), light(&half, 22..40));
    assert!(before.abs_diff(after) < before / 10, "{before} {after}");
    let none = browser.look(4.0, json!({ "output": "occupancy", "crop": { "min": [7, 7, 7], "max": [9, 9, 9] } }));
    let outside = browser.look(4.0, json!({ "crop": { "min": [7, 7, 7], "max": [9, 9, 9] } }));
    assert_eq!(difference(&none, &outside), 0.0, "nothing over the background");

    let red = browser.look(50.0, json!({ "background": [1, 0, 0], "fov_y": 1.5 }));
    let corner = red.image.get_pixel(0, 0).0;
    assert!(corner[0] > 240 && corner[1] < 15 && corner[2] < 15, "{corner:?}");

    // A newer request replaces one that is under way.
    browser.ask(2.5, json!({ "width": 1600, "height": 1200 }));
    let last = browser.ask(2.5, json!({}));
    let seen = browser.see();
    assert!(seen.header["id"] == last || browser.see().header["id"] == last);
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_closes_the_viewer_of_a_finished_run() {
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=2", "--quiet"]);
    let served = Served::start(folder.path(), &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"]);
    let mut browser = served.join();
    browser.hear("hello");
    // What a finished run cannot do is left alone.
    browser.send(&json!({ "type": "stop" }));
    browser.look(3.0, json!({}));
    assert!(Command::new("kill").args(["-INT", &served.child.id().to_string()]).status().unwrap().success());
    assert_eq!(browser.hear("state")["state"], "ended");
    assert_eq!(served.end().0, Some(0));
}

#[test]
fn the_page_needs_the_token_and_strangers_get_403() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::training(folder.path());
    let Served { host, token, .. } = &served;
    let own = format!("Host: {host}\r\n");
    let page = served.get(&format!("/?token={token}"), &own);
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<title>gridfield</title>"), "{page}");
    let headers = page.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
    for expected in
        ["content-security-policy: default-src 'none'", "referrer-policy: no-referrer", "cache-control: no-store"]
    {
        assert!(headers.contains(expected), "{headers}");
    }
    assert!(!page.contains("{{nonce}}"));

    let wrong = format!("/?token={}", "0".repeat(token.len()));
    let right = format!("/?token={token}");
    for (path, headers) in [
        ("/", own.clone()),
        (wrong.as_str(), own.clone()),
        (&right, "Host: evil.example\r\n".to_owned()),
        (&right, format!("{own}Origin: http://evil.example\r\n")),
    ] {
        let answer = served.get(path, &headers);
        assert!(answer.starts_with("HTTP/1.1 403"), "{path} {headers}: {answer}");
        assert!(!answer.contains("<script"));
    }
    assert!(served.get("/other", &own).starts_with("HTTP/1.1 404"));

    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        match served.join_from(origin) {
            Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 403, "{origin}"),
            other => panic!("{origin}: {:?}", other.map(|_| "connected")),
        }
    }
    let stream = TcpStream::connect(host).unwrap();
    let request = Request::builder()
        .uri(format!("ws://{host}/ws?token=0"))
        .header("Host", host)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", generate_key());
    match client(request.body(()).unwrap(), stream) {
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => assert_eq!(answer.status(), 403),
        other => panic!("{:?}", other.map(|_| "connected")),
    }
    served.join().hear("hello");
}

#[test]
fn whoever_breaks_the_rules_is_shut_out_alone() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::training(folder.path());
    let mut good = served.join();
    good.hear("hello");
    let broken = |say: &dyn Fn(&mut Browser)| {
        let mut browser = served.join();
        browser.hear("hello");
        say(&mut browser);
        browser.closed()
    };
    let text = |text: &'static str| broken(&move |browser| browser.socket.send(Message::text(text)).unwrap());
    assert!(text("{").starts_with("not a message of the viewer"));
    assert!(text(r#"{"type":"dance"}"#).contains("dance"));
    assert!(text(r#"{"type":"view","id":1,"fov_y":1,"width":9,"height":9,"output":"rgb","camera_to_world":[[0,0,0,0],[0,0,0,0],[0,0,0,0]]}"#).contains("pose"));
    assert!(broken(&|browser| browser.socket.send(Message::binary(vec![0; 9])).unwrap()).contains("text"));
    let too_wide = broken(&|browser| {
        browser.ask(3.0, json!({ "width": 100_000 }));
    });
    assert!(too_wide.contains("100000×30"), "{too_wide}");
    let twice = broken(&|browser| {
        browser.ask(3.0, json!({}));
        browser.ask(3.0, json!({ "id": 1 }));
    });
    assert!(twice.contains("ascend"), "{twice}");
    // The connection may break before all of it is sent.
    broken(&|browser| drop(browser.socket.send(Message::text("x".repeat(1 << 20)))));
    let flood = broken(&|browser| {
        for _ in 0..2000 {
            if browser.socket.send(Message::text(r#"{"type":"resume"}"#)).is_err() {
                break;
            }
        }
    });
    assert!(!flood.is_empty());
    // Bytes that are no WebSocket frames.
    broken(&|browser| drop(browser.socket.get_mut().write_all(&[0xff; 64])));

    good.look(3.0, json!({}));
    let before = good.hear_event("step")["step"].as_u64().unwrap();
    assert!(good.hear_event("step")["step"].as_u64().unwrap() > before, "training goes on");
}

#[test]
fn twenty_browsers_look_at_once_and_a_deaf_one_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::training(folder.path());
    // It asks for pictures and reads none of them.
    let mut deaf = served.join();
    for _ in 0..100 {
        deaf.ask(3.0, json!({ "width": 120, "height": 90 }));
    }
    let mut browsers: Vec<_> = (0..20).map(|_| served.join()).collect();
    for browser in &mut browsers {
        browser.hear("hello");
        browser.ask(3.0, json!({}));
    }
    for browser in &mut browsers {
        assert_eq!(browser.see().image.dimensions(), (40, 30));
    }
    let first = browsers[0].hear_event("step")["step"].as_u64().unwrap();
    let (begun, mut last) = (Instant::now(), first);
    for _ in 0..3 {
        last = browsers[0].hear_event("step")["step"].as_u64().unwrap();
    }
    assert!(last > first + 3 && begun.elapsed() < WITHIN, "from step {first} to {last} in {:?}", begun.elapsed());

    // There are no more than 32 places.
    let mut more = Vec::new();
    let refused = loop {
        match served.join_from(&format!("http://{}", served.host)) {
            Ok(browser) => more.push(browser),
            Err(error) => break error,
        }
        assert!(more.len() <= 32);
    };
    assert!(matches!(refused, tungstenite::Error::Http(ref answer) if answer.status() == 503), "{refused}");
}

#[test]
fn a_run_is_paused_saved_and_stopped_from_the_browser() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::training(folder.path());
    let mut browser = served.join();
    assert_eq!(browser.hear("hello")["state"], "training");
    browser.hear_event("step");
    browser.send(&json!({ "type": "pause" }));
    assert_eq!(browser.hear("state")["state"], "paused");
    let held = browser.look(3.0, json!({})).header["step"].as_u64().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(browser.look(3.0, json!({})).header["step"], held, "no steps are taken");
    browser.send(&json!({ "type": "save" }));
    assert_eq!(browser.hear_event("saved")["step"], held);
    assert!(tiny_checkpoint(folder.path(), held).is_file());
    browser.send(&json!({ "type": "resume" }));
    assert_eq!(browser.hear("state")["state"], "training");
    assert!(browser.hear_event("step")["step"].as_u64().unwrap() > held);
    browser.send(&json!({ "type": "stop" }));
    let end = browser.hear_event("finished");
    assert_eq!(end["reason"], "requested");
    // The field stays while someone looks, and can no longer be steered.
    assert_eq!(browser.hear("state")["state"], "viewing");
    browser.send(&json!({ "type": "pause" }));
    assert_eq!(browser.look(3.5, json!({})).header["step"], end["step"]);
    drop(browser);
    let (code, rest) = served.end();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("stopped from the viewer") && rest.contains("--resume"), "{rest}");
    assert!(tiny_checkpoint(folder.path(), end["step"].as_u64().unwrap()).is_file());
}

#[test]
fn a_distance_field_is_shown_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("shape.obj"),
        "v 1 0 0\nv -1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 4\nf 3 2 4\nf 2 1 4\nf 1 2 3\n",
    )
    .unwrap();
    let settings = ["--set=train.batch_samples=4096", "--set=model.grid.log2_hashmap_size=10", "--device=cpu"];
    printed(folder.path(), &[&["fit-sdf", "shape.obj", "--max-steps=60", "--quiet"], &settings[..]].concat());
    let served = Served::start(folder.path(), &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"]);
    let mut browser = served.join();
    let hello = browser.hear("hello");
    let start = hello["subject"]["overview"]["start"]["camera_to_world"].clone();
    let seen = browser.look(3.0, json!({ "camera_to_world": start, "output": "opacity" }));
    let white = seen.image.pixels().filter(|pixel| pixel.0[0] > 128).count();
    assert!((60..1000).contains(&white), "{white} of 1200 pixels show the shape");
    // A box cuts it open; there is no occupancy grid.
    let crop = json!({ "min": [-2, 0.3, -2], "max": [2, 2, 2] });
    let cut = browser.look(3.0, json!({ "camera_to_world": start, "output": "opacity", "crop": crop }));
    let left = cut.image.pixels().filter(|pixel| pixel.0[0] > 128).count();
    assert!((5..white * 3 / 4).contains(&left), "{left} of {white} pixels are in the box");
    assert!(!hello["subject"]["outputs"].as_array().unwrap().contains(&json!("occupancy")));
    browser.ask(3.0, json!({ "output": "occupancy" }));
    assert!(browser.hear("failed")["message"].as_str().unwrap().contains("occupancy"));
    let error = sentence(folder.path(), &["render", "latest", "--outputs=occupancy", "--device=cpu"]);
    assert!(error.contains("this field has no occupancy to be shown"), "{error}");
}

/// Fits a small field to an image of the bundled scene.
pub fn fit_tiny_image(folder: &Path, steps: &str) {
    let image = format!("{ORRERY}/test/r_0.png");
    let settings = ["--set=train.batch_samples=8192", "--set=model.grid.log2_hashmap_size=12", "--device=cpu"];
    printed(folder, &[&["fit-image", &image, steps, "--quiet"], &settings[..]].concat());
}

#[test]
fn a_fitted_image_is_panned_and_zoomed_beside_the_original() {
    let folder = tempfile::tempdir().unwrap();
    fit_tiny_image(folder.path(), "--max-steps=200");
    let served = Served::start(folder.path(), &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"]);
    let mut browser = served.join();
    let hello = browser.hear("hello");
    let stored = image::open(Path::new(ORRERY).join("test/r_0.png")).unwrap().to_rgba8();
    let (width, height) = stored.dimensions();
    assert_eq!(hello["subject"]["image"], json!([width, height]));
    assert_eq!(hello["subject"]["outputs"], json!(["rgb", "original", "error"]));

    // A camera before the plane of the image, which is 1 high: the view is `zoom` times as high as 16 pixels of it.
    let fov = 0.5f64;
    let look = |browser: &mut Browser, column: u32, row: u32, more: Value| {
        let unit = 1.0 / f64::from(height);
        let x = f64::from(column) * unit - 0.5 * f64::from(width) * unit;
        let y = 0.5 - f64::from(row) * unit;
        let distance = 8.0 * unit / (0.5 * fov).tan();
        let pose = json!([[1, 0, 0, x], [0, 1, 0, y], [0, 0, 1, distance]]);
        let mut view = json!({ "camera_to_world": pose, "fov_y": fov, "width": 64, "height": 64 });
        view.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        browser.look(0.0, view)
    };
    // Four pixels of the screen for each of the image; JPEGs are not exact.
    let over_white = |pixel: image::Rgba<u8>, c: usize| {
        let alpha = f64::from(pixel.0[3]) / 255.0;
        f64::from(pixel.0[c]) * alpha + 255.0 * (1.0 - alpha)
    };
    let (column, row) = (width / 2, height / 2);
    let original = look(&mut browser, column, row, json!({ "output": "original" }));
    let mut apart = 0.0;
    for (x, y) in (0..16).flat_map(|x| (0..16).map(move |y| (x, y))) {
        let seen = original.image.get_pixel(4 * x + 2, 4 * y + 2).0;
        let there = *stored.get_pixel(column - 8 + x, row - 8 + y);
        apart += (0..3).map(|c| (f64::from(seen[c]) - over_white(there, c)).abs()).sum::<f64>() / 768.0;
    }
    assert!(apart < 8.0, "{apart}");
    let fit = look(&mut browser, column, row, json!({}));
    let between = difference(&fit, &original);
    assert!((0.5..40.0).contains(&between), "the fit is near the original: {between}");
    assert!(difference(&fit, &look(&mut browser, column + 40, row, json!({}))) > 1.0, "it is panned");
    let error = look(&mut browser, column, row, json!({ "output": "error" }));
    assert!(difference(&error, &fit) > 5.0);

    // The left half is the original, the right half the fit.
    let split = look(&mut browser, column, row, json!({ "split": 0.5 }));
    let half = |a: &Seen, b: &Seen, columns: std::ops::Range<u32>| {
        let pixels = columns.flat_map(|x| (0..64).map(move |y| (x, y)));
        pixels.map(|(x, y)| u32::from(a.image.get_pixel(x, y).0[1].abs_diff(b.image.get_pixel(x, y).0[1]))).sum::<u32>()
    };
    assert!(half(&split, &original, 0..24) < half(&split, &fit, 0..24));
    assert!(half(&split, &fit, 40..64) < half(&split, &original, 40..64));

    // Beyond its edge there is what is around it.
    let outside = look(&mut browser, 0, 0, json!({ "background": [1, 0, 0] }));
    let corner = outside.image.get_pixel(4, 4).0;
    assert!(corner[0] > 240 && corner[1] < 15, "{corner:?}");
    browser.ask(3.0, json!({ "output": "occupancy" }));
    assert!(browser.hear("failed")["message"].as_str().unwrap().contains("occupancy"));
}

#[test]
fn a_fit_is_shown_while_it_trains_and_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let image = format!("{ORRERY}/test/r_0.png");
    let settings = ["--set=train.batch_samples=8192", "--set=model.grid.log2_hashmap_size=12", "--device=cpu"];
    let fit =
        |name: &'static str| [&["fit-image", &image, "--max-steps=400", "--run-name", name], &settings[..]].concat();
    printed(folder.path(), &[&fit("alone")[..], &["--quiet"]].concat());
    let served =
        Served::start(folder.path(), &[&fit("watched")[..], &["--viewer=127.0.0.1:0", "--viewer-share=0.9"]].concat());
    let mut browser = served.join();
    let hello = browser.hear("hello");
    assert_eq!(hello["state"], "training");
    assert_eq!(hello["subject"]["outputs"], json!(["rgb", "original", "error"]));
    browser.send(&json!({ "type": "pause" }));
    assert_eq!(browser.hear("state")["state"], "paused");
    for output in ["rgb", "error"] {
        browser.look(1.5, json!({ "output": output }));
    }
    browser.send(&json!({ "type": "resume" }));
    browser.ask(1.2, json!({}));
    browser.hear_event("finished");
    assert_eq!(served.end().0, Some(0));
    let tensors = |name: &str| {
        let file = format!("outputs/r_0/hash/{name}/checkpoints/step-{:09}.safetensors", 400);
        Checkpoint::read(&folder.path().join(file)).unwrap().tensors
    };
    let (alone, watched) = (tensors("alone"), tensors("watched"));
    assert!(alone.len() == watched.len() && alone.iter().zip(&watched).all(|(a, b)| a == b));
}

#[test]
fn a_fit_whose_image_is_gone_is_shown_alone() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("small.png");
    image::RgbImage::from_fn(24, 16, |x, y| image::Rgb([10 * x as u8, 15 * y as u8, 90])).save(&picture).unwrap();
    let settings = ["--max-steps=2", "--quiet", "--device=cpu", "--set=train.batch_samples=2048"];
    printed(folder.path(), &[&["fit-image", "small.png"], &settings[..]].concat());
    fs::remove_file(picture).unwrap();
    let served = Served::start(folder.path(), &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"]);
    let mut browser = served.join();
    let hello = browser.hear("hello");
    assert_eq!((&hello["subject"]["image"], &hello["subject"]["outputs"]), (&json!([24, 16]), &json!(["rgb"])));
    browser.look(1.5, json!({}));
}

#[test]
fn faults_of_the_viewer_end_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let train = |viewer: &str| sentence(folder.path(), &[&["train", ORRERY, "--viewer", viewer], &TINY[..]].concat());
    let error = train(&address);
    assert!(error.starts_with(&format!("the viewer's port {address} is taken; choose another one")), "{error}");
    assert!(train("192.0.2.1:7007").contains("192.0.2.1:7007, which is no address of this machine"));
    assert!(!folder.path().join("outputs").exists(), "no run is started");

    let error = sentence(folder.path(), &["view", "latest"]);
    assert!(error.contains("no run with a checkpoint"), "{error}");
    fit_tiny_image(folder.path(), "--max-steps=2");
    let error = sentence(folder.path(), &["view", "latest", "--scene=.", "--device=cpu"]);
    assert!(error.contains("--scene is for radiance fields, and this run is of an image"), "{error}");
    train_tiny(folder.path(), &["--max-steps=2", "--quiet"]);
    let error = sentence(folder.path(), &["view", "latest", "--viewer", &address, "--device=cpu"]);
    assert!(error.contains("is taken"), "{error}");
    fs::remove_dir_all(tiny_run(folder.path()).join("checkpoints")).unwrap();
    let run = tiny_run(folder.path());
    let error = sentence(folder.path(), &["view", run.to_str().unwrap()]);
    assert!(error.contains("not a run folder"), "{error}");

    for (args, says) in [
        (["train", "--viewer", ORRERY], "the scene or run goes before"),
        (["train", ORRERY, "--viewer=7007"], "expected an address and a port"),
        (["train", ORRERY, "--viewer-share=0.2"], "--viewer"),
        (["view", "latest", "--viewer=example.org:80"], "expected an address and a port"),
    ] {
        let output = command(folder.path(), &args).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(says), "{args:?}: {error}");
    }
}
