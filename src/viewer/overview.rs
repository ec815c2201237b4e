//! Where a scene's cameras are and what they look at, as far as a viewer needs it.

use serde::Serialize;

use super::run_files;
use crate::Result;
use crate::geometry::Camera;
use crate::scene::path::{CameraPath, PathOptions, focus};
use crate::scene::{Scene, Split, View};

/// Maximum number of cameras that are drawn; if there are more, evenly spaced ones are chosen.
const MOST_CAMERAS: usize = 1000;

/// A scene as a viewer draws it, in scene coordinates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overview {
    /// What the cameras look at.
    pub center: [f32; 3],
    /// The upright direction, of length 1.
    pub up: [f32; 3],
    /// Median distance of the cameras from `center`, in scene units.
    pub radius: f32,
    /// The camera to begin with.
    pub start: SceneCamera,
    /// The scene's cameras.
    pub cameras: Vec<SceneCamera>,
}

/// A camera as a viewer draws it: a frustum without a lens; of a panorama, its middle 90° wide.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SceneCamera {
    /// Name of the photograph, or of what the camera is for.
    pub name: String,
    /// `train`, `val` or `test`; empty for a camera that took no photograph.
    pub split: &'static str,
    /// Row-major 3×4 matrix, as [`Camera::camera_to_world`].
    pub camera_to_world: [[f32; 4]; 3],
    /// Vertical field of view in radians.
    pub fov_y: f32,
    /// Width divided by height.
    pub aspect: f32,
    /// Number of the photograph that it took, if any.
    pub photograph: Option<usize>,
}

impl Overview {
    /// Describes a scene. One without views is seen from a corner of its unit cube.
    ///
    /// # Errors
    /// Returns the errors of [`CameraPath::orbit`].
    pub fn of(scene: &Scene) -> Result<Overview> {
        let focus = focus(scene);
        let turntable;
        let seen = if scene.splits.train.is_empty() {
            turntable = Scene::turntable(&scene.name, scene.unit_cube, focus.center, focus.radius);
            &turntable
        } else {
            scene
        };
        let orbit = CameraPath::orbit(seen, &PathOptions::default())?;
        let cameras: Vec<_> = run_files::views(scene).enumerate().collect();
        let stride = cameras.len().div_ceil(MOST_CAMERAS).max(1);
        let camera = |&(number, (split, view)): &(usize, (Split, &View))| SceneCamera {
            photograph: Some(number),
            ..SceneCamera::new(&view.name, split.as_str(), &view.camera)
        };
        Ok(Overview {
            center: focus.center,
            up: focus.up,
            radius: focus.radius,
            start: SceneCamera::new("start", "", &orbit.frames[0]),
            cameras: cameras.iter().step_by(stride).map(camera).collect(),
        })
    }

    /// Describes a fitted image in its plane, z = 0: around the origin, 1 unit high, and `aspect` times as wide.
    pub fn of_image(aspect: f32) -> Overview {
        let fov_y = 0.8f32;
        let distance = 0.5 / (0.5 * fov_y).tan();
        let camera_to_world = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, distance]];
        let start =
            SceneCamera { name: "start".to_owned(), split: "", camera_to_world, fov_y, aspect, photograph: None };
        Overview { center: [0.0; 3], up: [0.0, 1.0, 0.0], radius: 1.0, start, cameras: Vec::new() }
    }
}

impl SceneCamera {
    fn new(name: &str, split: &'static str, camera: &Camera) -> SceneCamera {
        let k = camera.intrinsics.straightened();
        SceneCamera {
            name: name.to_owned(),
            split,
            camera_to_world: camera.camera_to_world,
            fov_y: k.fov_y(),
            aspect: (k.width as f32 / k.fl_x) / (k.height as f32 / k.fl_y),
            photograph: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Intrinsics, UnitCube};

    #[test]
    fn cameras_around_an_object_look_at_its_middle() {
        let cube = UnitCube::new(0.25, [0.5; 3]);
        let scene = Scene::turntable("x", cube, [1.0, 2.0, 3.0], 1.5);
        let overview = Overview::of(&scene).unwrap();
        let near = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(near(overview.center, [1.0, 2.0, 3.0]), "{:?}", overview.center);
        assert!(near(overview.up, [0.0, 1.0, 0.0]), "{:?}", overview.up);
        assert_eq!(overview.cameras.len(), 12);
        assert!((overview.cameras[0].fov_y - 0.7).abs() < 1e-5 && overview.cameras[0].split == "train");
    }

    #[test]
    fn a_panorama_is_drawn_as_its_middle() {
        let mut scene = Scene::turntable("x", UnitCube::new(0.25, [0.5; 3]), [0.0; 3], 1.5);
        scene.splits.train.iter_mut().for_each(|view| view.camera.intrinsics = Intrinsics::panorama(80, 40));
        let overview = Overview::of(&scene).unwrap();
        for camera in [&overview.cameras[0], &overview.start] {
            let half_height = (0.5 * camera.fov_y).tan();
            assert!((half_height - 0.5).abs() < 1e-5 && (camera.aspect - 2.0).abs() < 1e-5, "{camera:?}");
        }
    }

    #[test]
    fn a_scene_without_views_is_seen_as_a_whole() {
        let cube = UnitCube::new(0.25, [0.5; 3]);
        let mut scene = Scene::turntable("x", cube, [0.0; 3], 1.5);
        scene.splits = Default::default();
        let overview = Overview::of(&scene).unwrap();
        assert!(overview.cameras.is_empty());
        let start = overview.start.camera_to_world.map(|row| row[3]);
        let distance = start.iter().zip(overview.center).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
        assert!(distance > overview.radius, "{distance} from the middle of a ball of {}", overview.radius);
    }
}
