//! What a viewer asks to see.

use crate::geometry::{Bounds, Camera};
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
    /// Box in coordinates in memory outside of which nothing is shown; None for no such box.
    pub crop: Option<Bounds>,
    /// Of a fitted image, the number of columns from the left that show the original instead of the channel.
    pub split: u32,
}
