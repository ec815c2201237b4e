//! The viewer end to end: the program serves, and a client connects as a browser does.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::binary::{ORRERY, TINY, command, printed, sentence, tiny_checkpoint, tiny_run, train_tiny};
use crate::viewer_client::{Browser, Served, WITHIN, difference};
use serde_json::json;
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
        deaf.ask(3.0, json!({ "width": 400, "height": 300 }));
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
    assert_eq!(browser.hear("state")["state"], "ended");
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
    printed(
        folder.path(),
        &[
            "fit-image",
            &format!("{ORRERY}/test/r_0.png"),
            "--max-steps=2",
            "--quiet",
            "--device=cpu",
            "--set=train.batch_samples=2048",
        ],
    );
    let error = sentence(folder.path(), &["view", "latest", "--device=cpu"]);
    assert!(error.starts_with("the viewer shows fields in space, and this run is of an image"), "{error}");
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
