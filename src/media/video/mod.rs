//! MP4 videos (H.264) from rendered frames, through ffmpeg where it is installed and through a bundled encoder
//! otherwise; and the frames of any video, through ffmpeg.

mod bundled;
mod ffmpeg;
mod reader;
mod sink;

pub(crate) use reader::{JudgedFrame, VideoReader};

use super::yuv::Yuv420;
use crate::{Error, Result, atomic};
use sink::Sink;
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

/// The encoder that compresses the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// The `ffmpeg` on PATH, with libx264 at constant quality (CRF 18).
    Ffmpeg,
    /// OpenH264, compiled into this program, at a nearly constant quality; files are larger at the same visual quality.
    Bundled,
}

impl Encoder {
    /// Returns [`Encoder::Ffmpeg`] if there is an ffmpeg with libx264, and [`Encoder::Bundled`] otherwise.
    pub fn detect() -> Self {
        if ffmpeg::is_usable() { Encoder::Ffmpeg } else { Encoder::Bundled }
    }
}

/// Returns the size of the video of frames of `width × height`: both sides are rounded up to even numbers, which 4:2:0
/// video needs.
pub(crate) fn video_size(width: u32, height: u32) -> (u32, u32) {
    (width.next_multiple_of(2), height.next_multiple_of(2))
}

/// Writes one video. The file appears under its name when [`VideoWriter::finish`] returns; a writer that is dropped
/// earlier leaves nothing behind.
///
/// Video needs even dimensions: an odd width or height is extended by one pixel that repeats the last column or row.
pub struct VideoWriter {
    path: PathBuf,
    /// Size of the frames that are pushed.
    size: (usize, usize),
    frame: Yuv420,
    n_frames: u64,
    // Declared before the temporary file, so that on drop the encoder closes the file before it is removed.
    sink: Box<dyn Sink>,
    temporary: TempPath,
}

impl VideoWriter {
    /// Starts a video of `width × height` at `fps` frames per second with [`Encoder::detect`].
    ///
    /// # Errors
    /// Returns an error if the folder of `path` is missing or not writable, if `fps` is not above 0, or if the size
    /// exceeds what the encoder supports (the bundled one: 3840×2160 or 2160×3840).
    pub fn create(path: impl AsRef<Path>, width: u32, height: u32, fps: f32) -> Result<Self> {
        Self::with_encoder(Encoder::detect(), path, width, height, fps)
    }

    /// Starts a video like [`VideoWriter::create`], with the given encoder.
    pub fn with_encoder(encoder: Encoder, path: impl AsRef<Path>, width: u32, height: u32, fps: f32) -> Result<Self> {
        let path = path.as_ref();
        if width == 0 || height == 0 {
            return Err(Error::file(path, format!("a video of {width}×{height} has no pixels to write")));
        }
        if !(fps.is_finite() && fps > 0.0) {
            return Err(Error::config(format!("a video of {fps} frames a second; expected a number above 0")));
        }
        let size = (width as usize, height as usize);
        let frame = Yuv420::new(size.0, size.1);
        let temporary = atomic::file_beside(path, ".mp4")?;
        let sink = start(encoder, &temporary, &frame, fps).map_err(|what| Error::file(path, what))?;
        Ok(Self { path: path.to_path_buf(), size, frame, n_frames: 0, sink, temporary: temporary.into_temp_path() })
    }

    /// Appends a frame: 8-bit sRGB, `[height, width, 3]`.
    ///
    /// # Panics
    /// Panics if the number of bytes does not match the size.
    pub fn push(&mut self, rgb8: &[u8]) -> Result<()> {
        let (width, height) = self.size;
        assert_eq!(rgb8.len(), 3 * width * height, "bytes of a frame of {width}×{height}");
        self.frame.convert(rgb8, width, height);
        self.sink.push(&self.frame).map_err(|what| Error::file(&self.path, what))?;
        self.n_frames += 1;
        Ok(())
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// Returns an error if no frame was pushed or the encoder failed.
    pub fn finish(self) -> Result<()> {
        if self.n_frames == 0 {
            return Err(Error::file(&self.path, "a video needs at least one frame"));
        }
        self.sink.finish().map_err(|what| Error::file(&self.path, what))?;
        atomic::replace(self.temporary, &self.path)
    }
}

fn start(
    encoder: Encoder,
    output: &NamedTempFile,
    frame: &Yuv420,
    fps: f32,
) -> std::result::Result<Box<dyn Sink>, String> {
    Ok(match encoder {
        Encoder::Ffmpeg => Box::new(ffmpeg::Ffmpeg::start(output.path(), frame, fps)?),
        Encoder::Bundled => {
            let file = output.reopen().map_err(|e| atomic::cannot_write(&e))?;
            Box::new(bundled::Bundled::start(file, frame, fps)?)
        }
    })
}
