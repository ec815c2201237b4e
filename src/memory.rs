//! Checks for available memory before large allocations, since an allocation that fails would end the process.

use std::fs;

use crate::{Error, Result};

/// Checks that the `bytes` needed for `what` are available.
///
/// # Errors
/// Returns an error with the memory needed, the memory available and the `remedy`, if there is not enough.
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

/// Returns the number of bytes that can still be allocated: the smaller of what the system has left and what the
/// control group may still use. None if the system does not report it, as on systems other than Linux.
pub fn available() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_available(&text));
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    let group = group.map(|(most, used)| most.saturating_sub(used));
    system.into_iter().chain(group).min()
}

/// Returns the bytes of the line `MemAvailable: … kB`.
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
