//! Keys of the captured scene.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::scene::{Format, PoseConvention};

/// The scene and how it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SceneConfig {
    /// The scene's folder.
    pub path: PathBuf,
    /// Format of the scene. None: detected from the content of the folder.
    pub format: Option<Format>,
    /// Folder of the COLMAP reconstruction inside the scene's folder. Empty: `sparse/0`, `sparse` or `colmap/sparse/0`.
    pub sparse: PathBuf,
    /// Whether to skip images that a COLMAP reconstruction names but that are missing.
    pub allow_missing: bool,
    /// Axes of the cameras in transforms files.
    pub pose_convention: PoseConvention,
    /// Kind of scene that the defaults are for.
    pub preset: Preset,
    /// Factor by which the width and height of the images are reduced, by area averaging.
    pub downscale: u32,
    /// Scale of the map from scene units to the unit cube, `x_unit = scale · x_scene + offset`. None: chosen by the
    /// scene reader.
    pub scale: Option<f64>,
    /// Offset of that map, in unit-cube units; see `scale`.
    pub offset: Option<[f64; 3]>,
    /// `ndc` only: depth of the nearest scene content, in scene units. None: taken from the scene.
    pub nearest: Option<f64>,
}

impl Default for SceneConfig {
    fn default() -> Self {
        SceneConfig {
            path: PathBuf::new(),
            format: None,
            sparse: PathBuf::new(),
            allow_missing: false,
            pose_convention: PoseConvention::OpenGl,
            preset: Preset::Auto,
            downscale: 1,
            scale: None,
            offset: None,
            nearest: None,
        }
    }
}

/// Kind of scene that the defaults are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Chosen by how the scene was photographed
    #[default]
    Auto,
    /// Rendered images of an object in a box, with nothing behind it
    Blender,
    /// Photographs that all face the same way
    Llff,
    /// Photographs around or within a scene that continues behind its subject
    Photos,
    /// As photos, but the scene extends far beyond what boxes can cover: all of space
    Unbounded,
}

impl Preset {
    /// Returns the name used in config files.
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::Auto => "auto",
            Preset::Blender => "blender",
            Preset::Llff => "llff",
            Preset::Photos => "photos",
            Preset::Unbounded => "unbounded",
        }
    }
}
