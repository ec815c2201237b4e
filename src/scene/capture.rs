//! How a scene was photographed, on which the presets and the mapping of space depend.

use super::View;
use crate::geometry::pose;

/// Kind of camera arrangement with which the photographs were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureKind {
    /// Rendered images of an object that lies within the unit cube, with nothing behind it.
    Synthetic,
    /// All cameras face the same direction, and the scene may extend to infinity.
    ForwardFacing,
    /// Cameras around or inside a scene that continues behind what they look at.
    Inward,
}

/// Properties of how a scene was photographed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capture {
    /// Where the cameras stand and look.
    pub kind: CaptureKind,
    /// Nearest and farthest depth of anything seen by a training camera, along its optical axis (of a panorama, along
    /// the ray) in scene units, where the format provides them. `0 < near < far`, both finite. Always present where
    /// `kind` is [`ForwardFacing`](CaptureKind::ForwardFacing).
    pub bounds: Option<[f32; 2]>,
    /// Extent of the scene: the side, in unit cubes, of a box around the centre of the unit cube. It is either given by
    /// the scene (instant-ngp's `aabb_scale`) or holds most points of a reconstruction. A power of two.
    pub aabb_scale: Option<u32>,
    /// The average training camera, as a row-major 3×4 camera-to-world matrix with orthonormal axes: the frame of
    /// normalized device coordinates.
    pub frame: [[f32; 4]; 3],
}

impl Capture {
    /// Returns the capture of a scene without photographs.
    pub fn unknown() -> Self {
        Capture::of(CaptureKind::Synthetic, &[])
    }

    /// Returns the capture of training views, with bounds that span those of the views.
    pub(super) fn of(kind: CaptureKind, views: &[View]) -> Self {
        let bounds = views.iter().filter_map(|view| view.bounds);
        let bounds = bounds.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]);
        Capture { kind, bounds, aabb_scale: None, frame: pose::average(views.iter().map(|view| &view.camera)) }
    }
}
