//! A photograph: its image files, its camera, and further data that a format provides for it.

use super::{Image8, load};
use crate::Result;
use crate::geometry::Camera;
use std::path::{Path, PathBuf};

/// Reductions for which a folder is looked for next to a folder of images: `images_2` and so on.
const REDUCTIONS: [u32; 3] = [2, 4, 8];

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
    /// Nearest and farthest depth of anything seen, along the optical axis in scene units, if the format provides them.
    pub bounds: Option<[f32; 2]>,
    /// Which pixels of the photograph count, if not all.
    pub mask: Option<Mask>,
    pub depth: Option<DepthMap>,
}

/// Image file of a photograph at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    pub path: PathBuf,
    /// Factor by which the photograph's full size is reduced.
    pub reduced: u32,
    /// Width and height in pixels when the scene was opened.
    pub width: u32,
    pub height: u32,
}

/// An image, grey or in colour, of the pixels of a photograph that count in training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    pub path: PathBuf,
    /// Whether pixels above 0 count, rather than those that are 0.
    pub white_counts: bool,
}

/// Depths along the optical axis, as a 16-bit grey PNG or a NumPy array of floats, `[h, w]`; 0 where the depth is
/// unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthMap {
    pub path: PathBuf,
    /// Size of one unit of the stored values, in scene units.
    pub unit: f32,
}

impl View {
    /// Creates a view with an image file of the camera's size.
    pub fn new(name: impl Into<String>, image_path: impl Into<PathBuf>, camera: Camera) -> Self {
        let (width, height) = (camera.intrinsics.width, camera.intrinsics.height);
        let images = vec![ImageFile { path: image_path.into(), reduced: 1, width, height }];
        View { name: name.into(), images, camera, bounds: None, mask: None, depth: None }
    }

    /// Returns the path of the photograph's largest file.
    pub fn image_path(&self) -> &Path {
        &self.images[0].path
    }

    /// Decodes the image, reduced by `downscale` in width and height. It is read from a file that is already reduced by
    /// this factor, or else reduced by area averaging from the smallest file that leaves an integer factor.
    /// [`View::camera_at`] with the same number is the camera of the result.
    ///
    /// Fails when the file is missing, truncated, not a PNG or JPEG, smaller than `downscale`, or not of the size it
    /// had when the scene was opened, and when the scene has the photograph only at smaller sizes.
    pub fn load(&self, downscale: u32) -> Result<Image8> {
        load::load_view(self, downscale)
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

    /// Returns whether each pixel of the image that [`View::load`] returns counts, row by row, if the view has a mask.
    /// A reduced pixel counts if all pixels that it covers count.
    ///
    /// Fails when the mask cannot be read or has another aspect ratio.
    pub fn load_mask(&self, downscale: u32) -> Result<Option<Vec<bool>>> {
        self.mask.as_ref().map(|mask| load::load_mask(self, mask, downscale)).transpose()
    }

    /// Returns the depth map for the pixels of the image that [`View::load`] returns, `[h, w]`, in scene units along
    /// the optical axis, 0 where the depth is unknown, if the view has one. Depths are sampled, not averaged.
    ///
    /// Fails when the map cannot be read or has another aspect ratio.
    pub fn load_depth(&self, downscale: u32) -> Result<Option<Vec<f32>>> {
        self.depth.as_ref().map(|depth| load::load_depth(self, depth, downscale)).transpose()
    }

    /// Returns the file to use for images reduced by `downscale`: the smallest suitable one.
    pub(super) fn source(&self, downscale: u32) -> Option<&ImageFile> {
        let fits = |file: &&ImageFile| downscale >= file.reduced && downscale.is_multiple_of(file.reduced);
        self.images.iter().rev().find(fits)
    }
}

/// Returns the photograph at `full`, if it exists, and its reduced copies in sibling folders: for `images/a.jpg`, those
/// in `images_2/a.jpg`, `images_4`, `images_8`, with any extension.
///
/// # Errors
/// Returns an error if a file is not a valid image.
pub(super) fn image_files(full: &Path, view: &str) -> Result<Vec<ImageFile>> {
    let itself = full.is_file().then(|| (full.to_path_buf(), 1));
    let copies = REDUCTIONS.iter().filter_map(|&reduced| Some((reduced_copy(full, reduced)?, reduced)));
    itself.into_iter().chain(copies).map(|(path, reduced)| ImageFile::open(path, reduced, view)).collect()
}

impl ImageFile {
    /// Opens an image file, with the size in its header.
    pub(super) fn open(path: PathBuf, reduced: u32, view: &str) -> Result<Self> {
        let (width, height) = load::image_size(&path, view)?;
        Ok(ImageFile { path, reduced, width, height })
    }
}

/// Returns the reduced copy of an image, if it exists. The folder of images is the nearest ancestor called `images`, or
/// else the image's own folder.
fn reduced_copy(image: &Path, reduced: u32) -> Option<PathBuf> {
    let folder = image.ancestors().skip(1).find(|folder| folder.file_name().is_some_and(|name| name == "images"));
    let folder = folder.or_else(|| image.parent())?;
    let beside = folder.with_file_name(format!("{}_{reduced}", folder.file_name()?.to_str()?));
    let same = beside.join(image.strip_prefix(folder).ok()?);
    let others = ["png", "jpg", "jpeg", "JPG", "PNG"].map(|extension| same.with_extension(extension));
    std::iter::once(same).chain(others).find(|path| path.is_file())
}
