//! A photograph: its image files, its camera, and further data that a format provides for it.

use crate::geometry::Camera;
use std::path::{Path, PathBuf};

/// A photograph: where its pixels are stored, and the camera that took it.
#[derive(Clone, Debug)]
pub struct View {
    /// Path of the image inside the scene without its extension, such as `train/r_0`; messages and results refer to
    /// views by this name.
    pub name: String,
    /// Files of the same photograph at one or more sizes, the largest first. Never empty.
    pub images: Vec<ImageFile>,
    /// Camera at the photograph's full size.
    pub camera: Camera,
    /// Nearest and farthest depth of anything seen, along the optical axis (of a panorama, along the ray) in scene
    /// units, if the format provides them.
    pub bounds: Option<[f32; 2]>,
    /// Which pixels of the photograph count, if not all.
    pub mask: Option<Mask>,
    /// Distance from the middle of the photograph, in pixels of its full size, beyond which pixels do not count
    /// (nerfstudio's `fisheye_crop_radius`).
    pub crop_radius: Option<f32>,
    /// Colours that stand for transparent pixels (instant-ngp's `white_transparent` and `black_transparent`).
    pub transparent: Vec<[u8; 3]>,
    /// Depths of the photograph's pixels, if known.
    pub depth: Option<DepthMap>,
}

/// Image file of a photograph at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Factor by which the photograph's full size is reduced.
    pub reduced: u32,
    /// Width in pixels when the scene was opened.
    pub width: u32,
    /// Height in pixels when the scene was opened.
    pub height: u32,
}

/// An image, grey or in colour, of the pixels of a photograph that count in training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Path of the image file.
    pub path: PathBuf,
    /// Whether pixels above 0 count, rather than those that are 0.
    pub white_counts: bool,
}

/// Depths along the optical axis (of a panorama, along each ray), as a 16-bit grey PNG or a NumPy array of floats,
/// `[h, w]`; 0 where the depth is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthMap {
    /// Path of the depth file.
    pub path: PathBuf,
    /// Size of one unit of the stored values, in scene units.
    pub unit: f32,
}

impl View {
    /// Creates a view with an image file of the camera's size.
    pub fn new(name: impl Into<String>, image_path: impl Into<PathBuf>, camera: Camera) -> Self {
        let (width, height) = (camera.intrinsics.width, camera.intrinsics.height);
        let images = vec![ImageFile { path: image_path.into(), reduced: 1, width, height }];
        View {
            name: name.into(),
            images,
            camera,
            bounds: None,
            mask: None,
            crop_radius: None,
            transparent: Vec::new(),
            depth: None,
        }
    }

    /// Returns whether some pixels may not count.
    pub fn is_masked(&self) -> bool {
        self.mask.is_some() || self.crop_radius.is_some()
    }

    /// Returns whether the camera has a viewing axis, as all but panoramas have.
    pub(super) fn has_axis(&self) -> bool {
        !self.camera.intrinsics.lens.is_panorama()
    }

    /// Returns the path of the photograph's largest file.
    pub fn image_path(&self) -> &Path {
        &self.images[0].path
    }

    /// Returns the camera of the image that [`View::load`] returns.
    pub fn camera_at(&self, downscale: u32) -> Camera {
        match self.source(downscale) {
            Some(file) => {
                let Camera { intrinsics: full, .. } = self.camera;
                let same = (file.width, file.height) == (full.width, full.height);
                let camera = if same { self.camera } else { self.camera.scaled(file.width, file.height) };
                camera.downscaled(downscale / file.reduced)
            }
            None => self.camera.downscaled(downscale),
        }
    }

    /// Returns the file to use for images reduced by `downscale`: the smallest suitable one.
    pub(super) fn source(&self, downscale: u32) -> Option<&ImageFile> {
        let fits = |file: &&ImageFile| downscale >= file.reduced && downscale.is_multiple_of(file.reduced);
        self.images.iter().rev().find(fits)
    }
}
