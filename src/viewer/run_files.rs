//! Files that browsers save with a run and read from its scene: camera paths, the crop box, photographs.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::geometry::{Camera, Corners, SceneBox};
use crate::scene::path::Keyframes;
use crate::scene::{CameraPath, Image8, Scene, Split, View};
use crate::{Error, Result, atomic};

/// Maximum number of keys of a path.
const MOST_KEYS: usize = 200;
/// Maximum number of frames of a path: ten minutes at 30 frames per second.
const MOST_FRAMES: f64 = 18_000.0;
/// Maximum number of frames of a preview; the browser interpolates between them.
const MOST_IN_PREVIEW: usize = 600;
/// Longest side of a photograph as it is shown, in pixels.
const SIDE_OF_PHOTOGRAPH: u32 = 1600;

/// Name of the file of the camera path in a run's folder.
pub const CAMERA_PATH: &str = "camera_path.json";
/// Name of the video of the camera path in a run's folder of renders.
const VIDEO: &str = "renders/camera_path.mp4";
/// Name of the file of the crop box in a run's folder.
pub const CROP_BOX: &str = "crop_box.json";

/// The files of a run and its scene that browsers write and read.
pub struct RunFiles {
    /// The scene without its views.
    scene: Scene,
    folder: PathBuf,
    photographs: Vec<View>,
}

impl RunFiles {
    /// Describes the files of a run whose results are in `folder`.
    pub fn new(scene: &Scene, folder: &Path) -> RunFiles {
        let photographs = views(scene).map(|(_, view)| view.clone()).collect();
        let bare = Scene { splits: Default::default(), points: Vec::new(), ..scene.clone() };
        RunFiles { scene: bare, folder: folder.to_path_buf(), photographs }
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
    /// Returns the errors of [`RunFiles::preview`], and an error if the file cannot be written.
    pub fn save_path(&self, keys: &Keyframes) -> Result<(CameraPath, PathBuf)> {
        let path = self.path(keys)?;
        let file = self.folder.join(CAMERA_PATH);
        atomic::write_json(&file, &keys.document(&path, &self.scene))?;
        Ok((path, file))
    }

    /// Returns the saved path, in coordinates in memory; None if there is none, or none that this program has made.
    pub fn saved_path(&self) -> Option<Keyframes> {
        let text = fs::read_to_string(self.folder.join(CAMERA_PATH)).ok()?;
        Keyframes::of_document(&serde_json::from_str(&text).ok()?, &self.scene)
    }

    /// Returns the path of a camera path's video, and creates its folder.
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
    pub fn save_box(&self, crop: Option<Corners>) -> Result<PathBuf> {
        let file = self.folder.join(CROP_BOX);
        match crop.map(SceneBox::try_from).transpose()? {
            Some(crop) => atomic::write_json(&file, &crop.moved(self.scene.unit_cube.origin))?,
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
    pub fn crop_box(&self) -> Option<SceneBox> {
        let saved = saved_crop_box(&self.folder).ok().flatten()?;
        Some(saved.moved(self.scene.unit_cube.origin.map(|x| -x)))
    }

    /// Decodes photograph `number`, as [`SceneCamera::photograph`](super::SceneCamera::photograph) counts them, reduced
    /// to what a screen shows; None if there is no such photograph.
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

/// Reads the crop box that was saved in the folder of a run, in the coordinates of the scene's files; None if there is
/// none.
///
/// # Errors
/// Returns an error if the file is not what a viewer saves.
pub fn saved_crop_box(folder: &Path) -> Result<Option<SceneBox>> {
    let file = folder.join(CROP_BOX);
    let text = match fs::read_to_string(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| Error::file(&file, format!("cannot be read ({error})")))?,
    };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        Error::file(&file, format!("is not a crop box ({error}); remove it, or save it again in the viewer"))
    })
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

    fn files(folder: &Path) -> RunFiles {
        let cube = UnitCube { origin: [1e6, 0.0, -1e6], ..UnitCube::BLENDER };
        RunFiles::new(&Scene::turntable("x", cube, [0.0; 3], 1.0), folder)
    }

    #[test]
    fn a_box_is_kept_in_the_coordinates_of_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        assert_eq!(files.crop_box(), None);
        let crop = Corners { min: [-1.0, -0.5, 0.0], max: [1.0, 0.5, 0.25] };
        let file = files.save_box(Some(crop)).unwrap();
        let saved: Corners = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(saved.min, [1e6 - 1.0, -0.5, -1e6]);
        assert_eq!(files.crop_box().map(Corners::from), Some(crop));
        for _ in 0..2 {
            files.save_box(None).unwrap();
            assert!(!file.exists() && files.crop_box().is_none());
        }
    }

    #[test]
    fn empty_boxes_are_refused_and_leave_the_saved_one() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let crop = Corners { min: [0.0; 3], max: [1.0; 3] };
        files.save_box(Some(crop)).unwrap();
        for max in [[1.0, 0.0, 1.0], [1.0, f64::NAN, 1.0], [1.0, 1.0, f64::INFINITY]] {
            let error = files.save_box(Some(Corners { max, ..crop })).unwrap_err().to_string();
            assert!(error.contains("box"), "{error}");
        }
        assert_eq!(files.crop_box().map(Corners::from), Some(crop));
    }

    #[test]
    fn there_is_no_photograph_beyond_the_last() {
        let folder = tempfile::tempdir().unwrap();
        assert!(files(folder.path()).photograph(12).unwrap().is_none());
    }
}
