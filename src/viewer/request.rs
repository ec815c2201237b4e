//! What a viewer asks to see.

use crate::geometry::Camera;
use crate::render::Channel;

/// A picture of a field that a viewer requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewRequest {
    /// Where the picture is taken from, and its size.
    pub camera: Camera,
    /// What the picture shows.
    pub channel: Channel,
    /// sRGB colour behind the field, 0 to 1; None for the one over which the field is evaluated.
    pub background: Option<[f32; 3]>,
}
