//! Fields that are fitted to values at points: what images and signed distance fields share. A task says which points to
//! learn at and what is true there ([`Data`]); here are the chunks of samples, the step, checkpoints, and asking a finished
//! field.

mod chunk;
mod eikonal;
mod fitter;
mod predictor;
mod trainer;

pub use chunk::{FitChunk, FitSize};
pub use eikonal::Eikonal;
pub use fitter::Fitter;
pub use predictor::Predictor;
pub use trainer::{Data, FitLoss, FitTrainer};
