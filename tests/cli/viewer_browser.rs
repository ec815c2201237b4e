//! The viewer's page in a real browser: Chromium without a window, steered by its remote debugging protocol. Where there
//! is no Chromium, the test is skipped by name.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::binary::{tiny_run, train_tiny};
use crate::viewer_client::{Served, WITHIN};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// A page in a Chromium; it is closed when dropped.
struct Page {
    browser: Child,
    socket: WebSocket<TcpStream>,
    n_sent: u64,
    _profile: tempfile::TempDir,
}

impl Page {
    /// Opens a page of 1000×700 pixels; None if there is no Chromium.
    fn open() -> Option<Page> {
        let profile = tempfile::tempdir().unwrap();
        let port_file = profile.path().join("DevToolsActivePort");
        let folder = format!("--user-data-dir={}", profile.path().display());
        // Without a sandbox, as containers and root need.
        let flags =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--window-size=1000,700"];
        let start = |name: &&str| {
            Command::new(name)
                .args(flags)
                .args([&folder, "about:blank"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .ok()
        };
        let browser = ["chromium", "chromium-browser", "google-chrome"].iter().find_map(start)?;
        let begun = Instant::now();
        let port = loop {
            let lines = fs::read_to_string(&port_file).unwrap_or_default();
            if let Some(port) = lines.lines().next().filter(|port| !port.is_empty()) {
                break port.to_owned();
            }
            assert!(begun.elapsed() < WITHIN, "Chromium does not start");
            std::thread::sleep(Duration::from_millis(50));
        };
        let address = page_address(&format!("127.0.0.1:{port}"), begun);
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let (socket, _) = tungstenite::client(address, stream).expect("Chromium's debugger");
        Some(Page { browser, socket, n_sent: 0, _profile: profile })
    }

    /// Calls a method of the protocol, and returns its result.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.n_sent += 1;
        let message = json!({ "id": self.n_sent, "method": method, "params": params });
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else { continue };
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == self.n_sent {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// Evaluates an expression in the page.
    fn evaluate(&mut self, expression: &str) -> Value {
        let mut result = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Waits until an expression is true.
    fn wait_for(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.evaluate(&format!("!!({expression})")) != true {
            assert!(begun.elapsed() < WITHIN, "{expression}: {}", self.evaluate("document.body.innerText"));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn mouse(&mut self, kind: &str, (x, y): (f64, f64), more: Value) {
        let mut event = json!({ "type": kind, "x": x, "y": y });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.call("Input.dispatchMouseEvent", event);
    }

    fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        let held = json!({ "button": "left", "buttons": 1, "clickCount": 1 });
        self.mouse("mousePressed", from, held.clone());
        for i in 1..=5 {
            let t = f64::from(i) / 5.0;
            self.mouse("mouseMoved", (from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1)), held.clone());
        }
        self.mouse("mouseReleased", to, json!({ "button": "left", "clickCount": 1 }));
    }

    /// Waits for the picture at full resolution, and returns a number that differs between pictures.
    fn picture(&mut self) -> f64 {
        self.wait_for("shown && shown.size === 1 && !pending");
        let sum = "(() => { const d = paint.getImageData(0, 0, canvas.width, canvas.height).data; let s = 0; \
                   for (let i = 0; i < d.length; i += 4) s += d[i] * (1 + i % 977); return s / d.length; })()";
        self.evaluate(sum).as_f64().unwrap()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}

/// Returns the address of the debugger of Chromium's first page.
fn page_address(host: &str, begun: Instant) -> String {
    loop {
        let stream = TcpStream::connect(host).unwrap();
        let list = crate::viewer_client::answer(stream, "/json/list", &format!("Host: {host}\r\n"));
        let body = list.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
        let pages: Value = serde_json::from_str(&body).unwrap_or_default();
        let page = pages.as_array().into_iter().flatten().find(|target| target["type"] == "page");
        if let Some(address) = page.and_then(|page| page["webSocketDebuggerUrl"].as_str()) {
            return address.to_owned();
        }
        assert!(begun.elapsed() < WITHIN, "Chromium has no page: {list}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_person_looks_around_sets_a_path_gets_a_video_and_keeps_a_box() {
    let Some(mut page) = Page::open() else {
        eprintln!("skipped: there is no chromium");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=40", "--quiet"]);
    let served = Served::start(folder.path(), &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"]);
    page.call("Page.navigate", json!({ "url": format!("http://{}/?token={}", served.host, served.token) }));
    page.wait_for("typeof subject !== 'undefined' && subject && shown");
    let first = page.picture();
    assert_eq!(page.evaluate("$('veil').hidden"), true);

    // A drag turns the view, and the picture follows.
    page.drag((300.0, 350.0), (420.0, 350.0));
    page.wait_for("performance.now() - lastMove > REST");
    let turned = page.picture();
    assert!((first - turned).abs() > 1e-3, "{first} {turned}");

    // Two views make a path, which is previewed and rendered.
    page.evaluate("$('path-size').value = '640,360'; $('path-fps').value = 5; $('key-add').click(); true");
    page.drag((300.0, 350.0), (360.0, 380.0));
    page.evaluate("$('key-add').click(); true");
    page.wait_for("path.keys.length === 2 && path.frames.length === 10");
    page.evaluate("$('path-play').click(); true");
    page.wait_for("playing && playing.shown");
    page.wait_for("!playing");
    page.evaluate("$('path-film').click(); true");
    page.wait_for("$('film-text').querySelector('a')");
    let run = tiny_run(folder.path());
    assert!(run.join("renders/camera_path.mp4").is_file());
    assert_eq!(read_json(&run.join("camera_path.json"))["keyframes"].as_array().unwrap().len(), 2);

    // A side of the box is dragged, and the box is kept.
    page.evaluate("$('box-on').click(); true");
    let [x, y] = ["0", "1"].map(|k| {
        let at = format!("handles(projector()).find(h => h.corner === 1 && h.axis === 2).screen[{k}]");
        page.evaluate(&at).as_f64().unwrap()
    });
    let top = page.evaluate("box.now[1][2]").as_f64().unwrap();
    page.drag((x, y), (x, y - 40.0));
    let raised = page.evaluate("box.now[1][2]").as_f64().unwrap();
    assert!(raised > top, "{raised} {top}");
    page.evaluate("$('box-save').click(); true");
    page.wait_for("$('note').textContent.includes('crop_box.json')");
    assert_eq!(read_json(&run.join("crop_box.json"))["max"][2], json!(raised));

    // A camera shows its photograph.
    page.evaluate("flyTo(cameraOf(subject.overview.cameras[3]), () => showPhoto(subject.overview.cameras[3])); true");
    page.wait_for("!$('photo').hidden && $('photo').naturalWidth > 0");
    page.drag((300.0, 350.0), (360.0, 380.0));
    page.wait_for("$('photo').hidden");
}
