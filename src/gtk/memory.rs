//! Whether a matrix fits the memory, asked before it is made: an allocation that fails would end the process.

use std::fs;

use crate::{Error, Result};

/// Dense n×n matrices of f64 alive at once: G, the copy that is decomposed, and the eigenvectors or the copy that is solved.
const MATRICES: f64 = 3.0;

/// Refuses `n` points where three n×n matrices and `other` bytes would not fit what is free.
///
/// # Errors
/// A sentence with what it would need and what there is.
pub fn require(n: usize, other: f64) -> Result<()> {
    let needed = 8.0 * MATRICES * (n as f64).powi(2) + other;
    match available() {
        Some(free) if needed > free as f64 => {
            // Most of what is needed grows as n².
            let largest = n as f64 * (free as f64 / needed).sqrt();
            Err(Error::config(format!(
                "{n} points would need {} of memory (for matrices of {n} × {n} numbers and what goes with them), but \
                 {} are free; take at most about {:.0}",
                gibibytes(needed),
                gibibytes(free as f64),
                (largest / 100.0).floor() * 100.0
            )))
        }
        _ => Ok(()),
    }
}

fn gibibytes(bytes: f64) -> String {
    let size = bytes / f64::from(1 << 30);
    if size < 1000.0 { format!("{size:.1} GiB") } else { format!("{size:.0} GiB") }
}

/// Bytes that can still be had: the least of what the system has left and what the control group may still take. None where
/// the system does not say, as elsewhere than on Linux.
fn available() -> Option<u64> {
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
    fn a_matrix_for_no_machine_is_refused_and_a_small_one_is_not() {
        if available().is_some() {
            let error = require(100_000_000, 0.0).unwrap_err().to_string();
            assert!(error.starts_with("100000000 points would need 223517418 GiB"), "{error}");
        }
        require(64, 0.0).unwrap();
    }
}
