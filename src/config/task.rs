//! What a field can be of, and the keys of images and distance fields.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a field is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskName {
    #[default]
    Radiance,
    Image,
    Sdf,
}

impl TaskName {
    /// The command that trains it.
    pub fn command(self) -> &'static str {
        match self {
            TaskName::Radiance => "train",
            TaskName::Image => "fit-image",
            TaskName::Sdf => "fit-sdf",
        }
    }

    /// Coordinates of a point that the field is asked at.
    pub fn dimensions(self) -> u32 {
        match self {
            TaskName::Image => 2,
            TaskName::Radiance | TaskName::Sdf => 3,
        }
    }
}

/// Which image, and how it is fitted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageConfig {
    /// The image's file.
    pub path: PathBuf,
    pub loss: ImageLoss,
}

/// How far a pixel is from the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageLoss {
    /// `relative_l2` for images of floating-point numbers, else `l2`.
    #[default]
    Auto,
    /// `(y − t)²`
    L2,
    /// `(y − t)² / (y² + 0.01)`, for a high dynamic range (Lehtinen et al., Noise2Noise, ICML 2018).
    RelativeL2,
}

/// Which mesh, and how its distances are fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SdfConfig {
    /// The mesh's file.
    pub path: PathBuf,
    /// Scale of the logistic move of points near the surface off it, in longest sides of the mesh's box.
    pub near_deviation: f64,
    /// Steps for which points are used before others are drawn.
    pub reuse: u32,
    /// Triangles farther than so many of their radii count together as one dipole where winding numbers are worked out.
    pub winding_accuracy: f64,
    /// Of the eikonal term, the mean of (|∇f| − 1)², beside the mean loss of distances; 0: none.
    pub eikonal_weight: f64,
    /// Corners of the stencil that ∇f is taken from are at ± so much along each axis, in sides of the unit cube. A GPU's values
    /// are fp16 and resolve no differences over much less than the default.
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
