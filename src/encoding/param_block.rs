//! What the learned numbers of an encoding beside its table are made of.

use std::ops::Range;

/// A matrix or vector in θ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamBlock {
    /// As in the formulas: `W_1`, `b_1`, `Omega_1`, `psi_1`, …, `w_out`, `b_out`.
    pub name: String,
    /// Place of the first number in a θ.
    pub first: usize,
    pub shape: Vec<usize>,
}

impl ParamBlock {
    /// Parts that follow each other, from their names and shapes.
    pub fn in_order(shapes: impl IntoIterator<Item = (String, Vec<usize>)>) -> Vec<ParamBlock> {
        let mut first = 0;
        let block = |(name, shape)| {
            let block = ParamBlock { name, first, shape };
            first += block.n_numbers();
            block
        };
        shapes.into_iter().map(block).collect()
    }

    /// Numbers of all `blocks` of a θ.
    pub fn n_in_all(blocks: &[ParamBlock]) -> usize {
        blocks.last().map_or(0, |block| block.range().end)
    }

    pub fn n_numbers(&self) -> usize {
        self.shape.iter().product()
    }

    /// Places of the numbers in a θ.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.n_numbers()
    }
}
