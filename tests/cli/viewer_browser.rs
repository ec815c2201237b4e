//! The viewer's page in a real browser: headless Chromium, controlled by its remote debugging protocol. Where there is
//! no Chromium, the test is skipped by name.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::binary::{tiny_run, train_tiny};
use crate::viewer::fit_tiny_image;
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
    /// Opens a page of 900×520 pixels; None if there is no Chromium.
    fn open() -> Option<Page> {
        let profile = tempfile::tempdir().unwrap();
        let port_file = profile.path().join("DevToolsActivePort");
        let folder = format!("--user-data-dir={}", profile.path().display());
        // Without a sandbox, as containers and root need.
        let flags =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--window-size=900,520"];
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

    /// Waits for a promise of a number in the page.
    fn awaited(&mut self, promise: &str) -> f64 {
        let params = json!({ "expression": promise, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", params);
        result["result"]["value"].as_f64().unwrap_or_else(|| panic!("{promise}: {result}"))
    }

    /// Opens the viewer, and waits for its first picture.
    fn visit(&mut self, address: &str) {
        self.call("Page.navigate", json!({ "url": address }));
        self.wait_for("typeof subject !== 'undefined' && subject && shown");
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

    /// Waits for a picture from where the camera is, at any resolution, and returns a number that differs between
    /// pictures.
    fn picture(&mut self) -> f64 {
        self.wait_for("!dirty && !flight");
        let asked = self.evaluate("lastId");
        self.wait_for(&format!("shownId >= {asked}"));
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
        let body = list_of_pages(host);
        let pages: Value = serde_json::from_str(&body).unwrap_or_default();
        let page = pages.as_array().into_iter().flatten().find(|target| target["type"] == "page");
        if let Some(address) = page.and_then(|page| page["webSocketDebuggerUrl"].as_str()) {
            return address.to_owned();
        }
        assert!(begun.elapsed() < WITHIN, "Chromium has no page: {body}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Returns what Chromium has open, as JSON. Chromium leaves the connection open, so the answer is read by its length.
fn list_of_pages(host: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect(host).unwrap());
    stream.get_ref().set_read_timeout(Some(WITHIN)).unwrap();
    write!(stream.get_mut(), "GET /json/list HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let (mut length, mut line) = (0, String::new());
    while stream.read_line(&mut line).unwrap() > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Returns how far a drag of 30 pixels moves a side of the crop box at most, from all around the scene. The unit is the
/// size of a pixel at the side's distance.
fn longest_move_of_a_side(page: &mut Page) -> f64 {
    let longest = page.evaluate(
        "(() => { const [kept, own] = [JSON.stringify(box.now), camera]; let most = 0; \
         for (let yaw = 0; yaw < 6.3; yaw += 0.05) for (const [dx, dy] of [[30, 0], [-30, 0], [0, 30], [0, -30]]) { \
         camera = { ...own, yaw }; for (const h of handles(projector())) { if (!h.screen) continue; \
         box.drag = { from: box.now[h.corner][h.axis] }; dragSide(h, dx, dy); \
         const pixel = unitsPerPixel({ ...camera, distance: h.screen[2] }); \
         most = Math.max(most, Math.abs(box.now[h.corner][h.axis] - box.drag.from) / pixel); \
         box.now = JSON.parse(kept); } } box.drag = null; camera = own; boxChanged(); return most; })()",
    );
    longest.as_f64().unwrap()
}

#[test]
fn a_person_looks_around_sets_a_path_gets_a_video_and_keeps_a_box() {
    let Some(mut page) = Page::open() else {
        eprintln!("skipped: there is no chromium");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    train_tiny(folder.path(), &["--max-steps=1000", "--quiet"]);
    let served = Served::start(folder.path(), &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"]);
    page.visit(&served.address());
    let first = page.picture();
    assert_eq!(page.evaluate("$('veil').hidden"), true);

    // A drag turns the view, and the picture follows.
    let yaw = page.evaluate("camera.yaw");
    page.drag((60.0, 150.0), (160.0, 150.0));
    assert!(yaw != page.evaluate("camera.yaw"));
    let turned = page.picture();
    assert!((first - turned).abs() > 1e-3, "{first} {turned}");

    // Two views make a path, which is previewed and rendered.
    page.evaluate("$('path-size').add(new Option('small', '64,48')); $('path-size').value = '64,48'; true");
    page.evaluate("$('path-fps').value = 5; $('key-add').click(); true");
    page.drag((60.0, 150.0), (100.0, 180.0));
    page.evaluate("$('key-add').click(); true");
    page.wait_for("path.keys.length === 2 && path.frames.length === 10");
    page.evaluate("$('path-play').click(); true");
    page.wait_for("playing && playing.shown");
    page.wait_for("!playing");
    page.evaluate("$('path-video').click(); true");
    page.wait_for("$('video-text').querySelector('a')");
    let run = tiny_run(folder.path());
    assert!(run.join("renders/camera_path.mp4").is_file());
    assert_eq!(read_json(&run.join("camera_path.json"))["keyframes"].as_array().unwrap().len(), 2);

    // A side of the box is dragged, and the box is kept.
    page.evaluate("$('box-on').click(); true");
    // At first it is around what is not empty.
    page.wait_for("!box.isFirst");
    let sides = page.evaluate("[0, 1, 2].map(k => box.now[1][k] - box.now[0][k])");
    let radius = page.evaluate("subject.overview.radius").as_f64().unwrap();
    let is_near = |side: &Value| side.as_f64().is_some_and(|side| side > 0.05 * radius && side < 0.801 * radius);
    assert!(sides.as_array().unwrap().iter().all(is_near) && sides[0] != json!(0.5 * radius), "{sides} {radius}");
    let grip = page.evaluate(
        "(() => { for (const h of handles(projector())) { const [x, y] = h.screen || [-1, -1], ahead = h.at.slice(); \
         ahead[h.axis] += 0.1; const q = projector()(ahead), there = handleAt(x, y, 10); \
         const isIn = x > 10 && y > 10 && x < stage.clientWidth - 10 && y < stage.clientHeight - 10; \
         const length = Math.hypot(q[0] - x, q[1] - y); \
         if (isIn && length > 5 && there.axis === h.axis && there.corner === h.corner) \
         return [x, y, 30 * (q[0] - x) / length, 30 * (q[1] - y) / length, h.corner, h.axis]; } })()",
    );
    let [x, y, dx, dy, corner, axis] = std::array::from_fn(|k| grip[k].as_f64().expect("a side can be gripped"));
    let side = format!("box.now[{corner}][{axis}]");
    let before = page.evaluate(&side).as_f64().unwrap();
    page.drag((x, y), (x + dx, y + dy));
    let after = page.evaluate(&side).as_f64().unwrap();
    assert!(after > before, "{before} {after}");
    page.evaluate("$('box-save').click(); true");
    page.wait_for("$('note').textContent.includes('crop_box.json')");
    let saved = read_json(&run.join("crop_box.json"));
    assert_eq!(saved[["min", "max"][corner as usize]][axis as usize], json!(after));

    let most = longest_move_of_a_side(&mut page);
    assert!(most > 30.0 && most < 75.1, "{most}");

    // What is outside of the box is not shown, until the switch is off.
    let cropped = page.picture();
    page.evaluate("$('box-crop').click(); true");
    let whole = page.picture();
    assert!((cropped - whole).abs() > 1e-3, "{cropped} {whole}");
    page.evaluate("$('box-on').click(); true");

    // The cells of the occupancy grid are the fifth output.
    page.call("Input.dispatchKeyEvent", json!({ "type": "keyDown", "key": "5" }));
    assert_eq!(page.evaluate("view.output"), "occupancy");
    let cells = page.picture();
    assert!((cells - whole).abs() > 1e-2, "{cells} {whole}");
    page.evaluate("$('outputs').children[0].click(); true");

    // A camera shows its photograph.
    page.evaluate("flyTo(cameraOf(subject.overview.cameras[3]), () => showPhoto(subject.overview.cameras[3])); true");
    page.wait_for("!$('photo').hidden && $('photo').naturalWidth > 0");
    page.drag((60.0, 150.0), (100.0, 180.0));
    page.wait_for("$('photo').hidden");

    // At rest the page does nothing.
    page.wait_for("shown.size === 1 && !pending && performance.now() - lastMove > 500");
    let n_drawn = page.awaited(
        "new Promise(done => { const own = drawOverlay; let n = 0; drawOverlay = () => { n += 1; own(); }; \
         setTimeout(() => { drawOverlay = own; done(n); }, 1000); })",
    );
    assert!(n_drawn < 3.0, "{n_drawn} frames in a second of rest");

    // Another browser has the saved path and box.
    page.evaluate("sessionStorage.clear(); true");
    page.visit(&served.address());
    page.wait_for("path.keys.length === 2 && path.frames.length === 10 && $('path-size').value === '64,48'");
    assert_eq!(page.evaluate("$('box-on').checked && $('path-fps').value === '5'"), true);

    // When the viewer is closed, the page says so, and the picture stays.
    assert!(Command::new("kill").args(["-INT", &served.child.id().to_string()]).status().unwrap().success());
    page.wait_for("ended && !$('veil').hidden && $('veil').textContent.includes('gridfield view ')");
    assert_eq!(page.evaluate("$('path-section').inert && overlay.inert && $('state').innerText"), "Closed");
}

#[test]
fn a_fitted_image_is_zoomed_where_the_mouse_is_and_compared_with_the_original() {
    let Some(mut page) = Page::open() else {
        eprintln!("skipped: there is no chromium");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    fit_tiny_image(folder.path(), "--max-steps=100");
    let served = Served::start(folder.path(), &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"]);
    page.visit(&served.address());
    let first = page.picture();
    for hidden in ["$('path-section')", "$('box-on')", "$('modes')", "$('fov')"] {
        assert_eq!(page.evaluate(&format!("{hidden}.offsetParent === null")), true, "{hidden}");
    }
    // The pixel below the mouse stays there.
    let pixel = |page: &mut Page| page.evaluate("aboutPlane([200, 180]).match(/pixel (.*)/)[1]");
    page.mouse("mouseMoved", (200.0, 180.0), json!({}));
    let (before, zoom) = (pixel(&mut page), page.evaluate("zoomOf(camera)").as_f64().unwrap());
    page.mouse("mouseWheel", (200.0, 180.0), json!({ "deltaX": 0, "deltaY": -400 }));
    page.wait_for(&format!("zoomOf(camera) > {}", 1.5 * zoom));
    assert_eq!(pixel(&mut page), before);
    let closer = page.picture();
    assert!((first - closer).abs() > 1e-3, "{first} {closer}");
    // A drag takes the image along.
    page.drag((200.0, 180.0), (260.0, 220.0));
    assert_eq!(page.evaluate("aboutPlane([260, 220]).match(/pixel (.*)/)[1]"), before);
    // The original is beside it up to a line, which is dragged.
    let fit = page.picture();
    page.evaluate("$('split-on').click(); true");
    let both = page.picture();
    assert!((fit - both).abs() > 1e-4, "{fit} {both}");
    let middle = page.evaluate("split.at * stage.clientWidth").as_f64().unwrap();
    page.drag((middle, 100.0), (middle - 120.0, 100.0));
    assert!(page.evaluate("split.at").as_f64().unwrap() < 0.4);
    page.evaluate("$('whole').click(); true");
    page.wait_for("!flight");
    assert!((page.evaluate("zoomOf(camera)").as_f64().unwrap() / zoom - 1.0).abs() < 1e-6);
}

/// Moves the camera after each of these waits in milliseconds, and returns how long the first picture of each move took,
/// what share of that was rendering, and the picture's width.
fn latencies(page: &mut Page, waits: &[u64]) -> Vec<(f64, f64, f64)> {
    let mut seen = Vec::new();
    for &wait in waits {
        std::thread::sleep(Duration::from_millis(wait));
        let took = page.awaited(
            "new Promise(done => { const before = lastId, begun = performance.now(); orbit(7, 1); \
             const look = () => shownId > before ? done(shown.at - begun) : setTimeout(look, 1); look(); })",
        );
        let number = |page: &mut Page, what: &str| page.evaluate(what).as_f64().unwrap();
        seen.push((took, number(page, "shown.ms"), number(page, "shown.width")));
    }
    seen
}

/// Prints the latencies of a run that is served at `GRIDFIELD_VIEWER_URL`, or of a tiny one.
#[test]
fn a_move_is_answered_by_a_small_picture_first() {
    let Some(mut page) = Page::open() else {
        eprintln!("skipped: there is no chromium");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let served;
    let address = match std::env::var("GRIDFIELD_VIEWER_URL") {
        Ok(address) => address,
        Err(_) => {
            train_tiny(folder.path(), &["--max-steps=1000", "--quiet"]);
            served = Served::start(folder.path(), &["view", "latest", "--viewer=127.0.0.1:0", "--device=cpu"]);
            served.address()
        }
    };
    let size = json!({ "width": 800, "height": 800, "deviceScaleFactor": 1, "mobile": false });
    page.call("Emulation.setDeviceMetricsOverride", size);
    page.visit(&address);
    page.evaluate("$('fold').click(); true");
    page.wait_for("stage.clientWidth === 800 && stage.clientHeight === 800 && shown.width === 800");
    // After rests that end before, within and after the refinement.
    let waits = [3000, 400, 250, 600, 3000, 200, 200, 1000, 300, 3000, 500, 700, 200, 3000, 900];
    let mut seen = latencies(&mut page, &waits);
    seen.iter()
        .for_each(|(took, ms, width)| eprintln!("{took:.0} ms, of which rendering {ms:.0} ms, {width} pixels wide"));
    seen.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (fastest, median, slowest) = (seen[0], seen[seen.len() / 2], seen[seen.len() - 1]);
    eprintln!("fastest {:.0} ms, median {:.0} ms, slowest {:.0} ms", fastest.0, median.0, slowest.0);
    // The size follows from the measured speed. On a busy machine, a single picture may take any time.
    assert!(median.1 < 150.0, "pictures of a moving camera take {:.0} ms to render", median.1);
}
