//! Cameras that are learned with the field: each training camera's rotation about its place, and a move.

use super::chunk::TrainingChunk;
use super::per_photograph::PerPhotograph;
use super::trace::Tracer;
use crate::Result;
use crate::device::args::{self, CameraGradientArgs, CorrectCamerasArgs, PositionGradientArgs};
use crate::device::{Buffer, Device, Grid, kernels};

pub(super) struct Refinement {
    /// Corrections and what Adam keeps of them.
    pub corrections: PerPhotograph,
    /// The cameras with their corrections, from which rays are drawn.
    pub cameras: Buffer<args::Camera>,
}

impl Refinement {
    /// Cameras as the scene has them.
    pub fn new(device: &Device, cameras: &Buffer<args::Camera>, n_chunks: usize) -> Result<Self> {
        let corrections = PerPhotograph::new(device, cameras.len(), n_chunks)?;
        Ok(Refinement { corrections, cameras: device.upload(&cameras.download()?)? })
    }

    /// Brings the corrected cameras up to date; `given` are those of the scene.
    pub fn prepare(&self, device: &Device, given: &Buffer<args::Camera>) -> Result<()> {
        self.corrections.prepare(device)?;
        let args = CorrectCamerasArgs {
            cameras: given.ptr(),
            correction: self.corrections.centred.ptr(),
            corrected: self.cameras.ptr(),
        };
        device.launch(&kernels::CORRECT_CAMERAS, &args, Grid::items(given.len()))
    }

    /// Adds the gradient of chunk number `index` by the corrections, after [`Tracer::backward`].
    pub fn add_gradient(&self, tracer: &Tracer, training: &TrainingChunk, index: usize) -> Result<()> {
        let (chunk, device) = (&training.chunk, tracer.device);
        if training.rounds == 0 {
            return Ok(());
        }
        let args = PositionGradientArgs {
            grid: tracer.field.grid.layout(),
            samples: chunk.samples.args(),
            table: tracer.field.table_ptr(),
            dl_dfeatures: training.dl_dfeatures.ptr(),
            dl_dposition: training.dl_dposition.ptr(),
            round: training.rounds as u32 - 1,
        };
        let known = device.peek(&chunk.samples.count, training.rounds);
        let n = known.map_or(chunk.samples.capacity, |count| count as usize);
        device.launch_chunk(&kernels::POSITION_GRADIENT, &args, Grid::items(n))?;
        let args = CameraGradientArgs {
            rays: chunk.ray_args(),
            samples: chunk.samples.args(),
            cameras: self.cameras.ptr(),
            correction: self.corrections.centred.ptr(),
            dl_dposition: training.dl_dposition.ptr(),
            dl_dview: training.dl_dview.ptr(),
            dl_dcorrection: self.corrections.gradients_of(index),
            space: tracer.march.space,
            cascades: tracer.occupancy.cascades,
            rounds: training.rounds as u32,
        };
        device.launch_chunk(&kernels::CAMERA_GRADIENT, &args, Grid::items(chunk.n_rays))
    }
}
