//! How a command ends, and the exit code that says so.

use std::io;
use std::process::ExitCode;

use super::print;

/// Exit code of success.
pub const DONE: u8 = 0;
/// Exit code for a problem with the arguments, a file or the machine.
pub const MISTAKE: u8 = 2;
/// Exit code after Ctrl-C or a signal.
pub const INTERRUPTED: u8 = 130;

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The command did all that it was asked to.
    Done,
    /// Ended by Ctrl-C or a signal; a training run has saved its work so far.
    Interrupted,
}

/// Returns the exit code of a command, and prints its error, if it failed.
pub fn exit_code(result: anyhow::Result<Outcome>) -> ExitCode {
    match result {
        Ok(Outcome::Done) => ExitCode::from(DONE),
        Ok(Outcome::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) if is_broken_pipe(&error) => ExitCode::from(DONE),
        Err(error) => {
            tell(&error);
            ExitCode::from(MISTAKE)
        }
    }
}

/// Prints an error.
pub fn tell(error: &anyhow::Error) {
    print::to_stderr(&format!("gridfield: error: {error:#}"));
}

/// Returns whether the reader of our output, such as `head`, has closed the pipe.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}
