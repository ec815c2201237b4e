//! Operations on dense grids in training: raising their resolution, and their total variation (Sun et al., DVGO, CVPR
//! 2022, section 3). The arithmetic is in `kernels/encoding/dense.cu`.

use super::Grid;
use crate::Result;
use crate::device::args::{ResampleArgs, VariationArgs};
use crate::device::{Buffer, Device, LaunchDims, Ptr, kernels};

/// Resamples the table `[n_entries, F]` of the grid `from` at the nodes of `to`, which differs in its resolution only:
/// each node gets the value that `from` interpolates at its position.
///
/// # Errors
/// Returns an error if the device fails.
pub fn resample(device: &Device, from: &Grid, to: &Grid, table: &Buffer<f32>) -> Result<Buffer<f32>> {
    let fine = device.zeros(to.n_parameters())?;
    let args = ResampleArgs { from: from.layout(), to: to.layout(), coarse: table.ptr(), fine: fine.ptr() };
    device.launch(&kernels::RESAMPLE_LEVELS, &args, entries_of_levels(to))?;
    Ok(fine)
}

/// Adds to `gradient` the gradient of `weight / 2 · Σ |w_i − w_j|²` over pairs of neighbouring nodes of each level.
///
/// # Errors
/// Returns an error if the device fails.
pub fn add_total_variation(
    device: &Device,
    grid: &Grid,
    table: &Buffer<f32>,
    gradient: Ptr<'_, f32>,
    weight: f64,
) -> Result<()> {
    let args = VariationArgs { grid: grid.layout(), table: table.ptr(), gradient, weight: weight as f32 };
    device.launch(&kernels::TOTAL_VARIATION, &args, entries_of_levels(grid))
}

/// Returns launch dimensions with an item for each entry of the largest level and a row for each level.
fn entries_of_levels(grid: &Grid) -> LaunchDims {
    let largest = grid.levels.iter().map(|level| level.entries as usize).max().unwrap_or(0);
    LaunchDims::items(largest).rows(grid.levels.len())
}
