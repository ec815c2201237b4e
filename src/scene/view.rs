//! One photograph: its image files, its camera, and what else a format says of it.

use super::{Camera, Image8, load};
use crate::Result;
use std::path::{Path, PathBuf};

/// Folders of reduced images that are looked for beside a folder of images: `images_2` and so on.
const REDUCTIONS: [u32; 3] = [2, 4, 8];

/// One photograph: where its pixels are and the camera that took it.
#[derive(Clone, Debug)]
pub struct View {
    /// The image's path inside the scene without its extension, such as `train/r_0`; messages and results name views
    /// by it.
    pub name: String,
    /// The same photograph at one or more sizes, the largest first. Never empty.
    pub images: Vec<ImageFile>,
    /// At the photograph's full size.
    pub camera: Camera,
    /// The nearest and the farthest that anything seen is, along the optical axis, in scene units, where the format
    /// tells.
    pub bounds: Option<[f32; 2]>,
    /// Where the photograph counts, if not everywhere.
    pub mask: Option<Mask>,
    pub depth: Option<DepthMap>,
}

/// A photograph's file at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    pub path: PathBuf,
    /// The full size is so many times as large.
    pub reduced: u32,
    /// In pixels, as they were when the scene was opened.
    pub width: u32,
    pub height: u32,
}

/// A picture, grey or of any colour, of a photograph's pixels that count in training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    pub path: PathBuf,
    /// Whether pixels above 0 count, or those that are 0.
    pub white_counts: bool,
}

/// Depths along the optical axis, as a 16-bit grey PNG or a NumPy array of floats, `[h, w]`; 0 where none is known.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthMap {
    pub path: PathBuf,
    /// Scene units of one step of the picture's numbers.
    pub unit: f32,
}

impl View {
    /// With an image of the camera's size.
    pub fn new(name: impl Into<String>, image_path: impl Into<PathBuf>, camera: Camera) -> Self {
        let (width, height) = (camera.intrinsics.width, camera.intrinsics.height);
        let images = vec![ImageFile { path: image_path.into(), reduced: 1, width, height }];
        View { name: name.into(), images, camera, bounds: None, mask: None, depth: None }
    }

    /// The largest file of the photograph.
    pub fn image_path(&self) -> &Path {
        &self.images[0].path
    }

    /// Decodes the image, reduced `downscale` times in width and height: from a file that is reduced so many times
    /// already, or from the most reduced one that leaves a whole factor, by area averaging. [`View::camera_at`] with the
    /// same number is the camera of the result.
    ///
    /// Fails when the file is missing, truncated, not a PNG or JPEG, smaller than `downscale`, or not of the size it
    /// had when the scene was opened; and when the scene has the photograph at smaller sizes alone.
    pub fn load(&self, downscale: u32) -> Result<Image8> {
        load::load_view(self, downscale)
    }

    /// The camera of the image that [`View::load`] gives.
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

    /// Whether each pixel of the image that [`View::load`] gives counts, row by row, where the view has a mask: a
    /// reduced pixel does where all that it covers do.
    ///
    /// Fails when the mask cannot be read or has another aspect ratio.
    pub fn load_mask(&self, downscale: u32) -> Result<Option<Vec<bool>>> {
        self.mask.as_ref().map(|mask| load::load_mask(self, mask, downscale)).transpose()
    }

    /// The depth map for the pixels of the image that [`View::load`] gives, `[h, w]`, in scene units along the optical
    /// axis, 0 where none is known, where the view has one. Depths are picked, not averaged.
    ///
    /// Fails when the map cannot be read.
    pub fn load_depth(&self, downscale: u32) -> Result<Option<Vec<f32>>> {
        self.depth.as_ref().map(|depth| load::load_depth(self, depth, downscale)).transpose()
    }

    /// The file to reduce for images `downscale` times smaller than the photograph: the smallest that will do.
    pub(super) fn source(&self, downscale: u32) -> Option<&ImageFile> {
        let fits = |file: &&ImageFile| downscale >= file.reduced && downscale.is_multiple_of(file.reduced);
        self.images.iter().rev().find(fits)
    }
}

/// The photograph at `full`, where it is there, and reduced copies of it in folders beside its own: of `images/a.jpg` in
/// `images_2/a.jpg`, `images_4`, `images_8`, with any extension.
///
/// # Errors
/// A copy that is no image.
pub(super) fn image_files(full: &Path, view: &str) -> Result<Vec<ImageFile>> {
    let itself = full.is_file().then(|| (full.to_path_buf(), 1));
    let copies = REDUCTIONS.iter().filter_map(|&reduced| Some((reduced_copy(full, reduced)?, reduced)));
    itself.into_iter().chain(copies).map(|(path, reduced)| ImageFile::open(path, reduced, view)).collect()
}

impl ImageFile {
    /// With the size that the file's header tells.
    pub(super) fn open(path: PathBuf, reduced: u32, view: &str) -> Result<Self> {
        let (width, height) = load::image_size(&path, view)?;
        Ok(ImageFile { path, reduced, width, height })
    }
}

/// The folder of images is the nearest above the image that is called so, or else its own.
fn reduced_copy(image: &Path, reduced: u32) -> Option<PathBuf> {
    let folder = image.ancestors().skip(1).find(|folder| folder.file_name().is_some_and(|name| name == "images"));
    let folder = folder.or_else(|| image.parent())?;
    let beside = folder.with_file_name(format!("{}_{reduced}", folder.file_name()?.to_str()?));
    let same = beside.join(image.strip_prefix(folder).ok()?);
    let others = ["png", "jpg", "jpeg", "JPG", "PNG"].map(|extension| same.with_extension(extension));
    std::iter::once(same).chain(others).find(|path| path.is_file())
}
