//! What was photographed: cameras, images, and the readers that bring them in from disk. Knows no device.
//!
//! World space is the scene's own; a camera looks along its −z axis with x to the right and y up (the OpenGL and Blender
//! convention). Pixel coordinates are continuous, with the origin at the top left corner of the image and y down: the
//! centre of pixel `(i, j)` is `(i + 0.5, j + 0.5)`.

mod blender;
mod camera;
mod image8;
mod json;
mod load;
mod open;
pub mod path;
mod pose;

pub use camera::{Camera, Intrinsics};
pub use image8::Image8;
pub(crate) use load::jpeg_is_complete;
pub use load::load_images;
pub use path::CameraPath;

use crate::Result;
use serde::{Deserialize, Serialize};
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
    /// The sRGB colour that stands behind transparent pixels when views are compared or shown. White for Blender
    /// scenes, as in the tables of the NeRF paper and its successors.
    pub background: [f32; 3],
}

/// How a scene is stored on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A folder with `transforms_train.json` and, optionally, `transforms_val.json` and `transforms_test.json`, as
    /// published with the NeRF paper's synthetic scenes.
    Blender,
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

/// One photograph: where its pixels are and the camera that took it.
#[derive(Clone, Debug)]
pub struct View {
    /// The image's path inside the scene without its extension, such as `train/r_0`; messages and results name views
    /// by it.
    pub name: String,
    pub image_path: PathBuf,
    /// At the image's full size.
    pub camera: Camera,
}

impl View {
    /// Decodes the image, reduced `downscale` times in width and height. [`Camera::downscaled`] with the same number
    /// is the camera of the result.
    ///
    /// Fails when the file is missing, truncated, not a PNG or JPEG, smaller than `downscale`, or not of the size it
    /// had when the scene was opened.
    pub fn load(&self, downscale: u32) -> Result<Image8> {
        load::load_view(self, downscale)
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

    /// From scene coordinates into the unit cube.
    pub fn to_unit(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|axis| self.scale * point[axis] + self.offset[axis])
    }

    /// From the unit cube back to scene coordinates.
    pub fn to_scene(&self, point: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|axis| (point[axis] - self.offset[axis]) / self.scale)
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
