//! Grid-based neural fields: training, evaluation and rendering of radiance fields, fitted images and signed distance
//! fields on CUDA and on the CPU, from one set of kernels.
//!
//! The definition behind the whole crate: a grid-based model is `g(x; w) = Σ_{i ∈ U(x)} φ(x, p_i) · w_i`. An *index
//! function* `U` selects nodes, a *kernel function* `φ` weights them, and the *features* `w` are learned (Zhao et al.,
//! CVPR 2024, arXiv 2403.20002).
//!
//! Train a radiance field on the bundled scene for a few steps, and render a view of it:
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use gridfield::config::Config;
//! use gridfield::device::{Device, DeviceChoice};
//! use gridfield::radiance::{Trainer, TrainingImages, open_scene};
//! use gridfield::train::session::train_until;
//!
//! # fn main() -> gridfield::Result<()> {
//! let device = Device::open(DeviceChoice::Cpu, 0)?;
//! let mut config = Config::on_cpu();
//! config.set_value("scene.path", "scenes/orrery")?;
//! config.set("train.batch_samples=2048")?;
//! let scene = open_scene(&config.scene)?;
//! // Images at an eighth of their size.
//! let images = TrainingImages::load(&device, &scene.splits.train, 8, &scene.unit_cube, &|_, _| {})?;
//! let mut trainer = Trainer::new(&device, &config, &scene, images)?;
//! train_until(&mut trainer, 10, None, &AtomicBool::new(false), &mut |_| Ok(()))?;
//!
//! let camera = scene.splits.test[0].camera.downscaled(8);
//! let frame = trainer.renderer()?.render(&camera, [1.0; 3])?;
//! assert_eq!(frame.rgb.len(), 3 * frame.width * frame.height);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/` has complete programs: training and measuring a scene, rendering a video, fitting an image. The program
//! `gridfield` is behind the default feature `cli`; library users can leave it out.
//!
//! Modules depend on each other in one direction only:
//!
//! ```text
//! cli → viewer, gtk → sdf | radiance | image_field → fit → field → encoding → train → render, checkpoint
//!     → decoder → config → scene, metrics → mesh, media → geometry, ranks → device
//! ```
//!
//! `encoding` does not depend on any task, `scene` does not depend on any device, and all unsafe code is in `device`.

/// Re-exports, within the crate, items that launch kernels or take their arguments. The feature `testing` makes them
/// public, for tests and benchmarks; the documentation of `device` says why.
macro_rules! internal_use {
    ($($tree:tt)*) => {
        #[cfg(feature = "testing")]
        #[doc(hidden)]
        pub use $($tree)*;
        // The crate itself uses some of them by their full paths.
        #[cfg(not(feature = "testing"))]
        #[allow(unused_imports)]
        pub(crate) use $($tree)*;
    };
}

mod atomic;
pub mod checkpoint;
mod child;
// Documentation of arguments and their structs would become help texts of the program.
#[cfg(feature = "cli")]
#[allow(missing_docs)]
pub mod cli;
pub mod config;
pub mod decoder;
#[allow(unsafe_code)]
pub mod device;
pub mod encoding;
pub mod error;
#[cfg(not(feature = "testing"))]
mod field;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod field;
pub mod fit;
pub mod geometry;
pub mod gtk;
pub mod image_field;
pub mod media;
mod memory;
pub mod mesh;
pub mod metrics;
mod names;
mod npy;
pub mod radiance;
pub mod ranks;
pub mod render;
pub mod scene;
pub mod sdf;
mod text;
pub mod train;
mod vdb;
pub mod viewer;

pub use error::{Error, Result};

/// The version of this crate, as `0.1.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git commit that this binary was built from, or `unknown` if the build could not query git.
pub const COMMIT: &str = match option_env!("GRIDFIELD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
