//! What leaves the program to be looked at: 8-bit images, colormaps, PNG files and videos.

pub mod colormap;
