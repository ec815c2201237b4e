//! Tests that cannot run everywhere say so.

use std::io::Write as _;

/// Says that `test` did not run, and why, past the capture of the test harness.
pub fn skipped(test: &str, why: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "skipped {test}: {why}");
}
