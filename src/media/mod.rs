//! Visual output: 8-bit images, colormaps, PNG files, videos, charts and tables.
//!
//! Files appear complete or not at all: each is written under another name in the same folder and renamed at the end.

pub(crate) mod colormap;
mod pixels;
pub(crate) mod plot;
mod png;
mod sharpness;
pub(crate) mod table;
mod video;
mod yuv;

pub(crate) use pixels::depth_rgb8;
pub use pixels::{linear, to_rgb8};
pub use png::{Pixels, write_png};
pub(crate) use png::{content_of_png, encode_png};
pub use video::{Encoder, VideoWriter};
pub(crate) use video::{JudgedFrame, VideoReader, video_size};
