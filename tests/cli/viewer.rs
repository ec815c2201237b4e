//! The viewer end to end: the program serves, and a plain WebSocket client looks on, as a browser does.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::binary::{ORRERY, TINY, command, printed, sentence, tiny_checkpoint, tiny_run, train_tiny};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::handshake::client::generate_key;
use tungstenite::http::Request;
use tungstenite::{Message, WebSocket, client};

const WITHIN: Duration = Duration::from_secs(60);

/// A `gridfield` that serves a viewer; it is killed when dropped.
struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// Host and port.
    host: String,
    token: String,
}

impl Served {
    fn start(folder: &Path, args: &[&str]) -> Served {
        let mut child = command(folder, args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("viewer: ") {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "{args:?} ended without an address");
        }
        let address = line.trim_end().strip_prefix("viewer: http://").unwrap();
        let (host, token) = address.split_once("/?token=").unwrap();
        Served { child, stdout, host: host.to_owned(), token: token.to_owned() }
    }

    /// Trains the tiny model for long.
    fn training(folder: &Path) -> Served {
        let args = ["train", ORRERY, "--max-steps=1000000", "--save-every=0", "--viewer", "127.0.0.1:0"];
        Served::start(folder, &[&args, &TINY[..]].concat())
    }

    fn join(&self) -> Browser {
        self.join_from(&format!("http://{}", self.host)).expect("the viewer's own page may connect")
    }

    fn join_from(&self, origin: &str) -> tungstenite::Result<Browser> {
        let stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let url = format!("ws://{}/ws?token={}", self.host, self.token);
        let mut request = url.as_str().into_client_request()?;
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        match client(request, stream) {
            Ok((socket, _)) => Ok(Browser { socket, last_id: 0 }),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
            Err(interrupted) => panic!("{interrupted}"),
        }
    }

    /// Returns the answer to a request as text, complete with its headers.
    fn get(&self, path: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Waits for the end, and returns the exit code and what else was printed.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It fails if the process has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a browser does.
struct Browser {
    socket: WebSocket<TcpStream>,
    last_id: u64,
}

/// A picture with the header it came with.
struct Seen {
    header: Value,
    image: image::RgbImage,
}

impl Browser {
    fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).unwrap();
    }

    /// Reads to the next text message of a kind.
    fn hear(&mut self, kind: &str) -> Value {
        loop {
            if let Message::Text(text) = self.socket.read().unwrap() {
                let message: Value = serde_json::from_str(&text).unwrap();
                if message["type"] == kind {
                    return message;
                }
            }
        }
    }

    /// Reads to the next event of a kind.
    fn hear_event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.hear("event")["event"].take();
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Asks for a picture from `distance` along z.
    fn ask(&mut self, distance: f64, more: Value) -> u64 {
        self.last_id += 1;
        let mut view = json!({
            "type": "view", "id": self.last_id, "fov_y": 0.8, "width": 40, "height": 30, "output": "rgb",
            "camera_to_world": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, distance]],
        });
        view.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.send(&view);
        self.last_id
    }

    fn see(&mut self) -> Seen {
        loop {
            if let Message::Binary(bytes) = self.socket.read().unwrap() {
                let length = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
                let header = serde_json::from_slice(&bytes[4..4 + length]).unwrap();
                let image = image::load_from_memory(&bytes[4 + length..]).unwrap().to_rgb8();
                return Seen { header, image };
            }
        }
    }

    fn look(&mut self, distance: f64, more: Value) -> Seen {
        let id = self.ask(distance, more);
        let seen = self.see();
        assert_eq!(seen.header["id"], id);
        seen
    }

    /// Reads until the server closes the connection, and returns why it does.
    fn closed(mut self) -> String {
        loop {
            match self.socket.read() {
                Ok(Message::Close(Some(frame))) => return frame.reason.to_string(),
                Ok(Message::Close(None)) => return String::new(),
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
        }
    }
}

/// Returns the mean absolute difference of two pictures in 8-bit steps.
fn difference(a: &Seen, b: &Seen) -> f64 {
    assert_eq!(a.image.dimensions(), b.image.dimensions());
    let pairs = a.image.as_raw().iter().zip(b.image.as_raw());
    pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.image.as_raw().len() as f64
}

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
