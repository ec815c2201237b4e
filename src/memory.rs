//! What memory there is, asked before much of it is taken: an allocation that fails would end the process.

use std::fs;

use crate::{Error, Result};

/// Refuses `what` where it would take more bytes than are free.
///
/// # Errors
/// A sentence with what it would need, what there is, and the `remedy`.
pub fn require(what: &str, bytes: f64, remedy: &str) -> Result<()> {
    match available() {
        Some(free) if bytes > free as f64 => Err(Error::config(format!(
            "{what} would need {} of memory, but {} are free; {remedy}",
            gibibytes(bytes),
            gibibytes(free as f64)
        ))),
        _ => Ok(()),
    }
}

pub fn gibibytes(bytes: f64) -> String {
    let size = bytes / f64::from(1 << 30);
    if size < 1000.0 { format!("{size:.1} GiB") } else { format!("{size:.0} GiB") }
}

/// Bytes that can still be had: the least of what the system has left and what the control group may still take. None where
/// the system does not say, as elsewhere than on Linux.
pub fn available() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_available(&text));
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    let group = group.map(|(most, used)| most.saturating_sub(used));
    system.into_iter().chain(group).min()
}

/// Bytes of the line `MemAvailable: … kB`.
fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_in_bytes() {
        assert_eq!(mem_available("MemTotal: 8 kB\nMemAvailable:     5 kB\n"), Some(5120));
        assert_eq!(mem_available("MemTotal: 8 kB\n"), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        require("a grain", 1.0, "-").unwrap();
        if available().is_some() {
            let error = require("a mountain", 1e18, "take a hill").unwrap_err().to_string();
            assert!(
                error.starts_with("a mountain would need 931322575 GiB") && error.ends_with("take a hill"),
                "{error}"
            );
        }
    }
}
