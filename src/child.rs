//! Child processes: waiting for them, interrupting them, and quoting what they printed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Interval between checks of the running program and of the interruption flag.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Waits until the program has ended, and calls `look` from time to time and once at its end. Returns `None` if
/// `interrupted` was set; the program is then ended.
///
/// # Errors
/// Returns an error if the system cannot say whether the program has ended.
pub(crate) fn wait(
    child: &mut Child,
    interrupted: &AtomicBool,
    look: &mut dyn FnMut(),
) -> io::Result<Option<ExitStatus>> {
    let status = loop {
        if interrupted.load(Ordering::Relaxed) {
            end(child);
            return Ok(None);
        }
        let ended = child.try_wait()?;
        look();
        match ended {
            Some(status) => break status,
            None => thread::sleep(LOOK_EVERY),
        }
    };
    // The signal that set the flag may have ended the program, too.
    Ok((!interrupted.load(Ordering::Relaxed)).then_some(status))
}

/// Ends the program, which may have ended already.
pub(crate) fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Returns what a program has printed to the file `log` so far, or nothing if the file cannot be read now.
pub(crate) fn printed(log: &Path) -> String {
    let mut bytes = Vec::new();
    let _ = File::open(log).and_then(|mut file| file.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns the last line that is not empty, for quoting a program that failed.
pub(crate) fn last_words(printed: &str) -> String {
    let last = printed.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or_else(|| "none".to_owned(), |line| line.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_says_something_is_quoted() {
        assert_eq!(last_words("a\n  could not open  \n\n"), "could not open");
        assert_eq!(last_words(""), "none");
    }
}
