//! Fields that are fitted to values at points: the common part of images and signed distance fields. A task provides
//! the training points and their target values (`Data`); this module has the chunks of samples, the training step,
//! checkpoints, and the evaluation of trained fields.

mod chunk;
mod eikonal;
mod fitter;
mod predictor;
mod trainer;

pub use predictor::Predictor;
pub use trainer::FitTrainer;

internal_use!(chunk::{FitChunk, FitSize});
internal_use!(eikonal::Eikonal);
internal_use!(fitter::Fitter);
internal_use!(trainer::Data);
internal_use!(crate::device::args::FitLoss);
