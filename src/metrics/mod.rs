//! Metrics of how close a fit is to the ground truth: PSNR, SSIM, LPIPS and an error map for images; distances and
//! volumes for surfaces.
//!
//! Images are `[height, width, 3]` in `[0, 1]`. Sums are accumulated in f64 over fixed pieces in a fixed order, so the
//! same images give bitwise the same result for any number of threads.

mod error_map;
pub mod lpips;
mod psnr;
mod ssim;
mod surface;

pub use error_map::{ERROR_AT_FULL_SCALE, error_map};
pub use lpips::Lpips;
pub(crate) use psnr::mse;
pub use psnr::psnr;
pub use ssim::{SSIM_WINDOW, ssim};
pub use surface::{Measured, SurfaceScore, compare_surfaces, intersection_over_union};

/// A sample type that the metrics accept: f32, or f64 for comparison with a reference.
pub trait Sample: Copy + Sync + Into<f64> {}

impl<T: Copy + Sync + Into<f64>> Sample for T {}
