//! Tangent kernels of grid-based models (Zhao et al., CVPR 2024, arXiv 2403.20002): measurements that test the theory.
//!
//! For a scalar model `g(x; w) = Σ_{i ∈ U(x)} φ(x, p_i) w_i`, the grid tangent kernel is `G = Φ Φᵀ` with
//! `Φ_ij = φ(x_i, p_j)`. Everything here starts from the sparse rows of Φ that [`crate::encoding::Grid::active_nodes`]
//! computes with the project's own kernels, so every model with a grid can be analysed exactly as it is trained. All
//! arithmetic is in f64. A model whose levels form a [`cascade`] is not linear in w; its kernel is that of its
//! gradients.
//!
//! [`points`] provides the coordinates and [`model`] the model; [`jacobian`] and [`matrix`] compute Φ and G;
//! [`spectrum`], [`flow`], [`drift`] and [`bound`] contain the measurements, and `charts` and [`report`] present
//! them. [`study`] runs the measurements for several models. `docs/gtk.md` gives the formulas and explains how to read the figures.

pub mod bound;
pub mod cascade;
mod charts;
pub mod drift;
pub mod flow;
pub mod jacobian;
pub mod matrix;
pub mod memory;
pub mod model;
pub mod points;
mod question;
mod random;
pub mod report;
pub mod spectrum;
pub mod study;
pub mod tangent;
mod theta;

pub use model::{Model, ModelSpec};
pub use points::{Arrangement, Points};
pub use question::Question;
pub use study::{Finding, Study};
pub use theta::ThetaChoice;
