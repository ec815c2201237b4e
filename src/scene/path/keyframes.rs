//! Camera paths made of key cameras, which are saved in the format of nerfstudio's viewer.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::camera_path::CameraPath;
use super::options::PathOptions;
use super::{PathTransforms, nerfstudio, nerfstudio_crop};
use crate::geometry::{Camera, Corners};
use crate::scene::Scene;
use crate::scene::json::Node;
use crate::{Error, Result};

/// Key cameras and how they are joined.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Keyframes {
    /// The key cameras, in order; at least one.
    pub keys: Vec<Keyframe>,
    /// Width of the frames in pixels.
    pub width: u32,
    /// Height of the frames in pixels.
    pub height: u32,
    /// Frames per second.
    pub fps: f64,
    /// Whether the path leads from the last key back to the first.
    pub is_closed: bool,
    /// Box in coordinates in memory to which the frames are restricted; absent for no such box.
    #[serde(default)]
    pub crop: Option<Corners>,
}

/// A key camera.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Keyframe {
    /// Row-major 3×4 matrix, as [`Camera::camera_to_world`].
    pub camera_to_world: [[f32; 4]; 3],
    /// Vertical field of view in radians.
    pub fov_y: f32,
    /// Seconds from the key before; of the first key of a closed path, from the last.
    pub seconds: f64,
}

impl Keyframes {
    /// Returns the path: a Catmull–Rom spline through the keys, as nerfstudio's viewer interpolates them. The keys are
    /// in the coordinates of `scene` in memory; `file` names the path in messages.
    ///
    /// # Errors
    /// Returns an error if there is no key, if a key is not a valid camera, or if a number is out of range.
    pub fn path(&self, file: &Path, scene: &Scene) -> Result<CameraPath> {
        if !self.is_finite() {
            return Err(Error::file(file, "has a number that is not finite"));
        }
        // This goes through the document, so that the path is exactly what `CameraPath::read_json` makes of a file with
        // these keys.
        let document = self.keys_document(&scene.unit_cube.origin);
        let options = PathOptions { transforms: PathTransforms::None, ..PathOptions::default() };
        nerfstudio::read(file, &Node::root(file, &document), scene, &options)
    }

    /// Returns nerfstudio's `camera_path.json`: the keys, and every frame of `path`, which [`Keyframes::path`] gave.
    pub fn document(&self, path: &CameraPath, scene: &Scene) -> Value {
        let origin = &scene.unit_cube.origin;
        let mut document = self.keys_document(origin);
        document["seconds"] = json!(path.frames.len() as f64 / f64::from(path.fps));
        document["camera_path"] = path.frames.iter().map(|camera| self.frame(camera, origin)).collect();
        document
    }

    /// Reads the keys of a document that [`Keyframes::document`] made for the same scene; None if it was made elsewhere,
    /// or if it has no keys.
    pub fn of_document(document: &Value, scene: &Scene) -> Option<Keyframes> {
        if document[nerfstudio::SOFTWARE.0] != nerfstudio::SOFTWARE.1 {
            return None;
        }
        let origin = &scene.unit_cube.origin;
        let number = |value: &Value| value.as_f64().filter(|x| x.is_finite());
        let key = |key: &Value| {
            let numbers: Vec<f64> = key["matrix"].as_array()?.iter().map(number).collect::<Option<_>>()?;
            let numbers: [f64; 16] = numbers.try_into().ok()?;
            let row = |k: usize| -> [f32; 4] {
                [0, 1, 2, 3].map(|j| (numbers[4 * k + j] - if j == 3 { origin[k] } else { 0.0 }) as f32)
            };
            Some(Keyframe {
                camera_to_world: [0, 1, 2].map(row),
                fov_y: number(&key["fov"])?.to_radians() as f32,
                seconds: number(&key["override_transition_sec"])?,
            })
        };
        let pixels = |name: &str| u32::try_from(document[name].as_u64()?).ok();
        let keys: Vec<Keyframe> = document["keyframes"].as_array()?.iter().map(key).collect::<Option<_>>()?;
        (!keys.is_empty()).then_some(Keyframes {
            keys,
            width: pixels("render_width")?,
            height: pixels("render_height")?,
            fps: number(&document["fps"])?,
            is_closed: document["is_cycle"].as_bool()?,
            // The crop box of a run has a file of its own.
            crop: None,
        })
    }

    /// Returns whether all numbers can be written as JSON.
    fn is_finite(&self) -> bool {
        let is_finite = |key: &Keyframe| {
            let numbers = key.camera_to_world.as_flattened().iter().chain([&key.fov_y]);
            key.seconds.is_finite() && numbers.into_iter().all(|x| x.is_finite())
        };
        let corners = self.crop.iter().flat_map(|crop| crop.min.into_iter().chain(crop.max));
        self.fps.is_finite() && corners.into_iter().all(f64::is_finite) && self.keys.iter().all(is_finite)
    }

