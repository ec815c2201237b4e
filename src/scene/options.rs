//! Options for reading a scene.

use std::path::PathBuf;

use super::{Format, PoseConvention};
use crate::geometry::origin_for;

/// Options for reading a scene.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenOptions {
    /// `None` detects the format from the contents of the folder.
    pub format: Option<Format>,
    /// Folder of the COLMAP reconstruction inside the scene's folder. `None` looks for `sparse/0`, `sparse` and
    /// `colmap/sparse/0`.
    pub sparse: Option<PathBuf>,
    /// Whether images named by a COLMAP reconstruction may be missing; they are then skipped.
    pub allow_missing: bool,
    /// Axes of the cameras in transforms files.
    pub pose_convention: PoseConvention,
    /// Origin of the coordinates in memory, in the coordinates of the files. `None` chooses 0 unless the files'
    /// coordinates are large compared with the extent of the cameras.
    pub origin: Option<[f64; 3]>,
}

impl OpenOptions {
    /// Returns the origin of the coordinates of a scene with cameras at `positions`.
    pub(super) fn origin_for(&self, positions: impl Iterator<Item = [f64; 3]>) -> [f64; 3] {
        self.origin.unwrap_or_else(|| origin_for(positions))
    }
}
