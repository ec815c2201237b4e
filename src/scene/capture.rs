//! How a scene was photographed: what the presets and the mapping of space go by.

use super::{View, pose};

/// What kind of rig took the photographs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureKind {
    /// Rendered pictures of something that lies within the unit cube, with nothing behind it.
    Synthetic,
    /// All cameras look the same way, into a scene that may reach to infinity.
    ForwardFacing,
    /// Cameras around or within a scene that goes on behind what they look at.
    Inward,
}

/// How a scene was photographed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Capture {
    pub kind: CaptureKind,
    /// The nearest and the farthest that anything seen is from a training camera, along its optical axis, in scene units,
    /// where the format tells. `0 < near < far`, both finite. Always there where `kind` is
    /// [`ForwardFacing`](CaptureKind::ForwardFacing).
    pub bounds: Option<[f32; 2]>,
    /// How far the scene reaches: a box that is so many times the unit cube, about its centre; its own word (instant-ngp's
    /// `aabb_scale`), or what holds most points of a reconstruction. A power of two.
    pub aabb_scale: Option<u32>,
    /// The average training camera, as a row-major 3×4 camera-to-world matrix with orthonormal axes: the frame of
    /// normalised device coordinates.
    pub frame: [[f32; 4]; 3],
}

impl Capture {
    /// Where there are no photographs to tell.
    pub fn unknown() -> Self {
        Capture::of(CaptureKind::Synthetic, &[])
    }

    /// Of training views, with the bounds that the views have.
    pub(super) fn of(kind: CaptureKind, views: &[View]) -> Self {
        let bounds = views.iter().filter_map(|view| view.bounds);
        let bounds = bounds.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]);
        Capture { kind, bounds, aabb_scale: None, frame: pose::average(views) }
    }
}
