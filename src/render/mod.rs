//! Frames and videos of fields in space, for any [`Render`]: radiance fields and distance fields alike.

mod channel;
mod exr;
mod frame;
mod video;

pub use channel::Channel;
pub use frame::Frame;
pub use video::{Destination, FramePattern, Shard, Video};

use crate::Result;
use crate::geometry::Camera;

/// Renders a field as seen by a camera.
pub trait Render {
    /// Renders what the camera sees over a background (sRGB, 0 to 1).
    ///
    /// # Errors
    /// Returns an error if the device fails, or if a pixel is not finite, as happens after training has diverged.
    fn render(&self, camera: &Camera, background: [f32; 3]) -> Result<Frame>;
}
