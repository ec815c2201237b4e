//! What was photographed: cameras, images, and the readers that bring them in from disk. Knows no device.
//!
//! World space is the scene's own; a camera looks along its −z axis with x to the right and y up (the OpenGL and Blender
//! convention). Pixel coordinates are continuous, with the origin at the top left corner of the image and y down: the
//! centre of pixel `(i, j)` is `(i + 0.5, j + 0.5)`.

mod blender;
mod camera;
mod capture;
mod colmap;
mod fit;
mod frames;
mod hold_out;
mod image8;
pub mod import;
mod json;
mod lens;
mod llff;
mod load;
mod open;
pub mod path;
mod pose;
mod rig;
mod rig_picture;
mod space;
mod transforms;
mod turntable;
mod view;

pub use camera::{Camera, Intrinsics};
pub use capture::{Capture, CaptureKind};
pub use image8::Image8;
pub use lens::Lens;
pub(crate) use load::jpeg_is_complete;
pub use load::load_images;
pub use open::OpenOptions;
pub use path::CameraPath;
pub use rig::RigFault;
pub use space::{Ndc, Space};
pub use view::{DepthMap, ImageFile, Mask, View};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// A set of photographs with known cameras, read and checked, with no image decoded yet.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The scene's folder, as it was given.
    pub path: PathBuf,
    /// The folder's name: what outputs are filed under.
    pub name: String,
    pub format: Format,
    pub splits: Splits,
    /// Where the model's unit cube lies in the scene.
    pub unit_cube: UnitCube,
    /// How it was photographed.
    pub capture: Capture,
    /// Points of the scene's surfaces in scene coordinates, where the format has them.
    pub points: Vec<[f32; 3]>,
    /// What the user should know of how the scene was read, a sentence each.
    pub notes: Vec<String>,
    /// The sRGB colour that stands behind transparent pixels when views are compared or shown. White for Blender
    /// scenes, as in the tables of the NeRF paper and its successors.
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

/// How a scene is stored on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A folder with `transforms_train.json` and, optionally, `transforms_val.json` and `transforms_test.json`, as
    /// published with the NeRF paper's synthetic scenes.
    Blender,
    /// A folder with `poses_bounds.npy` and folders of images, as published with the LLFF paper.
    Llff,
    /// A folder with a reconstruction by COLMAP in `sparse/0` and photographs in `images`.
    Colmap,
    /// A folder with `transforms.json`, as nerfstudio and instant-ngp write it.
    Transforms,
}

impl Format {
    /// The name as it stands in a config file.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Blender => "blender",
            Format::Llff => "llff",
            Format::Colmap => "colmap",
            Format::Transforms => "transforms",
        }
    }
}

/// The views by purpose. `train` of a scene that was opened is never empty; `val` and `test` are when it has none.
#[derive(Clone, Debug, Default)]
pub struct Splits {
    pub train: Vec<View>,
    pub val: Vec<View>,
    pub test: Vec<View>,
}

impl Splits {
    /// The views of `split`.
    pub fn views(&self, split: Split) -> &[View] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }
}

/// A purpose that views are set apart for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Split {
    Train,
    Val,
    Test,
}

impl Split {
    /// As in the names of the transforms files.
    pub fn as_str(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }
}

/// The similarity between scene coordinates and the unit cube `[0, 1]³` that a model covers:
/// `x_unit = scale · x_scene + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitCube {
    pub scale: f32,
    pub offset: [f32; 3],
}

impl UnitCube {
    /// What instant-ngp's loader does to scenes without a scale of their own (`NERF_SCALE` 0.33, offset 0.5); it holds
    /// the NeRF paper's synthetic scenes, which reach ±1.5 around the origin.
    pub const BLENDER: UnitCube = UnitCube { scale: 0.33, offset: [0.5; 3] };

    /// With another scale around the same centre.
    pub fn with_scale(&self, scale: f32) -> Self {
        let centre = self.to_scene([0.5; 3]);
        UnitCube { scale, offset: std::array::from_fn(|axis| 0.5 - scale * centre[axis]) }
    }

    /// From scene coordinates into the unit cube.
    pub fn to_unit(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|axis| self.scale * point[axis] + self.offset[axis])
    }

    /// From the unit cube back to scene coordinates.
    pub fn to_scene(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|axis| (point[axis] - self.offset[axis]) / self.scale)
    }
}

impl fmt::Display for UnitCube {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x_unit = {} x_scene + {:?}", self.scale, self.offset)
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
