//! Image fields: a grid and a network that predict the colour at any point of an image.

mod compare;
mod data;
mod image;
mod plane;
mod render;
mod report;
mod shape;
mod study;

pub use compare::{Comparison, compare, side_by_side};
pub use data::ImageData;
pub use image::{Image, Texels};
pub use plane::ImagePlane;
pub use render::{Part, render, write_image};
pub use report::ImageReport;
pub use shape::Shape;
pub use study::{Entry, Study, courses, error_maps, table};
