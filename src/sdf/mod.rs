//! Signed distance fields: a grid and a network that predict the distance to a mesh, negative inside.

mod data;
mod evaluate;
mod gradient;
mod render;
mod report;
mod surface;
mod target;

pub use data::{DistanceData, MeshFacts};
pub use evaluate::{EikonalScore, SdfScore, eikonal_score, evaluate};
pub use render::{SphereTracer, turntable_scene};
pub use report::SdfReport;
pub use surface::extract;
pub use target::Target;

use crate::Result;
use crate::decoder::Head;
use crate::fit::Predictor;

/// The head of a distance field: one value at each point in space.
pub const HEAD: Head = Head::Values { dimensions: 3, n_outputs: 1 };

/// Returns the field's distances at points of the unit cube.
///
/// # Errors
/// Returns an error if the device fails, or if the field gives a value that is not finite.
pub fn distances(predictor: &Predictor, points: &[[f32; 3]]) -> Result<Vec<f32>> {
    predictor.values_at(points.as_flattened())
}
