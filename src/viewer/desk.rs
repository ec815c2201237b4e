//! What browsers keep with a run and read from its scene: camera paths, the crop box, photographs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::geometry::{Camera, SceneBox};
use crate::scene::path::Keyframes;
use crate::scene::{CameraPath, Image8, Scene, Split, View};
use crate::{Error, Result, atomic};

/// Most keys of a path.
const MOST_KEYS: usize = 200;
/// Most frames of a path: ten minutes at 30 frames per second.
const MOST_FRAMES: f64 = 18_000.0;
/// Most frames of a preview; a browser joins them.
const MOST_IN_PREVIEW: usize = 600;
/// Longest side of a photograph as it is shown, in pixels.
const SIDE_OF_PHOTOGRAPH: u32 = 1600;

/// Name of the file of the camera path in a run's folder.
pub const CAMERA_PATH: &str = "camera_path.json";
/// Name of the video of the camera path in a run's folder of renders.
const VIDEO: &str = "renders/camera_path.mp4";
/// Name of the file of the crop box in a run's folder.
pub const CROP_BOX: &str = "crop_box.json";

/// A box to which exports are restricted, in scene coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropBox {
    /// Corner of the lowest coordinates.
    pub min: [f64; 3],
    /// Corner of the highest coordinates.
    pub max: [f64; 3],
}

/// Keeps what browsers make with the run, and reads what they ask of the scene.
pub struct Desk {
    /// The scene without its views.
    scene: Scene,
    folder: PathBuf,
    photographs: Vec<View>,
}

impl Desk {
    /// Creates the desk of a run whose results are in `folder`.
    pub fn new(scene: &Scene, folder: &Path) -> Desk {
        let photographs = views(scene).map(|(_, view)| view.clone()).collect();
        let bare = Scene { splits: Default::default(), points: Vec::new(), ..scene.clone() };
        Desk { scene: bare, folder: folder.to_path_buf(), photographs }
    }

    /// Returns the cameras of a preview of a path, evenly spaced in time, and the path's length in seconds.
    ///
    /// # Errors
    /// Returns an error if the keys make no path, or too long a one.
    pub fn preview(&self, keys: &Keyframes) -> Result<(Vec<Camera>, f64)> {
        let path = self.path(keys)?;
        let n = path.frames.len();
        let seconds = n as f64 / f64::from(path.fps);
        let shown = n.min(MOST_IN_PREVIEW);
        Ok(((0..shown).map(|i| path.frames[i * n / shown]).collect(), seconds))
    }

    /// Saves a path as `camera_path.json`, and returns it, with the path of the file.
    ///
    /// # Errors
    /// Returns the errors of [`Desk::preview`], and an error if the file cannot be written.
    pub fn save_path(&self, keys: &Keyframes) -> Result<(CameraPath, PathBuf)> {
        let path = self.path(keys)?;
        let file = self.folder.join(CAMERA_PATH);
        atomic::write_json(&file, &keys.document(&path, &self.scene))?;
        Ok((path, file))
    }

    /// Returns where the video of a path is written; its folder is there afterwards.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be created.
    pub fn video_file(&self) -> Result<PathBuf> {
        let file = self.folder.join(VIDEO);
        atomic::make_folder_of(&file)?;
        Ok(file)
    }

    /// Saves the crop box, in coordinates in memory, as `crop_box.json`, or removes it.
    ///
    /// # Errors
    /// Returns an error if the box is empty, or if the file cannot be written or removed.
    pub fn save_box(&self, crop: Option<CropBox>) -> Result<PathBuf> {
        let file = self.folder.join(CROP_BOX);
        match crop {
            Some(crop) => atomic::write_json(&file, &crop.checked()?.moved(&self.scene.unit_cube.origin, 1.0))?,
            None => match fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::file(&file, format!("cannot be removed ({error})")));
                }
                _ => {}
            },
        }
        Ok(file)
    }

    /// Returns the saved crop box in coordinates in memory; None if there is none, or none that can be read.
    pub fn crop_box(&self) -> Option<CropBox> {
        let saved = CropBox::read(&self.folder).ok().flatten()?;
        let crop = CropBox { min: saved.low(), max: saved.high() };
        Some(crop.moved(&self.scene.unit_cube.origin, -1.0))
    }

    /// Decodes photograph `number`, as [`SceneCamera::photograph`](super::SceneCamera::photograph) counts them, reduced to
    /// what a screen shows; None if there is no such photograph.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn photograph(&self, number: usize) -> Result<Option<Image8>> {
        let Some(view) = self.photographs.get(number) else { return Ok(None) };
        let image = view.load(view.images.first().map_or(1, |file| file.reduced))?;
        let factor = image.width.max(image.height).div_ceil(SIDE_OF_PHOTOGRAPH).max(1);
        let factor = factor.min(image.width.min(image.height));
        Ok(Some(image.downscaled(factor)))
    }

    fn path(&self, keys: &Keyframes) -> Result<CameraPath> {
        let n = keys.keys.len();
        if n == 0 || n > MOST_KEYS {
            return Err(Error::config(format!("a path of {n} keyframes; expected 1 to {MOST_KEYS}")));
        }
        let n_frames = keys.keys.iter().map(|key| key.seconds).sum::<f64>() * keys.fps;
        if n_frames.is_nan() || n_frames > MOST_FRAMES {
            return Err(Error::config(format!("the path is too long; expected at most {MOST_FRAMES} frames")));
        }
        keys.path(&self.folder.join(CAMERA_PATH), &self.scene)
    }
}

