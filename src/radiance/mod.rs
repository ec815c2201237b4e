//! Radiance fields: a grid and two networks that give density and colour along rays; their training and rendering.

pub mod chunk;
pub mod evaluate;
pub mod film;
mod frame;
mod neurons;
mod occupancy;
mod per_photograph;
mod photographs;
mod place;
mod probe;
mod protocol;
mod refinement;
mod renderer;
mod report;
mod run;
mod source;
mod space;
mod state;
mod surface;
mod trace;
mod trainer;

pub use chunk::{Chunk, ChunkSize, Rays, Samples, TrainingChunk};
pub use frame::Frame;
pub use occupancy::Occupancy;
pub use per_photograph::PHOTOGRAPH_NUMBERS;
pub use photographs::{Photographs, device_camera};
pub use protocol::Protocol;
pub use renderer::Renderer;
pub use report::{Report, Terms};
pub use source::{open_scene, plain_background, preset_for, reopen_scene, scene_without_views};
pub use surface::ColoredSurface;
pub use trace::{Gradients, Loss, March, Tracer};
pub use trainer::{Statistics, Trainer};
