//! Kernels and metrics against the numbers of an independent implementation, tests/vectors.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

mod cameras;
#[path = "../captures/mod.rs"]
mod captures;
mod compositing;
mod grid;
mod gtk;
mod metrics;
mod mulfa;
mod random;
#[path = "../skip/mod.rs"]
mod skip;
mod sphere;
