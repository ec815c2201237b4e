//! What the encoders have in common.

use crate::media::yuv::Yuv420;

/// A running encoder; dropping it without calling `finish` abandons the video.
pub trait Sink: Send {
    /// Encodes the next frame.
    fn push(&mut self, frame: &Yuv420) -> std::result::Result<(), String>;
    /// Writes the remaining data; the file is complete afterwards.
    fn finish(self: Box<Self>) -> std::result::Result<(), String>;
}
