//! Grid-based neural fields: training, evaluation and rendering of radiance fields and fitted images on CUDA and on the
//! CPU, from one set of kernels.
//!
//! The sentence the whole crate repeats: a grid-based model is `g(x; w) = Σ_{i ∈ U(x)} φ(x, p_i) · w_i`. An *index
//! function* `U` picks nodes, a *kernel function* `φ` weighs them, *features* `w` are learned (Zhao et al., CVPR 2024,
//! arXiv 2403.20002).
//!
//! Modules point one way: `cli → gtk → sdf → radiance | image_field → fit → field → encoding → train, decoder, metrics → mesh →
//! scene, device`.
//! `encoding` knows no task; `scene` knows no device; everything unsafe is in `device`.

mod atomic;
pub mod cli;
pub mod config;
pub mod decoder;
pub mod device;
pub mod encoding;
pub mod error;
pub mod field;
pub mod fit;
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
