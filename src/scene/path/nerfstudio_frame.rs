//! The frame of reference of nerfstudio's camera paths.
//!
//! nerfstudio rotates, translates and scales the cameras of a scene before training, and its viewer saves paths in the
//! resulting frame. Its run keeps the map in `dataparser_transforms.json`: x = scale · (transform · x_original). The
//! original coordinates are those before `ns-process-data` wrote the scene. What that program did to them is in the
//! keys `applied_transform` and `applied_scale` of `transforms.json`, and nerfstudio's loader multiplies both into the
//! map: transform = T · applied_transform and scale = s · applied_scale, where x = s · (T · x_scene).

use std::path::{Path, PathBuf};
use std::str::FromStr;

use nalgebra::{Matrix3, Vector3};

use crate::geometry::pose;
use crate::scene::Scene;
use crate::scene::json::{self, Node, checked_pose};
use crate::{Error, Result};

/// Name of the file with the map.
const MAP: &str = "dataparser_transforms.json";
/// The map that nerfstudio assumes was applied to a scene with a COLMAP reconstruction but no `applied_transform`:
/// older versions of `ns-process-data` did not write the key.
const OF_OLD_SCENES: [[f64; 4]; 3] = [[0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]];

/// Where the map from the scene to nerfstudio's frame comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PathTransforms {
    /// From `dataparser_transforms.json` in the folder of the camera path. Without it, the path is in the coordinates
    /// of the scene.
    #[default]
    Beside,
    /// There is none: the path is in the coordinates of the scene.
    None,
    /// From this file.
    File(PathBuf),
}

impl FromStr for PathTransforms {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        Ok(if text == "none" { PathTransforms::None } else { PathTransforms::File(text.into()) })
    }
}

/// The map from the coordinates of a scene's files to those of a path: x = scale · (rotation · x_scene + translation).
pub(super) struct PathFrame {
    rotation: Matrix3<f64>,
    translation: Vector3<f64>,
    scale: f64,
}

impl PathFrame {
    /// Returns the frame of the camera path in `file`, and a note that says which it is.
    pub fn of(file: &Path, scene: &Scene, transforms: &PathTransforms) -> Result<(PathFrame, String)> {
        let beside = file.with_file_name(MAP);
        let map = match transforms {
            PathTransforms::File(map) => Some(map),
            PathTransforms::Beside if beside.is_file() => Some(&beside),
            PathTransforms::Beside | PathTransforms::None => None,
        };
        let file = file.display();
        let Some(map) = map else {
            let scene_frame = PathFrame { rotation: Matrix3::identity(), translation: Vector3::zeros(), scale: 1.0 };
            let told = match transforms {
                PathTransforms::None => String::new(),
                _ => format!(
                    "; if nerfstudio's viewer saved it, it is in a frame of its own, which {MAP} of the run gives: put \
                     that file beside the path, or give it with --path-transforms FILE"
                ),
            };
            return Ok((scene_frame, format!("{file} is taken to be in the coordinates of the scene{told}")));
        };
        let (applied, applied_scale, told) = applied(scene, map)?;
        let note = format!(
            "{file} is taken to be in nerfstudio's frame, which {}{told} maps to the scene; with --path-transforms none it \
             is in the coordinates of the scene",
            map.display()
        );
        Ok((PathFrame::read(map)?.before(&applied, applied_scale), note))
    }

    /// Returns whether these are the coordinates of the scene's files.
    pub fn is_of_scene(&self) -> bool {
        self.rotation == Matrix3::identity() && self.translation == Vector3::zeros() && self.scale == 1.0
    }

    /// Reads nerfstudio's map, from the original coordinates.
    fn read(file: &Path) -> Result<PathFrame> {
        let document = json::read(file)?;
        let root = Node::root(file, &document);
        let node = root.require("transform", "the 3×4 matrix to nerfstudio's frame")?;
        let (rotation, translation) = parts(&checked_pose(&node, node.matrix()?)?);
        if rotation.determinant() < 0.0 {
            return Err(node.error("mirrors, which nerfstudio's map never does; copy it from the run again"));
        }
        let scale = root.require("scale", "the scale to nerfstudio's frame")?.positive()?;
        Ok(PathFrame { rotation, translation, scale })
    }

    /// Returns the map from the coordinates of the scene, given that from the original ones and what was applied to
    /// these: T = transform · applied_transform⁻¹ and s = scale / applied_scale.
    fn before(self, applied: &[[f64; 4]; 3], applied_scale: f64) -> PathFrame {
        let (turned, moved) = parts(applied);
        // `checked_pose` has refused matrices that have no inverse.
        let rotation = self.rotation * turned.try_inverse().unwrap_or_else(Matrix3::identity);
        PathFrame { rotation, translation: self.translation - rotation * moved, scale: self.scale / applied_scale }
    }

    /// Returns a camera-to-world matrix of the path in the coordinates of the scene's files. Its axes keep their
    /// length.
    pub fn to_scene(&self, rows: &[[f64; 4]; 3]) -> [[f64; 4]; 3] {
        let (axes, position) = parts(rows);
        let inverse = self.rotation.try_inverse().unwrap_or_else(Matrix3::identity);
        let turned = inverse / inverse.determinant().abs().cbrt() * axes;
        let place = inverse * (position / self.scale - self.translation);
        std::array::from_fn(|r| [turned[(r, 0)], turned[(r, 1)], turned[(r, 2)], place[r]])
    }
}

/// Returns the map and the scale that were applied to the original coordinates of a scene, and a clause that says so.
fn applied(scene: &Scene, map: &Path) -> Result<([[f64; 4]; 3], f64, String)> {
    let mut rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    // Distance fields have no scene.
    let has_scene = !scene.path.as_os_str().is_empty();
    if has_scene && !scene.path.is_dir() {
        let what = "is of a scene that is not here, whose transforms.json may have an applied_transform; say where it \
                    lies, with --scene DIR";
        return Err(Error::file(map, what));
    }
    let file = scene.path.join("transforms.json");
    if !(has_scene && file.is_file()) {
        return Ok((rows, 1.0, String::new()));
    }
    let document = json::read(&file)?;
    let root = Node::root(&file, &document);
    let mut told = Vec::new();
    if let Some(node) = root.get("applied_transform") {
        rows = checked_pose(&node, node.matrix()?)?;
        told.push("the applied_transform of transforms.json");
    } else if scene.path.join("colmap/sparse/0").is_dir() {
        rows = OF_OLD_SCENES;
        told.push("the usual applied_transform of COLMAP scenes");
    }
    let mut scale = 1.0;
    if let Some(node) = root.get("applied_scale") {
        scale = node.positive()?;
        told.push("its applied_scale");
    }
    let told = if told.is_empty() { String::new() } else { format!(" with {}", told.join(" and ")) };
    Ok((rows, scale, told))
}

fn parts(rows: &[[f64; 4]; 3]) -> (Matrix3<f64>, Vector3<f64>) {
    (Matrix3::from_fn(|row, column| rows[row][column]), Vector3::from(pose::position(rows)))
}
