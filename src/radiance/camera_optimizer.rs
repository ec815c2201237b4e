//! Optimizes the training cameras along with the field: each gets a learned rotation about its position and a
//! translation.

use super::chunk::TrainingChunk;
use super::per_image::PerImage;
use super::volume_renderer::VolumeRenderer;
use crate::Result;
use crate::device::args::{self, CameraGradientArgs, CorrectCamerasArgs, PositionGradientArgs};
use crate::device::{Buffer, Device, LaunchDims, kernels};

pub(super) struct CameraOptimizer {
    /// Per-camera corrections and their Adam state.
    pub corrections: PerImage,
    /// Corrected cameras, from which rays are drawn.
    pub cameras: Buffer<args::Camera>,
}

impl CameraOptimizer {
    /// Starts with zero corrections, i.e. with the scene's cameras.
    pub fn new(device: &Device, cameras: &Buffer<args::Camera>, n_chunks: usize) -> Result<Self> {
        let corrections = PerImage::new(device, cameras.len(), n_chunks)?;
        Ok(CameraOptimizer { corrections, cameras: device.upload(&cameras.download()?)? })
    }

    /// Updates the corrected cameras. `given` holds the scene's cameras.
    pub fn prepare(&self, device: &Device, given: &Buffer<args::Camera>) -> Result<()> {
        self.corrections.prepare(device)?;
        let args = CorrectCamerasArgs {
            cameras: given.ptr(),
            correction: self.corrections.centred.ptr(),
            corrected: self.cameras.ptr(),
        };
        device.launch(&kernels::CORRECT_CAMERAS, &args, LaunchDims::items(given.len()))
    }

    /// Adds the gradient of chunk `index` with respect to the corrections. Must be called after
    /// [`VolumeRenderer::backward`].
    pub fn add_gradient(&self, volume: &VolumeRenderer, training: &TrainingChunk, index: usize) -> Result<()> {
        let (chunk, device) = (&training.chunk, volume.device);
        if training.rounds == 0 {
            return Ok(());
        }
        let args = PositionGradientArgs {
            grid: volume.field.grid.layout(),
            samples: chunk.samples.args(),
            table: volume.field.table_ptr(),
            dl_dfeatures: training.dl_dfeatures.ptr(),
            dl_dposition: training.dl_dposition.ptr(),
            round: training.rounds as u32 - 1,
        };
        let known = device.peek(&chunk.samples.count, training.rounds);
        let n = known.map_or(chunk.samples.capacity, |count| count as usize);
        device.launch_chunk(&kernels::POSITION_GRADIENT, &args, LaunchDims::items(n))?;
        let args = CameraGradientArgs {
            rays: chunk.ray_args(),
            samples: chunk.samples.args(),
            cameras: self.cameras.ptr(),
            correction: self.corrections.centred.ptr(),
            dl_dposition: training.dl_dposition.ptr(),
            dl_dview: training.dl_dview.ptr(),
            dl_dcorrection: self.corrections.gradients_of(index),
            space: volume.march.space,
            cascades: volume.occupancy.cascades,
            rounds: training.rounds as u32,
        };
        device.launch_chunk(&kernels::CAMERA_GRADIENT, &args, LaunchDims::items(chunk.n_rays))
    }
}
