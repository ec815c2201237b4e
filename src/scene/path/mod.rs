//! Camera paths: one camera per frame of a video, generated around a scene or read from a file.

mod choice;
mod framing;
mod instant_ngp;
mod interpolate;
mod keyframes;
mod nerfstudio;
mod nerfstudio_frame;
mod orbit;
mod spline;

pub use choice::PathChoice;
pub(super) use framing::up_axis as up_of;
pub use framing::{Focus, focus};
pub use interpolate::Order;
pub use keyframes::{Keyframe, Keyframes};
pub use nerfstudio_frame::PathTransforms;

use super::json::{self, Node};
use super::{Scene, View};
use crate::geometry::pose::Pose;
use crate::geometry::{Camera, Intrinsics};
use crate::{Error, Result};
use std::path::Path;

/// A camera for every frame of a video, all of the same size.
#[derive(Clone, Debug)]
pub struct CameraPath {
    /// Cameras of the frames, in order.
    pub frames: Vec<Camera>,
    /// Frames per second.
    pub fps: f32,
    /// Notes for the user on how a file was read, one sentence each.
    pub notes: Vec<String>,
}

/// Kind of the cameras that render the frames of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum FrameCamera {
    /// Straight lines stay straight; cameras that are panoramas become 90° wide
    Perspective,
    /// Panoramas of the whole sphere, twice as wide as high
    Equirectangular,
}

/// What the user requested of a path; what is absent comes from the file or the scene.
#[derive(Clone, Debug, Default)]
pub struct PathOptions {
    /// Width and height of the frames in pixels; by default those of the file, or of the scene's first view. If the
    /// aspect ratio differs, the vertical field of view is kept.
    pub size: Option<(u32, u32)>,
    /// Frames per second; by default that of the file, or 30.
    pub fps: Option<f32>,
    /// Length of the video in seconds; by default that of the file, or one that suits the kind of path. Files that list
    /// their frames are resampled.
    pub seconds: Option<f32>,
    /// Kind of the cameras; by default that of the file or of the dataset's views, or else perspective.
    /// [`PathChoice::build`] honours it.
    pub camera: Option<FrameCamera>,
    /// The frame of reference of a path saved by nerfstudio.
    pub transforms: PathTransforms,
}

const DEFAULT_FPS: f32 = 30.0;

/// Largest number of pixels along a side of a frame: more is a typing error, and would need more memory than most
/// machines have.
pub const MAX_SIDE: u32 = 16384;

/// Largest number of frames, nine hours at 30 frames per second: more is a typing error, not a video.
const MAX_FRAMES: f32 = 1e6;

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
        Ok(Self { frames, fps: options.fps_or(DEFAULT_FPS)?, notes: Vec::new() })
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

impl PathOptions {
    fn size_or(&self, intrinsics: &Intrinsics) -> Result<(u32, u32)> {
        match self.size.unwrap_or((intrinsics.width, intrinsics.height)) {
            (width, height) if width == 0 || height == 0 => {
                Err(Error::config(format!("frames of {width}×{height} have no pixels; expected at least 1×1")))
            }
            (width, height) if width.max(height) > MAX_SIDE => {
                Err(Error::config(format!("frames of {width}×{height}; expected at most {MAX_SIDE} pixels a side")))
            }
            size => Ok(size),
        }
    }

    fn fps_or(&self, default: f32) -> Result<f32> {
        above_zero("frames a second", self.fps.unwrap_or(default))
    }

    /// Returns the number of frames for `self.seconds`, or for `default` seconds if it is not set.
    fn n_frames(&self, default: f32, fps: f32) -> Result<usize> {
        let seconds = above_zero("seconds of video", self.seconds.unwrap_or(default))?;
        match (seconds * fps).round() {
            frames if frames > MAX_FRAMES => Err(Error::config(format!(
                "{seconds} s at {fps} frames a second are {frames} frames; expected at most {MAX_FRAMES}"
            ))),
            frames => Ok((frames as usize).max(1)),
        }
    }
}

