//! Radiance fields: a grid and two networks that give density and colour along rays; their training and rendering.

mod chunk;
mod field;
mod occupancy;
mod photographs;
mod trace;
mod trainer;

pub use chunk::{Chunk, ChunkSize, Rays, Samples};
pub use field::Field;
pub use occupancy::Occupancy;
pub use photographs::Photographs;
pub use trace::{March, Tracer};
pub use trainer::Trainer;
