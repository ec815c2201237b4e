//! Stages of an import.

/// Stage of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportStage {
    /// The frames of a video are judged; their number is not known in advance.
    Judging,
    /// The chosen frames of a video are written.
    Frames,
    /// Features are extracted from the photographs.
    Features,
    /// Features of pairs of photographs are matched.
    Matches,
    /// Poses are reconstructed.
    Poses,
}

impl ImportStage {
    /// Returns a description for the user.
    pub fn name(self) -> &'static str {
        match self {
            ImportStage::Judging => "looking for the sharpest frames",
            ImportStage::Frames => "writing them",
            ImportStage::Features => "finding features",
            ImportStage::Matches => "matching them",
            ImportStage::Poses => "placing cameras",
        }
    }

    /// Returns the name of the program that performs the stage.
    pub fn program(self) -> &'static str {
        match self {
            ImportStage::Judging | ImportStage::Frames => "ffmpeg",
            ImportStage::Features | ImportStage::Matches | ImportStage::Poses => "COLMAP",
        }
    }
}
