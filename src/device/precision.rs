//! Precision of the products of networks.

use serde::{Deserialize, Serialize};

/// Precision of the products of networks with up to 128 neurons per layer, in training on a CPU. Weights, sums and the
/// optimizer are in fp32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Factors in fp32.
    Fp32,
    /// Factors rounded to bf16, for CPUs with AVX512-BF16; on the matrix units (AMX-BF16) of those that have them.
    Bf16,
    /// bf16 where the CPU has it, otherwise fp32.
    Auto,
}
