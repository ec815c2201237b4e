//! Kernels against plain re-implementations and central differences, on every target.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

mod adam;
mod cameras;
#[path = "../captures/mod.rs"]
mod captures;
mod colmap_lenses;
mod compositing;
mod coordinate_networks;
mod eikonal;
mod encodings;
mod fit;
mod gradients;
mod learned_levels;
mod marching;
mod marching_cubes;
mod mesh_distance;
mod mesh_points;
mod mulfa_tile;
mod occupancy;
mod panoramas;
mod rank_threads;
mod ranks;
mod ray_losses;
mod rays;
#[path = "../shapes/mod.rs"]
mod shapes;
#[path = "../skip/mod.rs"]
mod skip;
mod spaces;
