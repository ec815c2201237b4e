//! Radiance fields: a grid and two networks that give density and colour along rays; their training and rendering.

pub mod chunk;
pub mod evaluate;
mod field;
mod frame;
mod occupancy;
mod photographs;
mod renderer;
mod run;
mod state;
mod trace;
mod trainer;

pub use field::Field;
pub use frame::Frame;
pub use photographs::Photographs;
pub use renderer::Renderer;
pub use trainer::{Statistics, Trainer};
