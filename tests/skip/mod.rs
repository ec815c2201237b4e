//! Reports tests that cannot run here.

use std::io::Write as _;

/// Reports that `test` did not run, and why, bypassing the test harness's capture of output.
pub fn skipped(test: &str, why: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "skipped {test}: {why}");
}
