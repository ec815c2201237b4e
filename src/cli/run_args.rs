//! The argument that names a run, shared by the commands that work on one.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::Result;
use crate::train::{OUTPUT_DIR, Resolved};

#[derive(Debug, Args)]
pub struct RunArgs {
    /// A run's folder, a checkpoint, or `latest`
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    #[command(flatten)]
    pub place: PlaceArgs,
}

#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Folder whose newest run `latest` stands for [default: outputs, and wherever the last run was put]
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
}

impl RunArgs {
    /// Finds the run and the checkpoint.
    ///
    /// # Errors
    /// Returns the same errors as [`Resolved::find`].
    pub fn resolve(&self) -> Result<Resolved> {
        self.place.resolve(&self.run)
    }
}

impl PlaceArgs {
    /// Finds the run and the checkpoint that `run` refers to.
    ///
    /// # Errors
    /// Returns the same errors as [`Resolved::find`].
    pub fn resolve(&self, run: &Path) -> Result<Resolved> {
        Resolved::find(run, self.output_dir.as_deref().unwrap_or(Path::new(OUTPUT_DIR)))
    }
}
