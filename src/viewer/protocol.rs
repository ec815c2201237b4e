//! The messages between a browser and the server; `docs/viewer.md` describes them.
//!
//! Text messages are JSON objects whose `type` names their kind. A picture is a binary message: the length of its
//! header as 4 bytes (little endian), the header as JSON ([`PictureHeader`]), and a JPEG.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{History, Overview, VideoProgress, ViewRequest};
use crate::geometry::{Camera, Corners, Intrinsics, SceneBox, pose};
use crate::render::Channel;
use crate::scene::path::Keyframes;
use crate::train::TrainEvent;

/// Longest message of a browser in bytes: a path of 200 keyframes fits.
pub const MOST_BYTES: usize = 1 << 16;
/// Largest number of pixels of a picture: those of a screen of 2560 × 1600.
pub const MOST_PIXELS: u32 = 2560 * 1600;
/// Largest number of pixels along a side, far below the 65535 of a JPEG.
pub const MOST_SIDE: u32 = 8192;
/// Range of the vertical field of view in radians.
const FIELDS_OF_VIEW: std::ops::RangeInclusive<f32> = 0.01..=3.0;
/// Farthest position of a camera along an axis, in scene units: squares of it are in the range of single precision.
const FARTHEST: f32 = 1e9;

/// A message of a browser.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// Asks for a picture.
    View(WireView),
    /// Pauses the run.
    Pause,
    /// Resumes the run.
    Resume,
    /// Saves a checkpoint.
    Save,
    /// Saves a checkpoint and ends the run.
    Stop,
    /// Asks for the frames of a path.
    Preview {
        /// The path.
        path: Keyframes,
    },
    /// Saves a path with the run.
    SavePath {
        /// The path.
        path: Keyframes,
    },
    /// Saves a path with the run and renders it to a video.
    Video {
        /// The path.
        path: Keyframes,
        /// sRGB colour behind the field, 0 to 1; absent for the run's own.
        #[serde(default)]
        background: Option<[f32; 3]>,
    },
    /// Asks for the part of the scene that is not empty.
    Extent,
    /// Cancels the video that is being rendered.
    CancelVideo,
    /// Saves a crop box with the run, or removes it.
    Crop {
        /// The box in scene coordinates; absent to remove it.
        #[serde(default, rename = "box")]
        crop: Option<Corners>,
    },
}

/// A request for a picture as it is sent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireView {
    /// Number that the answer repeats; a client's numbers ascend.
    pub id: u64,
    /// Row-major 3×4 matrix, as [`Camera::camera_to_world`].
    pub camera_to_world: [[f32; 4]; 3],
    /// Vertical field of view in radians.
    pub fov_y: f32,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// What the picture shows.
    pub output: Channel,
    /// sRGB colour behind the field, 0 to 1; absent for the run's own.
    #[serde(default)]
    pub background: Option<[f32; 3]>,
    /// Box in coordinates in memory outside of which nothing is shown; absent for no such box.
    #[serde(default)]
    pub crop: Option<Corners>,
    /// Of a fitted image, the fraction of the width up to which the original is shown instead; absent for 0.
    #[serde(default)]
    pub split: f32,
    /// Whether it shows what an earlier picture showed, with more pixels or after more steps.
    #[serde(default)]
    pub is_refinement: bool,
}

impl ClientMessage {
    /// Reads a message.
    ///
    /// # Errors
    /// Returns what is wrong with it.
    pub fn parse(text: &str) -> Result<ClientMessage, String> {
        serde_json::from_str(text).map_err(|error| format!("not a message of the viewer: {error}"))
    }
}

