//! Ctrl-C: the first asks the run to save and end, the second ends the process at once.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use super::{INTERRUPTED, print};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Watches for Ctrl-C, SIGTERM and SIGHUP, and returns the flag that the first of them sets.
///
/// With `quiet` nothing is printed when it comes.
pub fn watch(quiet: bool) -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(move || {
        if ASKED.swap(true, Ordering::Relaxed) {
            process::exit(i32::from(INTERRUPTED));
        }
        if !quiet {
            print::to_stderr("\nstopping after this step, then saving; press Ctrl-C again to exit at once");
        }
    })
    .context("Ctrl-C cannot be watched for on this system")?;
    Ok(&ASKED)
}
