//! Radiance fields: a grid and two networks that give density and colour along rays; their training and rendering.

mod chunk;
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

pub use chunk::{Chunk, ChunkSize, Rays, Samples};
pub use field::Field;
pub use frame::Frame;
pub use occupancy::Occupancy;
pub use photographs::Photographs;
pub use renderer::Renderer;
pub use trace::{March, Tracer};
pub use trainer::{Statistics, Trainer};