fn above_zero(what: &str, value: f32) -> Result<f32> {
    match value.is_finite() && value > 0.0 {
        true => Ok(value),
        false => Err(Error::config(format!("{value} {what}; expected a number above 0"))),
    }
}

fn no_views() -> Error {
    Error::config("a camera path needs at least one view, and the split has none; choose another split")
}

/// Returns the camera for an image of another size: square pixels stay square, and the vertical field of view is kept.
/// A panorama keeps both of its fields of view.
fn fitted(camera: &Camera, (width, height): (u32, u32)) -> Camera {
    let k = camera.intrinsics;
    if k.lens.is_panorama() {
        return camera.scaled(width, height);
    }
    let scale = height as f32 / k.height as f32;
    let intrinsics = Intrinsics {
        width,
        height,
        fl_x: k.fl_x * scale,
        fl_y: k.fl_y * scale,
        cx: 0.5 * width as f32 + (k.cx - 0.5 * k.width as f32) * scale,
        cy: k.cy * scale,
        ..k
    };
    Camera { intrinsics, ..*camera }
}

fn camera(intrinsics: Intrinsics, pose: &Pose) -> Camera {
    Camera { intrinsics, camera_to_world: pose.camera_to_world() }
}

/// Reads a vertical field of view in degrees from a file and converts it to radians.
fn read_fov(frame: &Node) -> Result<f32> {
    fov(&frame.require("fov", "the vertical field of view in degrees")?)
}

fn fov(node: &Node) -> Result<f32> {
    match node.number()? {
        fov if fov > 0.0 && fov < 180.0 => Ok(fov.to_radians() as f32),
        fov => Err(node.error(format!("is {fov}; it must be above 0 and below 180 degrees"))),
    }
}

/// Returns the elements of the list `key`, at least one; messages refer to them by `name` and index.
fn read_list<'a>(root: &Node<'a>, key: &str, name: &str) -> Result<Vec<Node<'a>>> {
    let list = root.require(key, "the list of cameras")?;
    let items = list.items()?;
    if items.is_empty() {
        return Err(list.error("is empty; a camera path needs at least one camera"));
    }
    Ok(items.into_iter().enumerate().map(|(i, node)| node.named(format!("{name} {i}"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any_camera() -> Camera {
        let camera_to_world = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        Camera { intrinsics: Intrinsics::from_fov_y(800, 600, 0.8), camera_to_world }
    }

    #[test]
    fn another_aspect_keeps_the_vertical_field_of_view_and_square_pixels() {
        let wide = fitted(&any_camera(), (1920, 1080));
        assert_eq!((wide.intrinsics.width, wide.intrinsics.height), (1920, 1080));
        assert_eq!(wide.intrinsics.fl_x, wide.intrinsics.fl_y);
        let (top, expected) = (wide.ray(960.0, 0.0).1, any_camera().ray(400.0, 0.0).1);
        assert!(top.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn panoramas_keep_the_whole_sphere_at_every_size() {
        let panorama = Camera { intrinsics: Intrinsics::panorama(80, 40), ..any_camera() };
        assert_eq!(fitted(&panorama, (60, 40)).intrinsics, Intrinsics::panorama(60, 40));
        let straight = panorama.intrinsics.straightened();
        assert_eq!((straight.lens, straight.fl_x, straight.fl_y), (crate::geometry::Lens::Perspective, 40.0, 40.0));
    }

    #[test]
    fn senseless_options_are_refused() {
        let fps = |fps| PathOptions { fps: Some(fps), ..Default::default() }.fps_or(30.0);
        assert!(fps(f32::NAN).is_err() && fps(0.0).is_err() && fps(24.0).is_ok());
        let seconds = |seconds| PathOptions { seconds: Some(seconds), ..Default::default() }.n_frames(1.0, 30.0);
        assert!(seconds(-1.0).is_err() && seconds(1e9).is_err());
        assert_eq!((seconds(2.0).unwrap(), seconds(1e-3).unwrap()), (60, 1));
        let size = PathOptions { size: Some((0, 4)), ..Default::default() };
        assert!(size.size_or(&any_camera().intrinsics).is_err());
    }
}
