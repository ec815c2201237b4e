//! Rendering: one ray for each pixel, through a field that no longer changes.

use std::sync::{Mutex, PoisonError};

use super::chunk::{Chunk, ChunkSize};
use super::field::Field;
use super::frame::Frame;
use super::occupancy::Occupancy;
use super::photographs::device_camera;
use super::trace::{March, Tracer};
use crate::Result;
use crate::config::Config;
use crate::device::args::CameraRaysArgs;
use crate::device::{Device, Grid, Ptr, kernels};
use crate::scene::{Camera, UnitCube};
use crate::train::Checkpoint;

/// Draws what cameras see.
pub struct Renderer {
    device: Device,
    field: Field,
    occupancy: Occupancy,
    march: March,
    unit_cube: UnitCube,
    size: ChunkSize,
    /// One for each lane; the locks are never waited for.
    chunks: Vec<Mutex<Chunk>>,
}

/// A run of pixels, in row order.
struct Strip {
    first: usize,
    color: Vec<f32>,
    depth: Vec<f32>,
    transmittance: Vec<f32>,
}

impl Renderer {
    /// Takes over a field; its weights' copy must be up to date.
    pub(super) fn new(
        device: &Device,
        config: &Config,
        unit_cube: UnitCube,
        field: Field,
        occupancy: Occupancy,
    ) -> Result<Self> {
        let size = ChunkSize::for_rendering(device, config.march.max_samples_per_ray as usize);
        let chunks = (0..device.lanes()).map(|_| Ok(Mutex::new(Chunk::new(device, size)?))).collect::<Result<_>>()?;
        let march = March::new(device, &config.march);
        Ok(Renderer { device: device.clone(), field, occupancy, march, unit_cube, size, chunks })
    }

    /// # Errors
    /// Where the checkpoint lacks a tensor, or holds one of another shape than its configuration asks for.
    pub fn from_checkpoint(device: &Device, checkpoint: &Checkpoint) -> Result<Self> {
        let config = &checkpoint.header.config;
        let field = Field::from_checkpoint(device, checkpoint)?;
        let occupancy = Occupancy::from_checkpoint(device, checkpoint)?;
        let unit_cube = checkpoint.header.unit_cube;
        Renderer::new(device, config, unit_cube, field, occupancy)
    }

    /// What the camera sees before a background (sRGB, 0 to 1).
    pub fn render(&self, camera: &Camera, background: [f32; 3]) -> Result<Frame> {
        let (width, height) = (camera.intrinsics.width as usize, camera.intrinsics.height as usize);
        let mut strips: Vec<Strip> = (0..width * height)
            .step_by(self.size.rays)
            .map(|first| Strip { first, color: vec![], depth: vec![], transmittance: vec![] })
            .collect();
        self.device.for_each_chunk(&mut strips, |lane, _, strip| {
            let mut chunk = self.chunks[lane].lock().unwrap_or_else(PoisonError::into_inner);
            chunk.n_rays = self.size.rays.min(width * height - strip.first);
            self.render_strip(&chunk, camera, background, strip)
        })?;
        Ok(self.frame(width, height, background, &strips))
    }

    fn render_strip(&self, chunk: &Chunk, camera: &Camera, background: [f32; 3], strip: &mut Strip) -> Result<()> {
        let tracer =
            Tracer { device: &self.device, field: &self.field, occupancy: &self.occupancy, march: &self.march };
        let args = CameraRaysArgs {
            rays: chunk.ray_args(),
            samples_count: chunk.samples.count.ptr(),
            camera: device_camera(camera, &self.unit_cube, 0),
            first_pixel: strip.first as u32,
            background,
            box_min: self.march.box_min,
            box_max: self.march.box_max,
        };
        self.device.launch_chunk(&kernels::CAMERA_RAYS, &args, Grid::items(chunk.n_rays))?;
        tracer.forward(chunk, Ptr::NULL)?;
        strip.color = chunk.rays.color.download()?;
        strip.depth = chunk.rays.depth.download()?;
        strip.transmittance = chunk.rays.transmittance.download()?;
        Ok(())
    }

    fn frame(&self, width: usize, height: usize, background: [f32; 3], strips: &[Strip]) -> Frame {
        let n = width * height;
        let mut frame = Frame { width, height, rgb: vec![0.0; 3 * n], depth: vec![0.0; n], opacity: vec![0.0; n] };
        let capacity = self.size.rays;
        for strip in strips {
            for ray in 0..capacity.min(n - strip.first) {
                let pixel = strip.first + ray;
                let transmittance = strip.transmittance[ray];
                for (c, behind) in background.iter().enumerate() {
                    let color = strip.color[c * capacity + ray] + transmittance * behind;
                    frame.rgb[3 * pixel + c] = color.clamp(0.0, 1.0);
                }
                let opacity = 1.0 - transmittance;
                frame.opacity[pixel] = opacity;
                let distance = if opacity > 0.0 { strip.depth[ray] / opacity } else { 0.0 };
                frame.depth[pixel] = distance / self.unit_cube.scale;
            }
        }
        frame
    }
}
