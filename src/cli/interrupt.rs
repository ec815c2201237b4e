//! Ctrl-C: the first asks the work to end in good order, the second ends the process at once.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use super::{INTERRUPTED, print};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Watches for Ctrl-C, SIGTERM and SIGHUP, and returns the flag that the first of them sets.
///
/// `what` says what follows; with `quiet` nothing is printed when it comes.
pub fn watch(what: &'static str, quiet: bool) -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(move || {
        if ASKED.swap(true, Ordering::Relaxed) {
            process::exit(i32::from(INTERRUPTED));
        }
        if !quiet {
            print::to_stderr(&format!("\n{what}; press Ctrl-C again to exit at once"));
        }
    })
    .context("Ctrl-C cannot be watched for on this system")?;
    Ok(&ASKED)
}
