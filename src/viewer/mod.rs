//! The live viewer: shows a field in a browser, while it trains or afterwards.
//!
//! Two threads share the work. The [`Host`] lives on the thread that trains: between steps it takes requests ([`Request`])
//! and renders within its share of the time, band by band ([`Progressive`], [`Budget`]). The server (feature `viewer`)
//! runs on a thread of its own, speaks HTTP and WebSocket with the browsers, and encodes the pictures. They are joined
//! by a channel of bounded length in one direction and by callbacks that never wait in the other, so that no browser
//! can hold up training.
//!
//! Everything here except the server is free of network code.

mod band;
mod budget;
mod history;
mod host;
mod link;
mod overview;
mod progressive;
pub mod protocol;
mod request;
mod run_files;
#[cfg(feature = "viewer")]
pub mod server;
mod snapshot;
mod video;

pub use budget::Budget;
pub use history::{History, Point};
pub use host::Host;
pub use link::{Answer, HostEvent, MOST_REQUESTS, Picture, Request, View};
pub use overview::{Overview, SceneCamera};
pub use progressive::Progressive;
pub use request::ViewRequest;
pub use run_files::{CAMERA_PATH, CROP_BOX, RunFiles, saved_crop_box};
pub use video::{VideoProgress, VideoRequest, VideoStage};
