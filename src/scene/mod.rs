//! Scenes: cameras, images, and the readers that load them from disk. Independent of any device.
//!
//! World coordinates are those of the scene's files, relative to [`UnitCube::origin`]. A camera looks along its −z
//! axis, with x to the right and y up (the OpenGL and Blender convention). Pixel coordinates are continuous, with the
//! origin at the top left corner of the image and y down: the centre of pixel `(i, j)` is `(i + 0.5, j + 0.5)`.

mod blender;
mod capture;
mod colmap;
mod duplicates;
mod fit;
mod frames;
mod hold_out;
mod image8;
pub mod import;
mod json;
mod keys;
mod llff;
mod load;
mod locate;
mod open;
mod options;
mod panorama;
pub mod path;
mod rig;
mod rig_picture;
mod transforms;
mod turntable;
mod view;

pub use capture::{Capture, CaptureKind};
pub use image8::Image8;
pub use load::load_images;
#[cfg(test)]
pub(crate) use load::sideways_jpeg;
pub(crate) use load::{foreign_format, jpeg_is_complete};
pub use options::OpenOptions;
pub use path::CameraPath;
pub use rig::RigFault;
pub use view::{DepthMap, ImageFile, Mask, View};

use crate::geometry::UnitCube;
use serde::{Deserialize, Serialize};
use std::ops::Neg;
use std::path::PathBuf;

/// A set of photographs with known cameras, read and validated, with no image decoded yet.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Folder of the scene, as given.
    pub path: PathBuf,
    /// Name of the folder, under which outputs are filed.
    pub name: String,
    /// Format that the scene was read from.
    pub format: Format,
    /// Views for training, validation and testing.
    pub splits: Splits,
    /// Placement of the model's unit cube in the scene.
    pub unit_cube: UnitCube,
    /// How the scene was photographed.
    pub capture: Capture,
    /// Points on the scene's surfaces in scene coordinates (see [`UnitCube`]), if the format has them.
    pub points: Vec<[f32; 3]>,
    /// Notes for the user on how the scene was read, one sentence each.
    pub notes: Vec<String>,
    /// sRGB colour behind transparent pixels when views are compared or shown. White for Blender scenes, as in the
    /// tables of the NeRF paper and its successors.
    pub background: [f32; 3],
}

/// What a reader finds in a folder.
struct Contents {
    splits: Splits,
    unit_cube: UnitCube,
    capture: Capture,
    points: Vec<[f32; 3]>,
    notes: Vec<String>,
}

/// Storage format of a scene on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A folder with `transforms_train.json` and, optionally, `transforms_val.json` and `transforms_test.json`, as
    /// published with the NeRF paper's synthetic scenes.
    Blender,
    /// A folder with `poses_bounds.npy` and folders of images, as published with the LLFF paper.
    Llff,
    /// A folder with a COLMAP reconstruction in `sparse/0` and photographs in `images`.
    Colmap,
    /// A folder with `transforms.json`, as written for nerfstudio and instant-ngp.
    Transforms,
}

impl Format {
    /// Returns the name used in config files.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Blender => "blender",
            Format::Llff => "llff",
            Format::Colmap => "colmap",
            Format::Transforms => "transforms",
        }
    }
}

/// Axes of the cameras in a transforms file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum PoseConvention {
    /// x right, y up, z back: those of the formats.
    #[default]
    #[cfg_attr(feature = "cli", value(name = "opengl"))]
    OpenGl,
    /// x right, y down, z forward: those of files that were converted without turning the axes.
    #[cfg_attr(feature = "cli", value(name = "opencv"))]
    OpenCv,
}

impl PoseConvention {
    /// Returns the name used in config files.
    pub fn as_str(self) -> &'static str {
        match self {
            PoseConvention::OpenGl => "opengl",
            PoseConvention::OpenCv => "opencv",
        }
    }

    /// Returns a camera-to-world matrix of this convention with the axes that cameras have here.
    fn to_opengl<T: Neg<Output = T>>(self, rows: [[T; 4]; 3]) -> [[T; 4]; 3] {
        match self {
            PoseConvention::OpenGl => rows,
            PoseConvention::OpenCv => rows.map(|[right, down, forward, position]| [right, -down, -forward, position]),
        }
    }
}

/// Views by purpose. `train` is never empty in a scene that was opened; `val` and `test` are empty if it has none.
#[derive(Clone, Debug, Default)]
pub struct Splits {
    /// Training views.
    pub train: Vec<View>,
    /// Validation views.
    pub val: Vec<View>,
    /// Test views.
    pub test: Vec<View>,
}

impl Splits {
    /// Returns the views of `split`.
    pub fn views(&self, split: Split) -> &[View] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }
}

/// Purpose of a set of views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
// The variants' documentation would become help texts of the program.
#[allow(missing_docs)]
pub enum Split {
    Train,
    Val,
    Test,
}

impl Split {
    /// Returns the name used in the names of the transforms files.
    pub fn as_str(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_cube_maps_there_and_back() {
        let cube = UnitCube::BLENDER;
        assert_eq!(cube.to_unit([0.0; 3]), [0.5; 3]);
        let point = [-1.2, 0.3, 1.5];
        let back = cube.to_scene(cube.to_unit(point));
        for axis in 0..3 {
            assert!((back[axis] - point[axis]).abs() < 1e-6);
        }
    }
}
