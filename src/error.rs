//! The single error type of the library. Each error displays as one sentence addressed to the user.

use std::path::{Path, PathBuf};

/// The result of functions of this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// An error caused by the user, a file or the machine. The command line prints it and exits with code 2; bugs in
/// gridfield itself panic instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder is missing, unreadable, unwritable, or not what it should be. The message names the frame or
    /// key, if there is one.
    #[error("{}: {what}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// A configuration key, value or flag is wrong.
    #[error("{0}")]
    Config(String),
    /// The requested device is missing or cannot run this binary's kernels.
    #[error("{0}")]
    Device(String),
    /// Training produced non-finite numbers.
    #[error("training diverged: {what} at step {step}; {kept}")]
    Diverged {
        /// Training step at which this was found.
        step: u64,
        /// The number that is not finite.
        what: String,
        /// Which checkpoint remains.
        kept: String,
    },
    /// A computation was ended by its [`Interrupt`](crate::device::Interrupt).
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Returns an [`Error::File`] about `path`.
    pub fn file(path: impl AsRef<Path>, what: impl Into<String>) -> Self {
        Error::File { path: path.as_ref().to_path_buf(), what: one_line(what.into()) }
    }

    /// Returns an [`Error::Config`].
    pub fn config(what: impl Into<String>) -> Self {
        Error::Config(one_line(what.into()))
    }

    /// Returns an [`Error::Device`].
    pub fn device(what: impl Into<String>) -> Self {
        Error::Device(what.into())
    }

    /// Creates a `Diverged` error with an empty `kept`, which the training session fills in.
    pub(crate) fn diverged(step: u64, what: impl Into<String>) -> Self {
        Error::Diverged { step, what: what.into(), kept: String::new() }
    }
}

/// Escapes control characters that come from files, such as a newline in a name, so that a terminal shows the message
/// on one line.
fn one_line(what: String) -> String {
    if !what.contains(char::is_control) {
        return what;
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    what.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_out_of_files_break_no_line() {
        let error = Error::file("images.bin", "@\n\u{1b}[31m has the camera 0 – none");
        assert_eq!(error.to_string(), "images.bin: @\\n\\u{1b}[31m has the camera 0 – none");
    }
}
