//! The encodings that have kernels of their own, and the choice among them.

use super::interface::{Encoding, Init};
use super::{Grid, coordinate_network, learned_levels, points, theta};
use crate::Result;
use crate::config::GridConfig;
use crate::decoder::Head;
use crate::device::Device;

/// Constructors of the encodings with their own kernels. Each decides whether a grid configuration is its own.
const REGISTRY: [Constructor; 4] = [theta::open, learned_levels::open, points::open, coordinate_network::open];

/// Opens the encoding of a grid configuration; returns None if the configuration is for another encoding.
pub(super) type Constructor = fn(&Device, &GridConfig, Head, &Init) -> Result<Option<Box<dyn Encoding>>>;

/// Returns the grid of a configuration, and its encoding on the device if it has its own kernels.
///
/// # Errors
/// Returns an error if the device fails or a file with nodes cannot be read.
pub fn open(
    device: &Device,
    config: &GridConfig,
    head: Head,
    init: &Init,
) -> Result<(Grid, Option<Box<dyn Encoding>>)> {
    let mut grid = Grid::new(config, head.dimensions());
    for opener in REGISTRY {
        if let Some(encoding) = opener(device, config, head, init)? {
            if let Some(n_entries) = encoding.n_entries() {
                grid.levels[0].entries = n_entries as u32;
            }
            return Ok((grid, Some(encoding)));
        }
    }
    Ok((grid, None))
}
