//! User errors: each ends with one sentence and exit code 2.

#[macro_use]
#[path = "../common/mod.rs"]
mod common;

#[path = "../binary/mod.rs"]
mod binary;
mod capture_files;
#[path = "../captures/mod.rs"]
mod captures;
mod commands;
mod fuzz_scene;
mod gtk;
mod mesh;
mod scene;
#[path = "../skip/mod.rs"]
mod skip;
