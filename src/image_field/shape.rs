//! What a checkpoint says about the image to which its field was fitted.

use serde::{Deserialize, Serialize};

use super::Image;
use crate::Result;
use crate::checkpoint::Checkpoint;
use crate::decoder::Head;

/// Key of the [`Shape`] in a checkpoint's header.
pub(super) const SHAPE: &str = "image";

/// Facts that a checkpoint stores about the image to which its field was fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// 1 for grey, 2 for grey and alpha, 3 for RGB, 4 for RGBA.
    pub n_channels: u32,
    /// Whether values are linear with any range. Otherwise they are sRGB in [0, 1].
    pub is_hdr: bool,
}

impl Shape {
    /// Returns the facts about `image`.
    pub fn of(image: &Image) -> Self {
        let Image { width, height, n_channels, .. } = *image;
        Shape { width, height, n_channels, is_hdr: image.is_hdr() }
    }

    /// Reads the shape from a checkpoint's header.
    ///
    /// # Errors
    /// Returns an error if the field was not fitted to an image, or if the stored shape is invalid.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let shape: Shape = checkpoint.trainer_state(SHAPE)?;
        if (1..=4).contains(&shape.n_channels) && shape.width > 0 && shape.height > 0 {
            return Ok(shape);
        }
        Err(checkpoint.refuse(format!("the header's `{SHAPE}` is {shape:?}, which no picture is; the file is damaged")))
    }

    /// Returns what a field of the image represents: one value per channel at points of two coordinates.
    pub fn head(&self) -> Head {
        Head::Values { dimensions: 2, n_outputs: self.n_channels }
    }
}
