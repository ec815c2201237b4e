//! Geometry that everything shares: cameras and lenses, poses, the unit cube, and the maps from space to the field.
//! Knows neither scenes nor devices.

mod camera;
mod distortion;
mod field_to_scene;
mod lens;
mod occupancy_cells;
mod origin;
pub(crate) mod pose;
mod scene_box;
mod space;
mod unit_cube;
mod upright;

pub use camera::{Camera, Intrinsics};
pub use field_to_scene::FieldToScene;
pub use lens::Lens;
pub(crate) use occupancy_cells::{cell_of_number, number_of_cell};
pub(crate) use origin::{is_zero, origin_for, relative};
pub use scene_box::{Bounds, Corners, SceneBox};
pub use space::{Ndc, Space};
pub use unit_cube::UnitCube;
pub use upright::Upright;
