//! Grid-based neural fields: training, evaluation and rendering of radiance fields and fitted images on CUDA and on the
//! CPU, from one set of kernels.
//!
//! The definition behind the whole crate: a grid-based model is `g(x; w) = Σ_{i ∈ U(x)} φ(x, p_i) · w_i`. An *index
//! function* `U` selects nodes, a *kernel function* `φ` weights them, and the *features* `w` are learned (Zhao et al.,
//! CVPR 2024, arXiv 2403.20002).
//!
//! Modules depend on each other in one direction only: `cli → gtk → sdf → radiance | image_field → fit → field →
//! encoding → train, decoder, metrics → mesh → scene, device`.
//! `encoding` does not depend on any task, `scene` does not depend on any device, and all unsafe code is in `device`.

mod atomic;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod decoder;
pub mod device;
pub mod encoding;
pub mod error;
pub mod field;
pub mod fit;
pub mod geometry;
pub mod gtk;
pub mod image_field;
pub mod media;
mod memory;
pub mod mesh;
pub mod metrics;
mod npy;
pub mod radiance;
pub mod scene;
pub mod sdf;
pub mod train;

pub use error::{Error, Result};
