//! Radiance fields: a grid and two networks that give density and colour along rays, and their training and rendering.

mod camera_optimizer;
mod chunk;
mod dataset;
pub mod evaluate;
mod finite_check;
mod occupancy;
mod occupancy_update;
mod per_image;
mod protocol;
mod query;
mod renderer;
mod report;
mod space;
mod surface;
mod trainer;
mod training_images;
mod volume_renderer;
mod voxels;

pub use dataset::{open_for_training, open_scene, plain_background, preset_for, reopen_scene, scene_without_views};
pub use protocol::Protocol;
pub use renderer::Renderer;
pub use report::{Report, Terms};
pub use surface::SURFACE_DENSITY;
pub use trainer::{Statistics, Trainer};
pub use training_images::TrainingImages;
pub use voxels::{Volume, VolumeFormat};

internal_use!(chunk::{Chunk, ChunkSize, Rays, Samples, TrainingChunk});
internal_use!(occupancy::Occupancy);
internal_use!(training_images::device_camera);
internal_use!(volume_renderer::{Gradients, Loss, March, VolumeRenderer});
