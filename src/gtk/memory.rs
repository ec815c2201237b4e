//! Whether a matrix fits the memory, asked before it is made: an allocation that fails would end the process.

use crate::memory::{available, gibibytes};
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_for_no_machine_is_refused_and_a_small_one_is_not() {
        if available().is_some() {
            let error = require(100_000_000, 0.0).unwrap_err().to_string();
            assert!(error.starts_with("100000000 points would need 223517418 GiB"), "{error}");
        }
        require(64, 0.0).unwrap();
    }
}
