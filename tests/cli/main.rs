//! The command line end to end, the scripts, and the exact bits that training produces.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

#[path = "../binary/mod.rs"]
mod binary;
#[path = "../captures/mod.rs"]
mod captures;
mod commands;
mod examples;
mod export;
mod export_parts;
mod far;
mod gtk;
mod image;
mod import;
mod installed;
mod latest;
mod lpips;
#[cfg(feature = "mpi")]
mod mpirun;
mod paths;
mod points;
mod protocol;
mod rendering;
mod resume;
mod runs;
mod same_bits;
mod scenes;
mod scripts;
mod sdf;
#[path = "../shapes/mod.rs"]
mod shapes;
#[path = "../skip/mod.rs"]
mod skip;
mod viewer;
mod viewer_browser;
mod viewer_client;
mod viewer_host;
mod viewer_keeps;
