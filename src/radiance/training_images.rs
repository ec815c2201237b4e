//! Training images on the device: unmodified 8-bit pixels, and the cameras in unit-cube coordinates.

use super::chunk::Chunk;
use super::volume_renderer::VolumeRenderer;
use crate::config::{Background, Config, TrainConfig};
use crate::device::args::{self, BackgroundMode, LensModel};
use crate::device::{Buffer, Device, LaunchDims, kernels};
use crate::geometry::{Camera, Lens, UnitCube};
use crate::ranks::Digest;
use crate::scene::{Scene, View, load_images};
use crate::{Error, Result};

/// Number of images decoded at a time before upload; only these are in memory twice.
const BATCH: usize = 16;

/// Training images, their cameras, depths and masks on a device.
pub struct TrainingImages {
    /// RGBA, sRGB with straight alpha, one image after the other.
    pub(super) pixels: Buffer<u8>,
    pub(super) cameras: Buffer<args::Camera>,
    /// Depth of each pixel along the optical axis, in unit-cube units, 0 where unknown; empty without depth maps.
    pub(super) depths: Buffer<f32>,
    /// Indices of the unmasked pixels, one image after the other; empty without masks.
    pub(super) drawn_pixels: Buffer<u32>,
    /// `[n + 1]` offsets of the images in `drawn_pixels`.
    pub(super) drawn_begin: Buffer<u32>,
}

impl TrainingImages {
    /// Loads the training images of a scene as a configuration asks for them. `progress` is as for
    /// [`TrainingImages::load`].
    ///
    /// # Errors
    /// Returns an error if an image, a mask or a depth map cannot be read, or if the device fails.
    pub fn of_scene(
        device: &Device,
        scene: &Scene,
        config: &Config,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self> {
        let mut views = scene.splits.train.clone();
        if config.train.depth_loss == 0.0 {
            // Depth maps that nothing uses may be missing or of another kind.
            views.iter_mut().for_each(|view| view.depth = None);
        }
        TrainingImages::load(device, &views, config.scene.downscale, &scene.unit_cube, progress)
    }

    /// Loads all images and uploads them. `progress(done, total)` is called after each image.
    pub fn load(
        device: &Device,
        views: &[View],
        downscale: u32,
        unit_cube: &UnitCube,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Self> {
        let mut cameras = Vec::with_capacity(views.len());
        let mut n_pixels = 0u64;
        for view in views {
            let camera = view.camera_at(downscale);
            cameras.push(device_camera(&camera, unit_cube, n_pixels));
            n_pixels += u64::from(camera.intrinsics.width) * u64::from(camera.intrinsics.height);
        }
        let mut pixels = device.zeros::<u8>(4 * n_pixels as usize)?;
        for (number, batch) in views.chunks(BATCH).enumerate() {
            let before = number * BATCH;
            let images = load_images(batch, downscale, &|done, _| progress(before + done, views.len()))?;
            for (camera, image) in cameras[before..].iter().zip(images) {
                assert_eq!((camera.width, camera.height), (image.width, image.height), "a view has its camera's size");
                pixels.upload(4 * camera.first_pixel as usize, &image.rgba)?;
            }
        }
        let (drawn_pixels, drawn_begin) = unmasked(device, views, downscale)?;
        let depths = depths(device, views, downscale, unit_cube, &cameras)?;
        Ok(TrainingImages { pixels, cameras: device.upload(&cameras)?, depths, drawn_pixels, drawn_begin })
    }

    /// Returns a hash of the pixels, cameras, depths and masks.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(super) fn digest(&self) -> Result<u64> {
        let mut digest = Digest::new();
        digest.add(&self.pixels.download()?);
        digest.add(&self.cameras.download()?);
        digest.add(&self.depths.download()?);
        digest.add(&self.drawn_pixels.download()?);
        digest.add(&self.drawn_begin.download()?);
        Ok(digest.value())
    }

    /// Draws the rays of a chunk: rays `first` and following of step `step` (counted from 0), from `cameras`, which are
    /// those of the training images or their corrected copies. The random choices depend only on the step, the number
    /// of the ray and the seed, so they are the same on every device and for any number of threads.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(super) fn draw(
        &self,
        volume: &VolumeRenderer,
        cameras: &Buffer<args::Camera>,
        train: &TrainConfig,
        chunk: &Chunk,
        first: usize,
        step: u64,
    ) -> Result<()> {
        let VolumeRenderer { device, march, .. } = volume;
        let args = args::DrawRaysArgs {
            rays: chunk.ray_args(),
            samples_count: chunk.samples.count.ptr(),
            cameras: cameras.ptr(),
            pixels: self.pixels.ptr(),
            n_cameras: self.cameras.len() as u32,
            seed: train.seed as u32,
            step: step as u32,
            first_ray: first as u32,
            background: match train.background {
                Background::Black => BackgroundMode::Black,
                Background::White => BackgroundMode::White,
                Background::Random => BackgroundMode::Random,
            } as u32,
            box_min: march.box_min,
            box_max: march.box_max,
            step_size: march.steps.size,
            space: march.space,
            near: march.near,
            depths: self.depths.ptr_or_null(),
            drawn_pixels: self.drawn_pixels.ptr_or_null(),
            drawn_begin: self.drawn_begin.ptr(),
        };
        device.launch_chunk(&kernels::DRAW_RAYS, &args, LaunchDims::items(chunk.n_rays))
    }
}

