//! The camera path chosen by the user: generated around a scene, or read from a file.

use super::camera_path::CameraPath;
use super::options::{FrameCamera, PathOptions};
use super::{Order, PathTransforms};
use crate::geometry::Intrinsics;
use crate::scene::{Scene, View};
use crate::{Error, Result, names};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Number of training cameras that an interpolated path passes through.
const N_KEYS: usize = 12;

/// Source of a camera path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChoice {
    /// A circle around the scene.
    Orbit,
    /// A spiral in front of the scene.
    Spiral,
    /// Through training cameras.
    Interpolate,
    /// The test cameras, or the training cameras if there are none.
    Dataset,
    /// A camera-path file.
    File(PathBuf),
}

impl PathChoice {
    /// Builds the path around `scene`, with frames of size `width` and `height` if they are given. If only one is
    /// given, the aspect ratio is kept. If neither is given, frames have the size in the file or that of the scene's
    /// images reduced by `downscale`. Panoramas that `options.camera` asks for are twice as wide as high.
    ///
    /// # Errors
    /// Returns an error in the same cases as the functions of [`CameraPath`], for a length in seconds of the dataset
    /// path, for nerfstudio's transforms if the path is not a file, and for panoramas of another aspect ratio.
    pub fn build(
        &self,
        scene: &Scene,
        (width, height): (Option<u32>, Option<u32>),
        downscale: u32,
        options: PathOptions,
    ) -> Result<CameraPath> {
        if options.camera == Some(FrameCamera::Equirectangular) {
            return self.panoramas(scene, (width, height), downscale, &options);
        }
        let mut path = self.as_they_are(scene, (width, height), downscale, &options)?;
        if options.camera == Some(FrameCamera::Perspective) {
            path.frames.iter_mut().for_each(|camera| camera.intrinsics = camera.intrinsics.straightened());
        }
        Ok(path)
    }

    fn panoramas(
        &self,
        scene: &Scene,
        size: (Option<u32>, Option<u32>),
        downscale: u32,
        options: &PathOptions,
    ) -> Result<CameraPath> {
        let (width, height) = match size {
            (Some(width), Some(height)) if height.saturating_mul(2) != width => {
                return Err(Error::config(format!(
                    "a panorama is twice as wide as high, not {width}×{height}; leave --width or --height away"
                )));
            }
            (Some(width), _) if width % 2 == 1 => {
                return Err(Error::config(format!(
                    "a panorama is twice as wide as high, so its width is an even number of pixels, not {width}"
                )));
            }
            (Some(width), _) => (width, width / 2),
            (None, Some(height)) => (height.saturating_mul(2), height),
            (None, None) => {
                let usual = self.as_they_are(scene, size, downscale, options)?.frames[0].intrinsics;
                (usual.height.saturating_mul(2), usual.height)
            }
        };
        let mut path = self.cameras(scene, &PathOptions { size: Some((width, height)), ..options.clone() })?;
        path.frames.iter_mut().for_each(|camera| camera.intrinsics = Intrinsics::panorama(width, height));
        Ok(path)
    }

    /// Builds the path with the kind of cameras that it has.
    fn as_they_are(
        &self,
        scene: &Scene,
        (width, height): (Option<u32>, Option<u32>),
        downscale: u32,
        options: &PathOptions,
    ) -> Result<CameraPath> {
        let with_size = |size| self.cameras(scene, &PathOptions { size, ..options.clone() });
        if let (Some(width), Some(height)) = (width, height) {
            return with_size(Some((width, height)));
        }
        let natural = with_size(self.usual_size(scene, downscale))?;
        let usual = natural.frames[0].intrinsics;
        let aspect = f64::from(usual.width) / f64::from(usual.height);
        let other = |side: f64| (side.round() as u32).max(1);
        match (width, height) {
            (Some(width), _) => with_size(Some((width, other(f64::from(width) / aspect)))),
            (_, Some(height)) => with_size(Some((other(f64::from(height) * aspect), height))),
            _ => Ok(natural),
        }
    }

    /// Returns whether the path provides its own cameras, so that it does not need a scene's photographs.
    pub fn is_file(&self) -> bool {
        matches!(self, PathChoice::File(_))
    }

    /// Returns the name of the path in file names.
    pub fn name(&self) -> String {
        match self {
            PathChoice::Orbit => "orbit".to_owned(),
            PathChoice::Spiral => "spiral".to_owned(),
            PathChoice::Interpolate => "interpolate".to_owned(),
            PathChoice::Dataset => "dataset".to_owned(),
            PathChoice::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    fn cameras(&self, scene: &Scene, options: &PathOptions) -> Result<CameraPath> {
        if options.transforms != PathTransforms::Beside && !self.is_file() {
            return Err(Error::config("--path-transforms is for camera-path files of nerfstudio; leave it away"));
        }
        match self {
            PathChoice::Orbit => CameraPath::orbit(scene, options),
            PathChoice::Spiral => CameraPath::spiral(scene, options),
            PathChoice::Interpolate => {
                CameraPath::interpolate(&scene.splits.train, Order::Nearest { n_keys: N_KEYS }, options)
            }
            PathChoice::Dataset if options.seconds.is_some() => Err(Error::config(
                "the dataset path has a frame for each view and no length of its own; leave --seconds away",
            )),
            PathChoice::Dataset => CameraPath::dataset(dataset_views(scene), options),
            PathChoice::File(path) => CameraPath::read_json(path, scene, options),
        }
    }

    /// Returns `None` for a file, which may specify its own size.
    fn usual_size(&self, scene: &Scene, downscale: u32) -> Option<(u32, u32)> {
        let views = match self {
            PathChoice::File(_) => return None,
            PathChoice::Dataset => dataset_views(scene),
            _ => &scene.splits.train,
        };
        let size = views.first()?.camera_at(downscale).intrinsics;
        Some((size.width, size.height))
    }
}

fn dataset_views(scene: &Scene) -> &[View] {
    if scene.splits.test.is_empty() { &scene.splits.train } else { &scene.splits.test }
}

impl FromStr for PathChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<PathChoice> {
        match text {
            "orbit" => Ok(PathChoice::Orbit),
            "spiral" => Ok(PathChoice::Spiral),
            "interpolate" => Ok(PathChoice::Interpolate),
            "dataset" => Ok(PathChoice::Dataset),
            file if names::extension(Path::new(file)) == "json" => Ok(PathChoice::File(file.into())),
            _ => Err(Error::config("expected orbit, spiral, interpolate, dataset or a camera-path file, FILE.json")),
        }
    }
}