impl WireView {
    /// Returns the request.
    ///
    /// # Errors
    /// Returns what is wrong with it: an invalid size, field of view, colour or pose.
    pub fn request(&self) -> Result<ViewRequest, String> {
        let WireView { camera_to_world, fov_y, width, height, .. } = *self;
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 || pixels > u64::from(MOST_PIXELS) || width.max(height) > MOST_SIDE {
            return Err(format!(
                "a picture of {width}×{height} is asked for; expected 1 to {MOST_PIXELS} pixels, and at most {MOST_SIDE} along a side"
            ));
        }
        if !FIELDS_OF_VIEW.contains(&fov_y) {
            return Err(format!("the field of view is {fov_y}; expected 0.01 to 3 radians"));
        }
        let is_near = |x: &f32| x.abs() <= FARTHEST;
        let rows = camera_to_world.map(|row| row.map(f64::from));
        if !camera_to_world.as_flattened().iter().all(is_near) || pose::is_singular(&rows) {
            return Err("camera_to_world is not the pose of a camera".to_owned());
        }
        check_color(self.background)?;
        let camera = Camera { intrinsics: Intrinsics::from_fov_y(width, height, fov_y), camera_to_world };
        let crop = self.crop.map(SceneBox::try_from).transpose().map_err(|error| error.to_string())?;
        let crop = crop.map(|crop| crop.relative(&[0.0; 3]));
        if !(0.0..=1.0).contains(&self.split) {
            return Err(format!("split is {}; expected 0 to 1", self.split));
        }
        let split = (self.split * width as f32).round() as u32;
        Ok(ViewRequest { camera, channel: self.output, background: self.background, crop, split })
    }
}

/// Refuses a background that is not an sRGB colour.
///
/// # Errors
/// Returns what is wrong with it.
pub fn check_color(background: Option<[f32; 3]>) -> Result<(), String> {
    match background.iter().flatten().all(|x| (0.0..=1.0).contains(x)) {
        true => Ok(()),
        false => Err("the background is not a colour; expected three numbers from 0 to 1".to_owned()),
    }
}

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage<'a> {
    /// The first message, and again when a browser missed some.
    Hello {
        /// What is shown.
        subject: &'a Subject,
        /// The course of the run so far.
        history: &'a History,
        /// State of the run.
        state: State,
        /// The last video, if one was requested.
        video: Option<&'a VideoProgress>,
        /// The crop box that is saved with the run, if there is one.
        #[serde(rename = "box")]
        crop: Option<SceneBox>,
        /// The camera path that is saved with the run, if there is one that was made of keys.
        path: Option<Keyframes>,
    },
    /// An event of the run, as in `metrics.jsonl`.
    Event {
        /// The event.
        event: &'a TrainEvent,
    },
    /// The state of the run has changed.
    State {
        /// The new state.
        state: State,
    },
    /// A picture could not be rendered.
    Failed {
        /// Why.
        message: &'a str,
    },
    /// The frames of a path, or some of them, evenly spaced in time.
    Preview {
        /// For each frame, the 12 numbers of `camera_to_world`, row by row, and the vertical field of view in radians.
        frames: &'a [[f32; 13]],
        /// Length of the path in seconds.
        seconds: f64,
    },
    /// Something was saved, or removed.
    Kept {
        /// Text for the person who asked.
        message: &'a str,
    },
    /// A request cannot be carried out.
    Refused {
        /// Why.
        message: &'a str,
    },
    /// The part of the scene that is not empty.
    Extent {
        /// Its box in coordinates in memory; None if it is not known.
        #[serde(rename = "box")]
        extent: Option<Corners>,
    },
    /// Progress of a video.
    Video {
        /// The progress.
        video: &'a VideoProgress,
    },
}

/// What is shown; it does not change while the server runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Subject {
    /// Name of the scene or mesh.
    pub scene: String,
    /// Name of the model.
    pub model: String,
    /// Description of the device.
    pub device: String,
    /// The run's folder or checkpoint.
    pub run: String,
    /// Version of gridfield.
    pub version: &'static str,
    /// Number of training steps after which the run ends; None without a limit.
    pub max_steps: Option<u64>,
    /// Seconds of training after which the run ends; None without a limit.
    pub max_seconds: Option<f64>,
    /// Number of steps of the field when the viewer began.
    pub step: u64,
    /// Fraction of the time that pictures may take from training; 1 for a finished run.
    pub share: f64,
    /// The run's settings, as in its `config.json`.
    pub settings: Value,
    /// What can be shown of the field.
    pub outputs: &'static [Channel],
    /// Width and height in pixels of the image that the field was fitted to; None for a field in space.
    pub image: Option<[u32; 2]>,
    /// The scene's cameras.
    pub overview: Overview,
}

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Steps are taken.
    Training,
    /// The run is paused.
    Paused,
    /// The run has ended, and its field is no longer served.
    Ended,
    /// A finished run is shown.
    Viewing,
}

/// The header of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PictureHeader {
    /// Number of the request.
    pub id: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Number of training steps of the field that it shows.
    pub step: u64,
    /// Milliseconds of rendering.
    pub ms: f64,
}

