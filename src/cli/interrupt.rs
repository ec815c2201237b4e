//! Ctrl-C: the first one asks for a clean shutdown, the second one ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{process, thread};

use anyhow::Context as _;

use super::outcome::INTERRUPTED;
use super::print;

const NOT_WATCHED: &str = "Ctrl-C cannot be watched for on this system";
static ASKED: AtomicBool = AtomicBool::new(false);
/// What the first signal does, as it is printed.
static WHAT: Mutex<&str> = Mutex::new("");

/// Installs a handler for Ctrl-C, SIGTERM and SIGHUP, and returns the flag that the first of them sets.
///
/// `what` is the message printed at the first signal; with `quiet`, nothing is printed.
pub fn watch(what: &'static str, quiet: bool) -> anyhow::Result<&'static AtomicBool> {
    rename(what);
    ctrlc::set_handler(move || {
        if ASKED.swap(true, Ordering::Relaxed) {
            process::exit(i32::from(INTERRUPTED));
        }
        if !quiet {
            let what = *WHAT.lock().unwrap_or_else(PoisonError::into_inner);
            print::to_stderr(&format!("\n{what}; press Ctrl-C again to exit at once"));
        }
    })
    .context(NOT_WATCHED)?;
    Ok(&ASKED)
}

/// Installs a handler that ends nothing: rank 0, which gets the same signals, decides when all ranks end.
pub fn leave_to_others() -> anyhow::Result<()> {
    ctrlc::set_handler(|| ASKED.store(true, Ordering::Relaxed)).context(NOT_WATCHED)
}

/// Waits, and returns whether a signal arrived meanwhile that was left to others.
pub fn arrives_within(time: Duration) -> bool {
    ASKED.store(false, Ordering::Relaxed);
    thread::sleep(time);
    ASKED.load(Ordering::Relaxed)
}

/// Changes the message that is printed at the first signal.
pub fn rename(what: &'static str) {
    *WHAT.lock().unwrap_or_else(PoisonError::into_inner) = what;
}
