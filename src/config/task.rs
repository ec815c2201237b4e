//! The tasks that a field can be trained for, and the configuration keys of images and distance fields.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Task that a field is trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskName {
    /// A radiance field of a captured scene.
    #[default]
    Radiance,
    /// An image.
    Image,
    /// The signed distance to a mesh.
    Sdf,
}

impl TaskName {
    /// Returns the command that trains a field for this task.
    pub fn command(self) -> &'static str {
        match self {
            TaskName::Radiance => "train",
            TaskName::Image => "fit-image",
            TaskName::Sdf => "fit-sdf",
        }
    }

    /// Returns the number of input coordinates of the field.
    pub fn dimensions(self) -> u32 {
        match self {
            TaskName::Image => 2,
            TaskName::Radiance | TaskName::Sdf => 3,
        }
    }
}

/// The image and how it is fitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageConfig {
    /// Image file.
    pub path: PathBuf,
    /// Loss of the fitted values.
    pub loss: ImageLoss,
}

/// Loss between a predicted value `y` and its target `t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageLoss {
    /// `relative_l2` for floating-point images, else `l2`.
    #[default]
    Auto,
    /// `(y − t)²`
    L2,
    /// `(y − t)² / (y² + 0.01)`, for high dynamic range (Lehtinen et al., Noise2Noise, ICML 2018).
    RelativeL2,
}

/// The mesh and how its signed distances are fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SdfConfig {
    /// Mesh file.
    pub path: PathBuf,
    /// Scale of the logistic offset by which points near the surface are moved off it, in units of the longest side of
    /// the mesh's box.
    pub near_deviation: f64,
    /// Number of steps for which points are used before new ones are drawn.
    pub reuse: u32,
    /// A group of triangles farther away than this many of its radii is treated as one dipole when winding numbers are
    /// computed.
    pub winding_accuracy: f64,
    /// Weight of the eikonal term, the mean of (|∇f| − 1)², added to the mean loss of the distances; 0 for none.
    pub eikonal_weight: f64,
    /// Offset of the corners of the ∇f stencil, ± along each axis, in units of the unit cube's side. Values on a GPU
    /// are fp16 and cannot resolve differences over distances much smaller than the default.
    pub eikonal_step: f64,
}

impl Default for SdfConfig {
    fn default() -> Self {
        SdfConfig {
            path: PathBuf::new(),
            near_deviation: 4e-3,
            reuse: 4,
            winding_accuracy: 2.0,
            eikonal_weight: 0.0,
            eikonal_step: 2e-3,
        }
    }
}