/// Returns the message of a picture.
pub fn picture_message(header: &PictureHeader, jpeg: &[u8]) -> Vec<u8> {
    let header = serde_json::to_vec(header).expect("a header has string keys");
    let mut message = (header.len() as u32).to_le_bytes().to_vec();
    message.extend(header);
    message.extend(jpeg);
    message
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view() -> Value {
        json!({
            "type": "view", "id": 7, "fov_y": 0.7, "width": 64, "height": 48, "output": "depth",
            "camera_to_world": [[1, 0, 0, 0.5], [0, 1, 0, 0], [0, 0, 1, 4]],
        })
    }

    fn request(message: &Value) -> Result<ViewRequest, String> {
        match ClientMessage::parse(&message.to_string())? {
            ClientMessage::View(view) => view.request(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_view_is_read_as_a_camera() {
        let read = request(&view()).unwrap();
        assert_eq!((read.channel, read.background), (Channel::Depth, None));
        assert_eq!(read.camera.position(), [0.5, 0.0, 4.0]);
        assert_eq!((read.camera.intrinsics.width, read.camera.intrinsics.height), (64, 48));
        let mut white = view();
        white["background"] = json!([1, 1, 0.5]);
        assert_eq!(request(&white).unwrap().background, Some([1.0, 1.0, 0.5]));
        let mut cropped = view();
        cropped["crop"] = json!({ "min": [-1, 0, 0.5], "max": [1, 2, 3] });
        let crop = request(&cropped).unwrap().crop.unwrap();
        assert_eq!((crop.low, crop.high), ([-1.0, 0.0, 0.5], [1.0, 2.0, 3.0]));
    }

    #[test]
    fn views_that_no_camera_has_are_refused_by_name() {
        let flat = json!([[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]]);
        let far = json!([[1, 0, 0, 1e12], [0, 1, 0, 0], [0, 0, 1, 0]]);
        for (key, value, says) in [
            ("width", json!(0), "0×48"),
            ("width", json!(4_000_000_000u32), "expected 1 to"),
            ("width", json!(8193), "at most 8192"),
            ("fov_y", json!(0), "field of view is 0"),
            ("fov_y", json!(1e40), "field of view is inf"),
            ("camera_to_world", flat, "pose"),
            ("camera_to_world", far, "pose"),
            ("background", json!([0, 0, 2]), "background"),
            ("background", json!([0, 0]), "length"),
            ("output", json!("smell"), "smell"),
            ("crop", json!({ "min": [0, 0, 0], "max": [1, 0, 1] }), "the box is empty"),
            ("crop", json!({ "min": [0, 0, 0] }), "max"),
            ("split", json!(1.5), "split is 1.5"),
            ("id", json!(-1), "-1"),
            ("wide", json!(1), "wide"),
        ] {
            let mut wrong = view();
            wrong[key] = value;
            let error = request(&wrong).unwrap_err();
            assert!(error.contains(says), "{key}: {error}");
        }
    }

    #[test]
    fn commands_are_their_type_and_anything_else_is_none() {
        assert_eq!(ClientMessage::parse(r#"{"type":"pause"}"#), Ok(ClientMessage::Pause));
        assert_eq!(ClientMessage::parse(r#"{"type":"stop"}"#), Ok(ClientMessage::Stop));
        for text in ["", "null", "[]", "{}", r#"{"type":"dance"}"#, r#"{"type":"view"}"#, "\u{0}"] {
            assert!(ClientMessage::parse(text).is_err(), "{text:?}");
        }
        let nested = format!(r#"{{"type":{}"#, "[".repeat(4000));
        assert!(ClientMessage::parse(&nested).is_err());
    }

    #[test]
    fn a_picture_is_a_length_a_header_and_a_jpeg() {
        let header = PictureHeader { id: 3, width: 2, height: 1, step: 9, ms: 1.5 };
        let message = picture_message(&header, b"jpeg");
        let length = u32::from_le_bytes(message[..4].try_into().unwrap()) as usize;
        let read: Value = serde_json::from_slice(&message[4..4 + length]).unwrap();
        assert_eq!(read, json!({ "id": 3, "width": 2, "height": 1, "step": 9, "ms": 1.5 }));
        assert_eq!(&message[4 + length..], b"jpeg");
    }
}
