//! A camera path, and the cameras that it is made of.

use crate::Error;
use crate::geometry::pose::Pose;
use crate::geometry::{Bounds, Camera, Intrinsics};

/// A camera for every frame of a video, all of the same size.
#[derive(Clone, Debug)]
pub struct CameraPath {
    /// Cameras of the frames, in order.
    pub frames: Vec<Camera>,
    /// Frames per second.
    pub fps: f32,
    /// Notes for the user on how a file was read, one sentence each.
    pub notes: Vec<String>,
    /// Box in coordinates in memory to which the frames are restricted; None for no such box.
    pub crop: Option<Bounds>,
}

pub(super) fn no_views() -> Error {
    Error::config("a camera path needs at least one view, and the split has none; choose another split")
}

/// Returns the camera for an image of another size: square pixels stay square, and the vertical field of view is kept.
/// A panorama keeps both of its fields of view.
pub(super) fn fitted(camera: &Camera, (width, height): (u32, u32)) -> Camera {
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

pub(super) fn camera(intrinsics: Intrinsics, pose: &Pose) -> Camera {
    Camera { intrinsics, camera_to_world: pose.camera_to_world() }
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
}
