//! What the user requested of a camera path.

use super::PathTransforms;
use crate::geometry::Intrinsics;
use crate::{Error, Result};

pub(super) const DEFAULT_FPS: f32 = 30.0;

/// Largest number of pixels along a side of a frame: more is a typing error, and would need more memory than most
/// machines have.
pub const MAX_SIDE: u32 = 16384;

/// Largest number of frames, nine hours at 30 frames per second: more is a typing error, not a video.
const MAX_FRAMES: f32 = 1e6;

/// Kind of the cameras that render the frames of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum FrameCamera {
    /// Straight lines stay straight; cameras that are panoramas become 90° wide
    Perspective,
    /// Panoramas of the whole sphere, twice as wide as high
    Equirectangular,
}

/// What the user requested of a path; what is absent comes from the file or the scene.
#[derive(Clone, Debug, Default)]
pub struct PathOptions {
    /// Width and height of the frames in pixels; by default those of the file, or of the scene's first view. If the
    /// aspect ratio differs, the vertical field of view is kept.
    pub size: Option<(u32, u32)>,
    /// Frames per second; by default that of the file, or 30.
    pub fps: Option<f32>,
    /// Length of the video in seconds; by default that of the file, or one that suits the kind of path. Files that list
    /// their frames are resampled.
    pub seconds: Option<f32>,
    /// Kind of the cameras; by default that of the file or of the dataset's views, or else perspective.
    /// [`PathChoice::build`](super::PathChoice::build) honours it.
    pub camera: Option<FrameCamera>,
    /// The frame of reference of a path saved by nerfstudio.
    pub transforms: PathTransforms,
}

impl PathOptions {
    pub(super) fn size_or(&self, intrinsics: &Intrinsics) -> Result<(u32, u32)> {
        match self.size.unwrap_or((intrinsics.width, intrinsics.height)) {
            (width, height) if width == 0 || height == 0 => {
                Err(Error::config(format!("frames of {width}×{height} have no pixels; expected at least 1×1")))
            }
            (width, height) if width.max(height) > MAX_SIDE => {
                Err(Error::config(format!("frames of {width}×{height}; expected at most {MAX_SIDE} pixels a side")))
            }
            size => Ok(size),
        }
    }

    pub(super) fn fps_or(&self, default: f32) -> Result<f32> {
        above_zero("frames a second", self.fps.unwrap_or(default))
    }

    /// Returns the number of frames for `self.seconds`, or for `default` seconds if it is not set.
    pub(super) fn n_frames(&self, default: f32, fps: f32) -> Result<usize> {
        let seconds = above_zero("seconds of video", self.seconds.unwrap_or(default))?;
        match (seconds * fps).round() {
            frames if frames > MAX_FRAMES => Err(Error::config(format!(
                "{seconds} s at {fps} frames a second are {frames} frames; expected at most {MAX_FRAMES}"
            ))),
            frames => Ok((frames as usize).max(1)),
        }
    }
}

fn above_zero(what: &str, value: f32) -> Result<f32> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(Error::config(format!("{value} {what}; expected a number above 0"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_options_are_refused() {
        let fps = |fps| PathOptions { fps: Some(fps), ..Default::default() }.fps_or(30.0);
        assert!(fps(f32::NAN).is_err() && fps(0.0).is_err() && fps(24.0).is_ok());
        let seconds = |seconds| PathOptions { seconds: Some(seconds), ..Default::default() }.n_frames(1.0, 30.0);
        assert!(seconds(-1.0).is_err() && seconds(1e9).is_err());
        assert_eq!((seconds(2.0).unwrap(), seconds(1e-3).unwrap()), (60, 1));
        let size = PathOptions { size: Some((0, 4)), ..Default::default() };
        assert!(size.size_or(&Intrinsics::from_fov_y(800, 600, 0.8)).is_err());
    }
}
