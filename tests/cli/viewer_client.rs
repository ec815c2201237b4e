//! A program that serves a viewer, and a plain WebSocket client that connects as a browser does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use crate::binary::{ORRERY, TINY, command};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket, client};

/// Time within which everything is answered.
pub const WITHIN: Duration = Duration::from_secs(60);

/// A `gridfield` that serves a viewer; it is killed when dropped.
pub struct Served {
    pub child: Child,
    pub stdout: BufReader<ChildStdout>,
    /// Host and port.
    pub host: String,
    pub token: String,
}

impl Served {
    pub fn start(folder: &Path, args: &[&str]) -> Served {
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
    pub fn training(folder: &Path) -> Served {
        let args = ["train", ORRERY, "--max-steps=1000000", "--save-every=0", "--viewer", "127.0.0.1:0"];
        Served::start(folder, &[&args, &TINY[..]].concat())
    }

    /// Returns the address that is printed.
    pub fn address(&self) -> String {
        format!("http://{}/?token={}", self.host, self.token)
    }

    pub fn join(&self) -> Browser {
        self.join_from(&format!("http://{}", self.host)).expect("the viewer's own page may connect")
    }

    pub fn join_from(&self, origin: &str) -> tungstenite::Result<Browser> {
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
    pub fn get(&self, path: &str, headers: &str) -> String {
        String::from_utf8(self.get_bytes(path, headers)).unwrap()
    }

    /// Returns the answer to a request, complete with its headers.
    pub fn get_bytes(&self, path: &str, headers: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// Waits for the end, and returns the exit code and what else was printed.
    pub fn end(mut self) -> (Option<i32>, String) {
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
pub struct Browser {
    pub socket: WebSocket<TcpStream>,
    pub last_id: u64,
}

/// A picture with the header it came with.
pub struct Seen {
    pub header: Value,
    pub image: image::RgbImage,
}

impl Browser {
    pub fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).unwrap();
    }

    /// Reads to the next text message of a kind.
    pub fn hear(&mut self, kind: &str) -> Value {
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
    pub fn hear_event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.hear("event")["event"].take();
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// Asks for a picture from `distance` along z.
    pub fn ask(&mut self, distance: f64, more: Value) -> u64 {
        self.last_id += 1;
        let mut view = json!({
            "type": "view", "id": self.last_id, "fov_y": 0.8, "width": 40, "height": 30, "output": "rgb",
            "camera_to_world": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, distance]],
        });
        view.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.send(&view);
        self.last_id
    }

    pub fn see(&mut self) -> Seen {
        loop {
            if let Message::Binary(bytes) = self.socket.read().unwrap() {
                let length = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
                let header = serde_json::from_slice(&bytes[4..4 + length]).unwrap();
                let image = image::load_from_memory(&bytes[4 + length..]).unwrap().to_rgb8();
                return Seen { header, image };
            }
        }
    }

    pub fn look(&mut self, distance: f64, more: Value) -> Seen {
        let id = self.ask(distance, more);
        let seen = self.see();
        assert_eq!(seen.header["id"], id);
        seen
    }

    /// Reads until the server closes the connection, and returns why it does.
    pub fn closed(mut self) -> String {
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
pub fn difference(a: &Seen, b: &Seen) -> f64 {
    assert_eq!(a.image.dimensions(), b.image.dimensions());
    let pairs = a.image.as_raw().iter().zip(b.image.as_raw());
    pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.image.as_raw().len() as f64
}
