//! Messages between the thread that renders and the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{VideoProgress, VideoRequest, ViewRequest};
use crate::geometry::Bounds;
use crate::train::TrainEvent;

/// Length of the channel of [`Request`]s. The server sends without waiting, and tries again if the channel is full.
pub const MOST_REQUESTS: usize = 256;

/// A request to a [`Host`](super::Host).
pub enum Request {
    /// Render a picture.
    View(View),
    /// Find the part of the scene that is not empty.
    Extent(Box<dyn FnOnce(Option<Bounds>) + Send>),
    /// Render a video, if none is being rendered.
    Video(VideoRequest),
    /// Cancel the video that is being rendered.
    CancelVideo,
    /// Pause training.
    Pause,
    /// Resume training after a pause.
    Resume,
    /// Save a checkpoint now.
    Save,
    /// Save a checkpoint and end the run.
    Stop,
}

/// A requested picture.
pub struct View {
    /// What to render.
    pub request: ViewRequest,
    /// Number of the request among those of its client, ascending.
    pub number: u64,
    /// Number of the client's newest request; older ones are dropped.
    pub newest: Arc<AtomicU64>,
    /// Whether it shows what an earlier picture showed, with more pixels or after more steps. Such a picture may wait.
    pub is_refinement: bool,
    /// Takes the answer. It is called on the thread that trains, and must not wait.
    pub reply: Box<dyn FnOnce(Answer) + Send>,
}

impl View {
    /// Returns whether its client has sent a newer request.
    pub fn is_superseded(&self) -> bool {
        self.newest.load(Ordering::Relaxed) > self.number
    }
}

/// The answer to a [`View`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The picture.
    Picture(Picture),
    /// The request was dropped in favour of a newer one.
    Superseded,
    /// The picture could not be rendered, for this reason.
    Failed(String),
}

/// A rendered picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Number of the request.
    pub number: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `[h, w, 3]` 8-bit sRGB.
    pub rgb: Vec<u8>,
    /// Number of training steps of the field that it shows.
    pub step: u64,
    /// Seconds of rendering.
    pub seconds: f64,
}

/// What a [`Host`](super::Host) reports to viewers.
#[derive(Clone, Debug, PartialEq)]
pub enum HostEvent {
    /// An event of the run.
    Train(TrainEvent),
    /// The run was paused (true) or resumed (false).
    Paused(bool),
    /// Progress of a video.
    Video(VideoProgress),
}