/// Returns the unmasked pixels and the offset of each image in them; both are empty without masks.
fn unmasked(device: &Device, views: &[View], downscale: u32) -> Result<(Buffer<u32>, Buffer<u32>)> {
    if !views.iter().any(View::is_masked) {
        return Ok((device.zeros(0)?, device.zeros(0)?));
    }
    let (mut pixels, mut begin) = (Vec::new(), vec![0]);
    for view in views {
        let size = view.camera_at(downscale).intrinsics;
        let before = pixels.len();
        match view.load_mask(downscale)? {
            Some(counts) => pixels.extend((0..counts.len() as u32).filter(|&pixel| counts[pixel as usize])),
            None => pixels.extend(0..size.width * size.height),
        }
        if pixels.len() == before {
            let what = format!("masks out all of {}; mark what counts in it, or remove the image", view.name);
            let path = view.mask.as_ref().map_or(view.image_path(), |mask| &mask.path);
            let circle = format!("has no pixel within the fisheye_crop_radius of {}; correct it", view.name);
            return Err(Error::file(path, if view.mask.is_some() { what } else { circle }));
        }
        begin.push(pixels.len() as u32);
    }
    Ok((device.upload(&pixels)?, device.upload(&begin)?))
}

/// Returns the depths of all pixels, in unit-cube units; empty without depth maps.
fn depths(
    device: &Device,
    views: &[View],
    downscale: u32,
    unit_cube: &UnitCube,
    cameras: &[args::Camera],
) -> Result<Buffer<f32>> {
    if views.iter().all(|view| view.depth.is_none()) {
        return device.zeros(0);
    }
    let n_pixels = cameras.last().map_or(0, |last| last.first_pixel + u64::from(last.width) * u64::from(last.height));
    let mut depths = device.zeros::<f32>(n_pixels as usize)?;
    for (view, camera) in views.iter().zip(cameras) {
        if let Some(mut known) = view.load_depth(downscale)? {
            known.iter_mut().for_each(|depth| *depth *= unit_cube.scale);
            depths.upload(camera.first_pixel as usize, &known)?;
        }
    }
    Ok(depths)
}

/// Converts a camera to unit-cube coordinates. The kernels normalize directions, so these need no scaling.
pub fn device_camera(camera: &Camera, unit_cube: &UnitCube, first_pixel: u64) -> args::Camera {
    let mut pose = [0.0; 12];
    let position = unit_cube.to_unit(camera.position());
    for row in 0..3 {
        pose[4 * row..4 * row + 3].copy_from_slice(&camera.camera_to_world[row][..3]);
        pose[4 * row + 3] = position[row];
    }
    let intrinsics = &camera.intrinsics;
    let (lens, radial, tangential, further) = match intrinsics.lens {
        Lens::Perspective => (LensModel::Perspective, [0.0; 4], [0.0; 2], [0.0; 2]),
        Lens::OpenCv { k, p } => (LensModel::Opencv, k, p, [0.0; 2]),
        Lens::Fisheye { k } => (LensModel::Fisheye, k, [0.0; 2], [0.0; 2]),
        Lens::FullOpenCv { k: [k1, k2, k3, k4, k5, k6], p } => (LensModel::FullOpencv, [k1, k2, k3, k4], p, [k5, k6]),
        Lens::ThinPrismFisheye { k, p, s } => (LensModel::ThinPrismFisheye, k, p, s),
        Lens::Equirectangular => (LensModel::Equirectangular, [0.0; 4], [0.0; 2], [0.0; 2]),
        Lens::EqualArea => (LensModel::EqualArea, [0.0; 4], [0.0; 2], [0.0; 2]),
    };
    args::Camera {
        camera_to_world: pose,
        fl_x: intrinsics.fl_x,
        fl_y: intrinsics.fl_y,
        cx: intrinsics.cx,
        cy: intrinsics.cy,
        width: intrinsics.width,
        height: intrinsics.height,
        first_pixel,
        lens: lens as u32,
        lens_limit: intrinsics.lens.limit() as f32,
        radial,
        tangential,
        further,
    }
}
