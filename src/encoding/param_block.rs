//! Blocks of the learned parameters that an encoding has besides its table.

use std::ops::Range;

/// A matrix or vector in θ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamBlock {
    /// Name as in the formulas: `W_1`, `b_1`, `Omega_1`, `psi_1`, …, `w_out`, `b_out`.
    pub name: String,
    /// Index of the first number in θ.
    pub first: usize,
    /// Extent of each dimension.
    pub shape: Vec<usize>,
}

impl ParamBlock {
    /// Returns consecutive blocks with the given names and shapes.
    pub fn in_order(shapes: impl IntoIterator<Item = (String, Vec<usize>)>) -> Vec<ParamBlock> {
        let mut first = 0;
        let block = |(name, shape)| {
            let block = ParamBlock { name, first, shape };
            first += block.n_numbers();
            block
        };
        shapes.into_iter().map(block).collect()
    }

    /// Returns the total number of parameters in the `blocks` of a θ.
    pub fn n_in_all(blocks: &[ParamBlock]) -> usize {
        blocks.last().map_or(0, |block| block.range().end)
    }

    /// Returns the number of parameters of the block.
    pub fn n_numbers(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns the indices of the block's numbers in θ.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.n_numbers()
    }
}
