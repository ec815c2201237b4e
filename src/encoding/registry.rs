//! The encodings that have kernels of their own, and the choice among them.

use super::interface::{Encoding, Init};
use super::{Grid, coordinate_network, learned_levels, points, theta};
use crate::config::{GridConfig, GridIndex, GridKernel};
use crate::decoder::Head;
use crate::device::Device;
use crate::{Error, Result};

/// Constructors of the encodings with their own kernels. Each decides whether a grid configuration is its own.
const REGISTRY: &[Constructor] = &[theta::open, learned_levels::open, points::open, coordinate_network::open];

/// Opens the encoding of a grid configuration; returns None if the configuration is for another encoding.
pub(super) type Constructor = fn(&Device, &GridConfig, Head, &Init) -> Result<Option<Box<dyn Encoding>>>;

/// Returns the grid of a configuration, and its encoding on the device if it has its own kernels.
///
/// # Errors
/// Returns an error if the device fails, a file with nodes cannot be read, or no encoding is for the configuration.
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
    if is_fixed_levels(config) {
        return Ok((grid, None));
    }
    let (index, kernel) = (config.index, config.kernel);
    Err(Error::config(format!(
        "no encoding has model.grid.index {index:?} and model.grid.kernel {kernel:?}; change one of them"
    )))
}

/// Returns whether a grid consists of regular levels with a fixed kernel function, which have no encoding of their own.
fn is_fixed_levels(config: &GridConfig) -> bool {
    let has_regular_levels = match config.index {
        GridIndex::Hash | GridIndex::Dense | GridIndex::Fourier => true,
        GridIndex::Points | GridIndex::None => false,
    };
    let is_fixed = match config.kernel {
        GridKernel::Linear | GridKernel::Smoothstep => true,
        GridKernel::Mulfa | GridKernel::Local | GridKernel::Gaussian => false,
    };
    has_regular_levels && is_fixed && !config.cascade
}
