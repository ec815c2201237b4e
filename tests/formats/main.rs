//! Files that are read and written: configuration, scenes, captures, camera paths, checkpoints, images and videos.

#[path = "../binary/mod.rs"]
mod binary;
#[path = "../captures/mod.rs"]
mod captures;
mod checkpoint;
mod colmap;
mod config;
mod far;
mod independent_render;
mod llff;
mod media;
mod nerfstudio_paths;
mod old_checkpoints;
mod other_systems;
mod paths;
mod pose_conventions;
mod run;
mod scene;
#[path = "../skip/mod.rs"]
mod skip;
mod transforms;
