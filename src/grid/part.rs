//! What the learned numbers of a member beside its table are made of.

use std::ops::Range;

/// A matrix or vector in θ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// As in the formulas: `W_1`, `b_1`, `Omega_1`, `psi_1`, …, `w_out`, `b_out`.
    pub name: String,
    /// Place of the first number in a θ.
    pub first: usize,
    pub shape: Vec<usize>,
}

impl Part {
    /// Parts that follow each other, from their names and shapes.
    pub fn in_order(shapes: impl IntoIterator<Item = (String, Vec<usize>)>) -> Vec<Part> {
        let mut first = 0;
        let part = |(name, shape)| {
            let part = Part { name, first, shape };
            first += part.n_numbers();
            part
        };
        shapes.into_iter().map(part).collect()
    }

    /// Numbers of all `parts` of a θ.
    pub fn n_in_all(parts: &[Part]) -> usize {
        parts.last().map_or(0, |part| part.range().end)
    }

    pub fn n_numbers(&self) -> usize {
        self.shape.iter().product()
    }

    /// Places of the numbers in a θ.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.n_numbers()
    }
}
