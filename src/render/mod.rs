//! Frames and videos of fields in space, for any [`Render`]: radiance fields and distance fields alike.

mod channel;
mod exr;
mod frame;
mod video;

pub use channel::{Channel, Layer};
pub use frame::Frame;
pub use video::{Destination, FramePattern, Shard, Video};

use crate::geometry::{Bounds, Camera};
use crate::{Error, Result};

/// What a camera is to see of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenderOptions {
    /// What is drawn.
    pub layer: Layer,
    /// Colour behind it, sRGB from 0 to 1.
    pub background: [f32; 3],
    /// Box in coordinates in memory outside of which nothing is drawn; None for no such box.
    pub crop: Option<Bounds>,
}

/// Renders a field as seen by a camera.
pub trait Render {
    /// Renders what the camera sees.
    ///
    /// # Errors
    /// Returns an error if the device fails, if a pixel is not finite, as happens after training has diverged, or if the
    /// field has no such layer.
    fn render(&self, camera: &Camera, options: &RenderOptions) -> Result<Frame>;

    /// Returns a box in coordinates in memory around what the field shows, without what lies far from most of it; None
    /// if it is not known.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    fn extent(&self) -> Result<Option<Bounds>> {
        Ok(None)
    }

    /// Returns the channels of which pictures can be made.
    fn channels(&self) -> &'static [Channel] {
        &[Channel::Rgb, Channel::Depth, Channel::Opacity, Channel::Normal]
    }

    /// Checks that pictures of a channel can be made.
    ///
    /// # Errors
    /// Returns an error if the field does not have the channel.
    fn check(&self, channel: Channel) -> Result<()> {
        match self.channels().contains(&channel) {
            true => Ok(()),
            false => {
                let what = format!("this field has no {} to be shown; choose other --outputs", channel.name());
                Err(Error::config(what))
            }
        }
    }
}

impl RenderOptions {
    /// Returns the whole field over a background.
    pub fn field(background: [f32; 3]) -> RenderOptions {
        RenderOptions { layer: Layer::Field, background, crop: None }
    }
}
