//! Checks whether a matrix fits in memory before it is allocated, since a failed allocation would abort the process.

use crate::memory::{available, gibibytes};
use crate::{Error, Result};

/// Number of dense n×n f64 matrices alive at once: G, the copy that is decomposed, and either the eigenvectors or the
/// copy used for solving.
const MATRICES: f64 = 3.0;

/// Checks that three n×n matrices for `n` points and another `other` bytes fit in the free memory.
///
/// # Errors
/// Returns an error with the needed and the free memory if they do not fit.
pub fn require(n: usize, other: f64) -> Result<()> {
    let needed = 8.0 * MATRICES * (n as f64).powi(2) + other;
    match available() {
        Some(free) if needed > free as f64 => {
            // Most of the needed memory grows as n².
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
