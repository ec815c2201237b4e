//! Videos that a browser requests, rendered band by band like pictures.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::snapshot::Snapshot;
use super::{Progressive, ViewRequest};
use crate::Result;
use crate::media::VideoWriter;
use crate::render::Channel;
use crate::scene::CameraPath;

/// Time between progress messages about a video.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// A requested video.
#[derive(Clone, Debug)]
pub struct VideoRequest {
    /// The cameras of its frames, without lenses.
    pub path: CameraPath,
    /// sRGB colour behind the field; None for the one over which it is evaluated.
    pub background: Option<[f32; 3]>,
    /// Where the video is written.
    pub file: PathBuf,
}

/// Progress of a video.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VideoProgress {
    /// Its stage.
    pub stage: VideoStage,
    /// Number of finished frames.
    pub done: usize,
    /// Number of all frames.
    pub total: usize,
    /// Estimated seconds until it is complete; None while nothing is known.
    pub eta_seconds: Option<f64>,
    /// The file that is written.
    pub file: PathBuf,
}

/// Stage of a video.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VideoStage {
    /// Its frames are rendered.
    Rendering,
    /// The file is complete.
    Done,
    /// It was cancelled, and there is no file.
    Cancelled,
    /// It failed for this reason, and there is no file.
    Failed(String),
}

/// A video that is being rendered: all frames show the same state of the field.
pub(super) struct VideoJob {
    request: VideoRequest,
    of: Rc<Snapshot>,
    background: [f32; 3],
    writer: VideoWriter,
    frame: Progressive,
    n_done: usize,
    /// From when on the pace is measured, and how many frames were rendered then.
    paced_from: (Instant, f64),
    reported: Instant,
}

impl VideoJob {
    /// Begins a video of `of` over `background` (sRGB), if the request names none.
    ///
    /// # Errors
    /// Returns an error if the path has no frames, if a camera has a lens, or if the file cannot be written.
    pub fn new(request: VideoRequest, of: Rc<Snapshot>, background: [f32; 3]) -> Result<VideoJob> {
        let frame = frame(&request, 0, background)?;
        let size = request.path.frames[0].intrinsics;
        let writer = VideoWriter::create(&request.file, size.width, size.height, request.path.fps)?;
        let now = Instant::now();
        Ok(VideoJob { request, of, background, writer, frame, n_done: 0, paced_from: (now, 0.0), reported: now })
    }

    /// Renders the next band of about `pixels` pixels, and returns their number.
    ///
    /// # Errors
    /// Returns an error if rendering or encoding fails.
    pub fn advance(&mut self, pixels: usize) -> Result<usize> {
        let n = self.frame.advance(self.of.renderer.as_ref(), pixels)?;
        if self.frame.is_complete() {
            self.writer.push(&self.frame.image())?;
            self.n_done += 1;
            if !self.is_complete() {
                self.frame = frame(&self.request, self.n_done, self.background)?;
            }
        }
        Ok(n)
    }

    /// Returns whether all frames are rendered.
    pub fn is_complete(&self) -> bool {
        self.n_done == self.request.path.frames.len()
    }

    /// Completes the file.
    ///
    /// # Errors
    /// Returns an error if encoding fails.
    pub fn finish(self) -> Result<VideoProgress> {
        let progress = self.progress(VideoStage::Done);
        self.writer.finish()?;
        Ok(progress)
    }

    /// Measures the pace anew from now on, as after training was paused.
    pub fn change_pace(&mut self) {
        self.paced_from = (Instant::now(), self.frames_rendered());
    }

    /// Returns the number of frames that are rendered, with the finished part of the next.
    fn frames_rendered(&self) -> f64 {
        self.n_done as f64 + if self.is_complete() { 0.0 } else { self.frame.fraction_done() }
    }

    /// Returns a message about the progress of the video.
    pub fn progress(&self, stage: VideoStage) -> VideoProgress {
        let total = self.request.path.frames.len();
        let (frames, (begun, frames_then)) = (self.frames_rendered(), self.paced_from);
        let since = frames - frames_then;
        let eta_seconds = (since > 0.0).then(|| begun.elapsed().as_secs_f64() / since * (total as f64 - frames));
        VideoProgress { stage, done: self.n_done, total, eta_seconds, file: self.request.file.clone() }
    }

    /// Returns a message about the progress of the video, if there has been none for a while.
    pub fn progress_if_due(&mut self) -> Option<VideoProgress> {
        let is_due = self.reported.elapsed() > PROGRESS_INTERVAL;
        is_due.then(|| {
            self.reported = Instant::now();
            self.progress(VideoStage::Rendering)
        })
    }
}

fn frame(request: &VideoRequest, number: usize, background: [f32; 3]) -> Result<Progressive> {
    let camera =
        *request.path.frames.get(number).ok_or_else(|| crate::Error::config("a video needs at least one frame"))?;
    let VideoRequest { path, background: wanted, .. } = request;
    let view = ViewRequest { camera, channel: Channel::Rgb, background: *wanted, crop: path.crop, split: 0 };
    Progressive::new(&view, background)
}
