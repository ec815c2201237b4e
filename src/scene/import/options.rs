//! What is imported, and how.

use std::path::PathBuf;

/// Smallest number of photographs for which camera poses can be estimated.
pub(super) const FEWEST_PHOTOGRAPHS: usize = 3;
/// Default number of frames: enough to go around something once, few enough to be matched in minutes.
const USUAL_COUNT: u32 = 150;

/// What is imported, and how COLMAP is run.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// COLMAP's name of the camera model, one of [`camera_models`](super::camera_models).
    pub camera_model: String,
    /// Which photographs are matched with each other; by default the pairs that suit the source.
    pub matching: Option<Matching>,
    /// Which frames of a video are used; for photographs it must be `None`.
    pub frames: Option<FrameChoice>,
    /// Folder of masks for photographs: PNG files, black where a photograph is to be ignored, each named as its
    /// photograph, `a.png` or `a.jpg.png` for `a.jpg`.
    pub masks: Option<PathBuf>,
    /// Whether COLMAP computes features and matches on a GPU.
    pub gpu: bool,
    /// `None` leaves the number of threads to COLMAP.
    pub threads: Option<u16>,
}

/// Pairs of photographs that COLMAP matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching {
    /// Each with all others: the default for photographs.
    Exhaustive,
    /// Each only with those shortly after it: the default for the frames of a video.
    Sequential,
}

/// How many frames of a video are used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FrameChoice {
    /// This many, evenly over the video.
    Count(u32),
    /// This many per second; above 0.
    Rate(f64),
}

impl Default for FrameChoice {
    fn default() -> Self {
        FrameChoice::Count(USUAL_COUNT)
    }
}
