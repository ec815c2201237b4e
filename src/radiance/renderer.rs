//! Rendering: one ray per pixel, through a field that no longer changes.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::chunk::{Chunk, ChunkSize};
use super::occupancy::Occupancy;
use super::training_images::device_camera;
use super::volume_renderer::{March, VolumeRenderer};
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::decoder::Head;
use crate::device::args::{CameraRaysArgs, OccupancyRaysArgs, RayDistanceArgs, SpaceMap};
use crate::device::{Device, Interrupt, LaunchDims, kernels};
use crate::field::{Field, WorkerScratch};
use crate::geometry::{Bounds, Camera, Space, UnitCube};
use crate::render::{Channel, Frame, Layer, Render, RenderOptions};
use crate::{Error, Result};

/// Renders a trained field from any camera.
pub struct Renderer {
    pub(super) device: Device,
    pub(super) field: Field,
    pub(super) occupancy: Occupancy,
    pub(super) march: March,
    pub(super) unit_cube: UnitCube,
    pub(super) space: Space,
    pub(super) size: ChunkSize,
    /// One per worker; the locks are never contended.
    pub(super) chunks: Vec<Mutex<(Chunk, WorkerScratch)>>,
    /// Name of the field in messages: the file of its checkpoint.
    pub(super) name: PathBuf,
    pub(super) interrupt: Interrupt,
}

/// Consecutive pixels in row order, as far as they have been traced.
#[derive(Default)]
struct Strip {
    first: usize,
    /// Colour without the background, `[n, 3]`.
    color: Vec<f32>,
    /// Distance from the camera in units of the unit cube, `[n]`.
    depth: Vec<f32>,
    transmittance: Vec<f32>,
}

/// Value of `t` that marks rays dropped because their samples did not fit.
const DROPPED: f32 = -2.0;

impl Renderer {
    /// The channels of which pictures can be made.
    pub const CHANNELS: &'static [Channel] =
        &[Channel::Rgb, Channel::Depth, Channel::Opacity, Channel::Normal, Channel::Occupancy];

    /// Creates a renderer that owns `field`; the compute copy of its weights must be up to date.
    pub(super) fn new(
        device: &Device,
        config: &Config,
        unit_cube: UnitCube,
        space: &Space,
        field: Field,
        occupancy: Occupancy,
        name: &Path,
    ) -> Result<Self> {
        let size = ChunkSize::for_rendering(device, config.march.max_samples_per_ray as usize);
        let workers = WorkerScratch::all(device, size.samples, &field, false)?.into_iter();
        let chunks =
            workers.map(|scratch| Ok(Mutex::new((Chunk::new(device, size)?, scratch)))).collect::<Result<_>>()?;
        let march = March::new(&config.march).through(space, &unit_cube);
        let (device, name, space) = (device.clone(), name.to_path_buf(), *space);
        let interrupt = Interrupt::default();
        Ok(Renderer { device, field, occupancy, march, unit_cube, space, size, chunks, name, interrupt })
    }

    /// Creates a renderer of a checkpoint's field.
    ///
    /// # Errors
    /// Returns an error if the checkpoint lacks a tensor, or holds one whose shape does not match its configuration.
    pub fn from_checkpoint(device: &Device, checkpoint: &Checkpoint) -> Result<Self> {
        let config = &checkpoint.header.config;
        let field = Field::from_checkpoint(device, checkpoint, Head::Radiance)?;
        let occupancy = Occupancy::from_checkpoint(device, checkpoint)?;
        let (unit_cube, space) = (checkpoint.header.unit_cube, &checkpoint.header.space);
        Renderer::new(device, config, unit_cube, space, field, occupancy, checkpoint.path())
    }

    /// Returns the request that ends, with [`Error::Interrupted`], what this renderer computes.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Renders what the camera sees over `background` (sRGB, 0 to 1).
    ///
    /// # Errors
    /// Returns an error if the device fails, if a pixel is not finite (as happens after training has diverged), or if
    /// the camera is a panorama and the field uses normalized device coordinates.
    pub fn render(&self, camera: &Camera, background: [f32; 3]) -> Result<Frame> {
        self.render_layer(camera, &RenderOptions::field(background))
    }

    fn render_layer(&self, camera: &Camera, options: &RenderOptions) -> Result<Frame> {
        if camera.intrinsics.lens.is_panorama() && self.march.space.map == SpaceMap::Ndc as u32 {
            return Err(Error::config(
                "the field is of a forward-facing scene (march.space is ndc) and has nothing beside or behind its \
                 cameras that a panorama could show; render with --camera perspective",
            ));
        }
        let (width, height) = (camera.intrinsics.width as usize, camera.intrinsics.height as usize);
        let mut strips: Vec<Strip> =
            (0..width * height).step_by(self.size.rays).map(|first| Strip { first, ..Strip::default() }).collect();
        self.device.for_each_chunk(&mut strips, |worker, _, strip| {
            self.interrupt.check()?;
            let mut own = self.chunks[worker].lock().unwrap_or_else(PoisonError::into_inner);
            let (chunk, scratch) = &mut *own;
            let end = width * height;
            self.trace(chunk, scratch, camera, options, strip.first..end.min(strip.first + self.size.rays), strip)
        })?;
        let frame = self.frame(width, height, options.background, &strips);
        if frame.rgb.iter().chain(&frame.opacity).all(|value| value.is_finite()) {
            return Ok(frame);
        }
        let what = "the field gives pixels that are not finite, so that its training diverged or its numbers are \
                    damaged; use an earlier checkpoint, or train again with a lower optimizer.learning_rate";
        Err(Error::file(&self.name, what))
    }

