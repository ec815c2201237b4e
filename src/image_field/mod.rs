//! Images as fields: a grid and a network that give the colour at any point of the picture.

mod compare;
mod data;
mod picture;
mod render;
mod report;
mod study;

pub use compare::{Comparison, compare, side_by_side};
pub use data::{PictureData, Shape};
pub use picture::{Picture, Texels, shown_rgb};
pub use render::{Part, render, write_picture};
pub use report::ImageReport;
pub use study::{Entry, Study, courses, error_maps, table};
