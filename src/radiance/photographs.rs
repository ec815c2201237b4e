//! Training photographs on the device: 8-bit pixels as they were, and the cameras in unit-cube coordinates.

use crate::Result;
use crate::device::{Buffer, Device, args};
use crate::scene::{self, Lens, UnitCube, View, load_images};

/// Images decoded at a time, before they go to the device: what is held twice.
const BATCH: usize = 16;

pub struct Photographs {
    /// RGBA, sRGB with straight alpha, image after image.
    pub pixels: Buffer<u8>,
    pub cameras: Buffer<args::Camera>,
}

impl Photographs {
    /// `progress(done, total)` is called after each image.
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
        Ok(Photographs { pixels, cameras: device.upload(&cameras)? })
    }
}

/// A camera in unit-cube coordinates. Directions are normalised by the kernels, so that the scale does not matter to them.
pub fn device_camera(camera: &scene::Camera, unit_cube: &UnitCube, first_pixel: u64) -> args::Camera {
    let mut pose = [0.0; 12];
    let position = unit_cube.to_unit(camera.position());
    for row in 0..3 {
        pose[4 * row..4 * row + 3].copy_from_slice(&camera.camera_to_world[row][..3]);
        pose[4 * row + 3] = position[row];
    }
    let intrinsics = &camera.intrinsics;
    let (lens, radial, tangential) = match intrinsics.lens {
        Lens::Perspective => (args::LENS_PERSPECTIVE, [0.0; 4], [0.0; 2]),
        Lens::OpenCv { k, p } => (args::LENS_OPENCV, k, p),
        Lens::Fisheye { k } => (args::LENS_FISHEYE, k, [0.0; 2]),
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
        lens,
        lens_limit: intrinsics.lens.limit() as f32,
        radial,
        tangential,
    }
}
