//! What a `RUN` argument refers to: a run's folder, a checkpoint file, or `latest`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::run::CHECKPOINTS;
use super::{Run, latest};
use crate::{Error, Result};

/// The argument that stands for the newest run.
const LATEST: &str = "latest";

/// The checkpoint and run that a `RUN` argument of the command line refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Path of the checkpoint.
    pub checkpoint: PathBuf,
    /// The run that contains the checkpoint; None for a checkpoint file outside any run.
    pub run: Option<Run>,
}

impl Resolved {
    /// Finds what `arg` refers to: a run's folder, a checkpoint file, or `latest`, which is the run with the newest
    /// checkpoint among those under `output_dir` and the one that [`latest::record`] recorded there. A folder stands
    /// for its checkpoint of the highest step.
    ///
    /// # Errors
    /// Returns an error if there is no such run or checkpoint, or if the run has no checkpoint.
    pub fn find(arg: &Path, output_dir: &Path) -> Result<Resolved> {
        if arg == Path::new(LATEST) {
            return Resolved::of_run(latest::find(output_dir)?);
        }
        if arg.is_dir() {
            return Resolved::of_run(Run::open(arg)?);
        }
        if !arg.is_file() {
            return Err(Error::file(arg, "there is no such run or checkpoint; check the path, or say `latest`"));
        }
        let run = arg.parent().filter(|folder| folder.file_name() == Some(OsStr::new(CHECKPOINTS)));
        let run = run.and_then(Path::parent).and_then(|folder| Run::open(folder).ok());
        Ok(Resolved { checkpoint: arg.to_path_buf(), run })
    }

    fn of_run(run: Run) -> Result<Resolved> {
        Ok(Resolved { checkpoint: run.newest_checkpoint()?, run: Some(run) })
    }

    /// Returns the folder for results about the checkpoint: the run's folder, or the checkpoint's own folder if it is
    /// outside any run.
    pub fn folder(&self) -> &Path {
        match &self.run {
            Some(run) => run.folder(),
            None => self.checkpoint.parent().unwrap_or(Path::new("")),
        }
    }

    /// Returns the path of the evaluation's report.
    pub fn eval_path(&self) -> PathBuf {
        self.folder().join("eval.json")
    }

    /// Returns the folder for rendered images and videos.
    pub fn renders_folder(&self) -> PathBuf {
        self.folder().join("renders")
    }
}
