//! The flags that control how a scene's folder is read, shared by the commands that open one.

use clap::Args;

use crate::scene::{Format, OpenOptions, PoseConvention};

#[derive(Debug, Args)]
pub struct ReadingArgs {
    /// The scene's format: blender, transforms, llff or colmap [default: detected from the folder]
    #[arg(long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub format: Option<Format>,

    /// Folder of a COLMAP reconstruction inside the scene's folder [default: sparse/0, sparse or colmap/sparse/0]
    #[arg(long, value_name = "DIR")]
    pub sparse: Option<String>,

    /// Skip images that a COLMAP reconstruction names but that are missing
    #[arg(long)]
    pub allow_missing: bool,

    /// Axes of the cameras in transforms files: opengl (x right, y up, z back) or opencv (x right, y down, z forward)
    /// [default: opengl]
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    pub pose_convention: Option<PoseConvention>,
}

impl ReadingArgs {
    pub(super) fn options(&self) -> OpenOptions {
        let sparse = self.sparse.as_ref().map(Into::into);
        let pose_convention = self.pose_convention.unwrap_or_default();
        OpenOptions { format: self.format, sparse, allow_missing: self.allow_missing, pose_convention, origin: None }
    }
}