    pub(super) fn volume(&self) -> VolumeRenderer<'_> {
        VolumeRenderer::new(&self.device, &self.field, &self.occupancy, &self.march)
    }

    /// Traces `pixels` and appends them to `strip`: all at once, or in two halves if the chunk has no capacity for all
    /// their samples.
    fn trace(
        &self,
        chunk: &mut Chunk,
        scratch: &WorkerScratch,
        camera: &Camera,
        options: &RenderOptions,
        pixels: Range<usize>,
        strip: &mut Strip,
    ) -> Result<()> {
        chunk.n_rays = pixels.len();
        let crop = options.crop.unwrap_or(Bounds::UNIT);
        let crop = Bounds { low: self.unit_cube.to_unit(crop.low), high: self.unit_cube.to_unit(crop.high) };
        let args = CameraRaysArgs {
            rays: chunk.ray_args(),
            samples_count: chunk.samples.count.ptr(),
            camera: device_camera(camera, &self.unit_cube, 0),
            first_pixel: pixels.start as u32,
            background: options.background,
            box_min: self.march.box_min,
            box_max: self.march.box_max,
            space: self.march.space,
            near: self.march.near,
            crop_min: crop.low,
            crop_max: crop.high,
            is_cropped: options.crop.is_some().into(),
        };
        self.device.launch_chunk(&kernels::CAMERA_RAYS, &args, LaunchDims::items(chunk.n_rays))?;
        match options.layer {
            Layer::Field => drop(self.volume().forward(chunk, scratch)?),
            Layer::Occupancy => self.meet_cells(chunk, camera)?,
            Layer::Original | Layer::Error => {
                return Err(Error::config(
                    "a radiance field was not fitted to a single image, so it has no original and no error to show",
                ));
            }
        }
        if pixels.len() > 1 && chunk.rays.t.download()?[..pixels.len()].contains(&DROPPED) {
            let middle = pixels.start + pixels.len() / 2;
            self.trace(chunk, scratch, camera, options, pixels.start..middle, strip)?;
            return self.trace(chunk, scratch, camera, options, middle..pixels.end, strip);
        }
        let position = self.unit_cube.to_unit(camera.position());
        let args = RayDistanceArgs { rays: chunk.ray_args(), position, space: self.march.space };
        self.device.launch_chunk(&kernels::RAY_DISTANCES, &args, LaunchDims::items(chunk.n_rays))?;
        strip.extend(chunk)
    }

    /// Sets the colours and depths of the chunk's rays to those of the occupied cells that they meet.
    fn meet_cells(&self, chunk: &Chunk, camera: &Camera) -> Result<()> {
        let volume = self.volume();
        let args = OccupancyRaysArgs {
            march: volume.march_args(chunk, 0, 0),
            value: self.occupancy.value.ptr(),
            pixel: 1.0 / camera.intrinsics.fl_y,
        };
        self.device.launch_chunk(&kernels::OCCUPANCY_RAYS, &args, LaunchDims::items(chunk.n_rays))
    }

    fn frame(&self, width: usize, height: usize, background: [f32; 3], strips: &[Strip]) -> Frame {
        let n = width * height;
        let mut frame = Frame { width, height, rgb: vec![0.0; 3 * n], depth: vec![0.0; n], opacity: vec![0.0; n] };
        for strip in strips {
            for (ray, &transmittance) in strip.transmittance.iter().enumerate() {
                let pixel = strip.first + ray;
                for (c, behind) in background.iter().enumerate() {
                    let color = strip.color[3 * ray + c] + transmittance * behind;
                    frame.rgb[3 * pixel + c] = color.clamp(0.0, 1.0);
                }
                frame.opacity[pixel] = 1.0 - transmittance;
                frame.depth[pixel] = strip.depth[ray] / self.unit_cube.scale;
            }
        }
        frame
    }
}

impl Render for Renderer {
    fn render(&self, camera: &Camera, options: &RenderOptions) -> Result<Frame> {
        self.render_layer(camera, options)
    }

    fn channels(&self) -> &'static [Channel] {
        Renderer::CHANNELS
    }

    fn extent(&self) -> Result<Option<Bounds>> {
        self.occupied_extent()
    }
}

impl Strip {
    /// Appends the colour, depth and transmittance of the chunk's rays.
    fn extend(&mut self, chunk: &Chunk) -> Result<()> {
        let (rays, n) = (&chunk.rays, chunk.n_rays);
        let color = rays.color.download()?;
        self.color.extend((0..n).flat_map(|ray| [0, 1, 2].map(|c| color[c * rays.capacity + ray])));
        self.depth.extend_from_slice(&rays.depth.download()?[..n]);
        self.transmittance.extend_from_slice(&rays.transmittance.download()?[..n]);
        Ok(())
    }
}
