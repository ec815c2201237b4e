//! What an image of a frame shows: its colour, or one of the quantities beside it.

use serde::{Deserialize, Serialize};

use super::frame::{Frame, SURFACE_OPACITY};
use crate::geometry::Camera;
use crate::media;

/// What an image of a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Channel {
    /// The colour over the background
    Rgb,
    /// The distance along the ray, yellow near and blue far
    Depth,
    /// White where light is blocked, black where it passes
    Opacity,
    /// The surface normal: x, y and z as red, green and blue
    Normal,
    /// The occupied cells that rays meet first: blue for hardly occupied ones, yellow for opaque ones
    Occupancy,
    /// Of a fitted image, the image that it was fitted to
    #[cfg_attr(feature = "cli", value(skip))]
    Original,
    /// Of a fitted image, how far it is from the original
    #[cfg_attr(feature = "cli", value(skip))]
    Error,
}

/// What is drawn of a field: several [`Channel`]s can be pictures of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The field itself.
    Field,
    /// The occupied cells of its occupancy grid, as boxes.
    Occupancy,
    /// The image that it was fitted to, if it is a fitted image.
    Original,
    /// Its difference from that image.
    Error,
}

impl Channel {
    /// Returns the name used on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Channel::Rgb => "rgb",
            Channel::Depth => "depth",
            Channel::Opacity => "opacity",
            Channel::Normal => "normal",
            Channel::Occupancy => "occupancy",
            Channel::Original => "original",
            Channel::Error => "error",
        }
    }

    /// Returns the layer of which this channel is a picture.
    pub fn layer(self) -> Layer {
        match self {
            Channel::Occupancy => Layer::Occupancy,
            Channel::Original => Layer::Original,
            Channel::Error => Layer::Error,
            Channel::Rgb | Channel::Depth | Channel::Opacity | Channel::Normal => Layer::Field,
        }
    }

    /// Converts this channel to 8-bit sRGB, `[h, w, 3]`. `frame` is its [layer](Channel::layer) as seen by `camera`;
    /// `depth_range` is the nearest and farthest distance in the colour scale of depths, by default those of the frame.
    pub fn image(self, frame: &Frame, camera: &Camera, depth_range: Option<(f32, f32)>) -> Vec<u8> {
        match self {
            Channel::Rgb | Channel::Occupancy | Channel::Original | Channel::Error => media::to_rgb8(&frame.rgb),
            Channel::Depth => media::depth_rgb8(&surface_depths(frame), depth_range),
            Channel::Opacity => media::to_rgb8(&frame.opacity.iter().flat_map(|&o| [o; 3]).collect::<Vec<_>>()),
            Channel::Normal => {
                let colors: Vec<f32> = frame.normals(camera).iter().map(|n| 0.5 + 0.5 * n).collect();
                media::to_rgb8(&colors)
            }
        }
    }
}

/// Returns the depths of pixels with a surface, and 0 elsewhere.
pub(super) fn surface_depths(frame: &Frame) -> Vec<f32> {
    let pixels = frame.depth.iter().zip(&frame.opacity);
    pixels.map(|(&depth, &opacity)| if opacity >= SURFACE_OPACITY { depth } else { 0.0 }).collect()
}