    fn keys_document(&self, origin: &[f64; 3]) -> Value {
        let key = |key: &Keyframe| {
            json!({
                "matrix": matrix(&key.camera_to_world, origin),
                "fov": degrees(key.fov_y),
                "aspect": self.aspect(),
                "override_transition_enabled": true,
                "override_transition_sec": key.seconds,
            })
        };
        json!({
            (nerfstudio::SOFTWARE.0): nerfstudio::SOFTWARE.1,
            "camera_type": "perspective",
            "render_width": self.width,
            "render_height": self.height,
            "fps": self.fps,
            "is_cycle": self.is_closed,
            "smoothness_value": 0.0,
            "default_fov": self.keys.first().map_or(50.0, |key| degrees(key.fov_y)),
            "default_transition_sec": 1.0,
            "crop": self.crop.map(|crop| nerfstudio_crop::written(&crop, origin)),
            "keyframes": self.keys.iter().map(key).collect::<Vec<_>>(),
        })
    }

    fn frame(&self, camera: &Camera, origin: &[f64; 3]) -> Value {
        json!({
            "camera_to_world": matrix(&camera.camera_to_world, origin),
            "fov": degrees(camera.intrinsics.fov_y()),
            "aspect": self.aspect(),
        })
    }

    fn aspect(&self) -> f64 {
        f64::from(self.width) / f64::from(self.height)
    }
}

/// Returns a pose as 16 numbers, row by row, in the coordinates of the scene's files.
fn matrix(rows: &[[f32; 4]; 3], origin: &[f64; 3]) -> Vec<f64> {
    let row = |k: usize| {
        let [x, y, z, position] = rows[k].map(f64::from);
        [x, y, z, position + origin[k]]
    };
    (0..3).flat_map(row).chain([0.0, 0.0, 0.0, 1.0]).collect()
}

fn degrees(radians: f32) -> f64 {
    f64::from(radians).to_degrees()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::UnitCube;

    fn keys() -> Keyframes {
        let key = |x: f32, seconds| Keyframe {
            camera_to_world: [[1.0, 0.0, 0.0, x], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 4.0]],
            fov_y: 0.7,
            seconds,
        };
        Keyframes {
            keys: vec![key(-1.0, 1.0), key(0.0, 2.0), key(2.0, 1.0)],
            width: 64,
            height: 48,
            fps: 10.0,
            is_closed: false,
            crop: Some(Corners { min: [-1.0, 0.0, 0.25], max: [1.0, 0.5, 0.75] }),
        }
    }

    fn scene(origin: [f64; 3]) -> Scene {
        Scene::turntable("x", UnitCube { origin, ..UnitCube::BLENDER }, [0.0; 3], 1.0)
    }

    #[test]
    fn a_path_passes_its_keys_at_their_times() {
        let path = keys().path(Path::new("p"), &scene([0.0; 3])).unwrap();
        assert_eq!((path.frames.len(), path.fps), (30, 10.0));
        for (frame, x) in [(0, -1.0), (20, 0.0)] {
            assert!((path.frames[frame].position()[0] - x).abs() < 1e-5, "{frame}");
        }
        assert_eq!(path.frames[0].intrinsics.width, 64);
    }

    #[test]
    fn the_saved_file_gives_the_same_frames_also_far_from_the_origin() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("camera_path.json");
        let scene = scene([4e6, -2e6, 100.0]);
        let path = keys().path(&file, &scene).unwrap();
        std::fs::write(&file, keys().document(&path, &scene).to_string()).unwrap();
        let read = CameraPath::read_json(&file, &scene, &PathOptions::default()).unwrap();
        assert_eq!(read.frames.len(), path.frames.len());
        let crop = read.crop.unwrap();
        assert!(crop.low == [-1.0, 0.0, 0.25] && crop.high == [1.0, 0.5, 0.75] && path.crop == read.crop, "{crop:?}");
        assert!(read.notes.is_empty(), "{:?}", read.notes);
        for (a, b) in read.frames.iter().zip(&path.frames) {
            assert!(a.position().iter().zip(b.position()).all(|(a, b)| (a - b).abs() < 1e-5));
            assert!((a.intrinsics.fl_y - b.intrinsics.fl_y).abs() < 1e-3);
        }
    }

    #[test]
    fn paths_that_are_none_are_refused() {
        let no_keys = Keyframes { keys: Vec::new(), ..keys() };
        let no_pixels = Keyframes { width: 0, ..keys() };
        let no_time = Keyframes { fps: f64::NAN, ..keys() };
        let mut backwards = keys();
        backwards.keys[1].seconds = -1.0;
        let mut flat = keys();
        flat.keys[1].camera_to_world = [[0.0; 4]; 3];
        let empty = Keyframes { crop: Some(Corners { min: [0.0; 3], max: [1.0, 0.0, 1.0] }), ..keys() };
        for wrong in [no_keys, no_pixels, no_time, backwards, flat, empty] {
            assert!(wrong.path(Path::new("p"), &scene([0.0; 3])).is_err(), "{wrong:?}");
        }
    }
}
