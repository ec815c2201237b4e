//! Visual output: 8-bit images, colormaps, PNG files, videos, charts and tables.
//!
//! Files appear complete or not at all: each is written under another name in the same folder and renamed at the end.

pub mod colormap;
mod pixels;
pub mod plot;
mod png;
mod sharpness;
pub mod table;
mod video;
mod yuv;

pub use pixels::{depth_rgb8, linear, to_rgb8};
pub use png::{Pixels, encode_png, write_png};
pub use video::{Encoder, VideoWriter, video_size};
pub(crate) use video::{JudgedFrame, VideoReader};
