//! The parameters of the kernel function at which a tangent kernel is taken: trained, random, or those that training
//! starts from.

use super::random::Random;
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::device::Device;
use crate::encoding::{Local, Mulfa, ParamBlock};

/// Stream of random numbers for the coefficients of the local kernel function, and how far they are from their initial
/// values.
const COEFFICIENTS: u64 = 1 << 18;
const COEFFICIENT_RANGE: f64 = 0.5;

/// How θ is chosen if there is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum ThetaChoice {
    /// All blocks random, including the output weights, as if training had already changed them
    Random,
    /// The values from which training starts
    Initial,
}

/// Reads θ from a checkpoint.
pub fn trained_theta(mulfa: &Mulfa, checkpoint: &Checkpoint) -> Result<Vec<f64>> {
    Ok(mulfa.theta_of(checkpoint)?.into_iter().map(f64::from).collect())
}

/// Reads the coefficients of the local kernel function from a checkpoint.
pub fn trained_coefficients(local: Local, checkpoint: &Checkpoint) -> Result<Vec<f64>> {
    let block = local.block(0);
    Ok(checkpoint.get::<f32>(&block.name, &block.shape)?.iter().map(|&value| f64::from(value)).collect())
}

/// Returns the coefficients of the local kernel function for analysis. `Random` moves each from its initial value by up
/// to ½.
pub fn coefficients_of(local: Local, choice: ThetaChoice, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed, COEFFICIENTS);
    let range = if choice == ThetaChoice::Random { COEFFICIENT_RANGE } else { 0.0 };
    local.initial().into_iter().map(|value| f64::from(value) + random.symmetric(range)).collect()
}

/// Returns θ for analysis. `Random` keeps what [`Mulfa::initial`] draws, but fills the blocks that start at zero or
/// with small values: the output weights according to Glorot and Bengio (2010), like the other weights, and inner
/// biases in ±0.5. The output bias is kept, so that no model is rescaled.
pub fn theta_of(mulfa: &Mulfa, device: &Device, choice: ThetaChoice, seed: u64) -> Result<Vec<f64>> {
    let mut theta: Vec<f64> = mulfa.initial(device, seed)?.download()?.into_iter().map(f64::from).collect();
    if choice == ThetaChoice::Initial {
        return Ok(theta);
    }
    let blocks = mulfa.blocks();
    for (number, own) in theta.chunks_exact_mut(mulfa.n_theta()).enumerate() {
        for (index, block) in blocks.iter().enumerate() {
            let Some(range) = random_range(block) else { continue };
            // Each block has its own random stream, so that w_out is the same for all variants.
            let mut random = Random::new(seed, (number * blocks.len() + index) as u64 + (1 << 16));
            own[block.range()].fill_with(|| random.symmetric(range));
        }
    }
    Ok(theta)
}

fn random_range(block: &ParamBlock) -> Option<f64> {
    match (block.name.as_str(), block.shape.as_slice()) {
        ("b_out", _) => None,
        ("w_out", &[n_out, n_in]) => Some((6.0 / (n_in + n_out) as f64).sqrt()),
        (name, _) if name.starts_with("b_") => Some(0.5),
        _ => None,
    }
}