impl CropBox {
    /// Reads the box that was saved in the folder of a run, in the coordinates of the scene's files; None if there is none.
    ///
    /// # Errors
    /// Returns an error if the file is not what a viewer saves.
    pub fn read(folder: &Path) -> Result<Option<SceneBox>> {
        let file = folder.join(CROP_BOX);
        let text = match fs::read_to_string(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| Error::file(&file, format!("cannot be read ({error})")))?,
        };
        let crop: CropBox = serde_json::from_str(&text).map_err(|error| {
            Error::file(&file, format!("is not a crop box ({error}); remove it, or save it again in the viewer"))
        })?;
        SceneBox::new(crop.min, crop.max).map(Some).map_err(|error| Error::file(&file, error.to_string()))
    }

    /// # Errors
    /// Returns the errors of [`SceneBox::new`].
    fn checked(self) -> Result<CropBox> {
        SceneBox::new(self.min, self.max).map(|_| self)
    }

    fn moved(self, by: &[f64; 3], sign: f64) -> CropBox {
        let moved = |point: [f64; 3]| std::array::from_fn(|k| point[k] + sign * by[k]);
        CropBox { min: moved(self.min), max: moved(self.max) }
    }
}

/// Returns the views of a scene with their splits: those that a viewer shows, in its order.
pub(super) fn views(scene: &Scene) -> impl Iterator<Item = (Split, &View)> {
    let splits = [Split::Train, Split::Val, Split::Test];
    splits.into_iter().flat_map(|split| scene.splits.views(split).iter().map(move |view| (split, view)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::UnitCube;

    fn desk(folder: &Path) -> Desk {
        let cube = UnitCube { origin: [1e6, 0.0, -1e6], ..UnitCube::BLENDER };
        Desk::new(&Scene::turntable("x", cube, [0.0; 3], 1.0), folder)
    }

    #[test]
    fn a_box_is_kept_in_the_coordinates_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path());
        assert_eq!(desk.crop_box(), None);
        let crop = CropBox { min: [-1.0, -0.5, 0.0], max: [1.0, 0.5, 0.25] };
        let file = desk.save_box(Some(crop)).unwrap();
        let saved: CropBox = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(saved.min, [1e6 - 1.0, -0.5, -1e6]);
        assert_eq!(desk.crop_box(), Some(crop));
        for _ in 0..2 {
            desk.save_box(None).unwrap();
            assert!(!file.exists() && desk.crop_box().is_none());
        }
    }

    #[test]
    fn empty_boxes_are_refused_and_leave_the_saved_one() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path());
        let crop = CropBox { min: [0.0; 3], max: [1.0; 3] };
        desk.save_box(Some(crop)).unwrap();
        for max in [[1.0, 0.0, 1.0], [1.0, f64::NAN, 1.0], [1.0, 1.0, f64::INFINITY]] {
            let error = desk.save_box(Some(CropBox { max, ..crop })).unwrap_err().to_string();
            assert!(error.contains("box"), "{error}");
        }
        assert_eq!(desk.crop_box(), Some(crop));
    }

    #[test]
    fn there_is_no_photograph_beyond_the_last() {
        let folder = tempfile::tempdir().unwrap();
        assert!(desk(folder.path()).photograph(12).unwrap().is_none());
    }
}
