//! Camera paths: one camera per frame of a video, generated around a scene or read from a file.

mod camera_path;
mod choice;
mod file;
mod framing;
mod instant_ngp;
mod interpolate;
mod keyframes;
mod nerfstudio;
mod nerfstudio_crop;
mod nerfstudio_frame;
mod options;
mod orbit;
mod spline;

pub use camera_path::CameraPath;
pub use choice::PathChoice;
pub(crate) use framing::focus;
pub(super) use framing::up_axis as up_of;
pub use interpolate::Order;
pub use keyframes::{Keyframe, Keyframes};
pub use nerfstudio_frame::PathTransforms;
pub use options::{FrameCamera, MAX_SIDE, PathOptions};

use super::json::{self, Node};
use super::{Scene, View};
use crate::{Error, Result};
use camera_path::{fitted, no_views};
use options::DEFAULT_FPS;
use std::path::Path;

impl CameraPath {
    /// Returns a circle around what the training cameras look at, at their median distance and elevation, once around
    /// in 6 s. It ends one step before its start, so that it loops. Around a scene that was photographed from one side,
    /// it swings back and forth within the cameras' arc; in front of a forward-facing scene, it follows an ellipse
    /// across the cameras' axis.
    pub fn orbit(scene: &Scene, options: &PathOptions) -> Result<Self> {
        orbit::orbit(scene, options)
    }

    /// Returns two turns in 12 s that rise from the lowest to the highest elevation of most training cameras, with the
    /// same exceptions as [`CameraPath::orbit`].
    pub fn spiral(scene: &Scene, options: &PathOptions) -> Result<Self> {
        orbit::spiral(scene, options)
    }

    /// Returns a smooth flight through the cameras of `views`, one second from each to the next.
    ///
    /// # Errors
    /// Returns an error if `views` is empty or a camera is mirrored.
    pub fn interpolate(views: &[View], order: Order, options: &PathOptions) -> Result<Self> {
        interpolate::through(views, order, options)
    }

    /// Returns the cameras of `views` unchanged, one per frame.
    ///
    /// # Errors
    /// Returns an error if `views` is empty.
    pub fn dataset(views: &[View], options: &PathOptions) -> Result<Self> {
        let first = views.first().ok_or_else(no_views)?;
        let size = options.size_or(&first.camera.intrinsics)?;
        let frames = views.iter().map(|view| fitted(&view.camera, size)).collect();
        Ok(Self { frames, fps: options.fps_or(DEFAULT_FPS)?, notes: Vec::new(), crop: None })
    }

    /// Reads a camera path saved by nerfstudio's viewer (`camera_path` or `keyframes`, perspective or equirectangular)
    /// or by instant-ngp's (`path`).
    ///
    /// nerfstudio's file lists every frame, or key cameras alone, which are joined by a spline. `options.transforms`
    /// says in which frame of reference, and a note in the path says which was assumed. instant-ngp's file lists key
    /// cameras in its unit cube. They are transformed to `scene` and joined by instant-ngp's cubic B-spline, over
    /// `duration_seconds` or one second per key if the file has no duration.
    ///
    /// # Errors
    /// Returns an error that names the file and the key if the file is neither kind, malformed or not supported.
    pub fn read_json(path: impl AsRef<Path>, scene: &Scene, options: &PathOptions) -> Result<Self> {
        let path = path.as_ref();
        let document = json::read(path)?;
        let root = Node::root(path, &document);
        if root.get("camera_path").is_some() || root.get("keyframes").is_some() {
            nerfstudio::read(path, &root, scene, options)
        } else if options.transforms != PathTransforms::Beside {
            Err(Error::file(path, "is not a camera path of nerfstudio; leave --path-transforms away"))
        } else if root.get("path").is_some() {
            instant_ngp::read(&root, scene, options)
        } else {
            let what = "holds no camera path: neither \"camera_path\" (nerfstudio) nor \"path\" (instant-ngp) is in it";
            Err(Error::file(path, what))
        }
    }
}
