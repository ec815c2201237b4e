//! The grid of points at which a field is evaluated.

use std::ops::Range;

use crate::geometry::Bounds;

/// Fraction of a cell by which rounding alone may make a box reach into the next cell.
const ROUNDING: f32 = 1e-3;

/// A block of cells of the regular grid over the unit cube. Points are those at the corners of cells, counted along
/// each axis from the block's lowest corner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lattice {
    resolution: usize,
    /// The block's cells along x, y and z.
    cells: [Range<usize>; 3],
}

impl Lattice {
    /// Returns all cells of the grid with `resolution` cells per axis.
    pub fn whole(resolution: usize) -> Self {
        Lattice { resolution, cells: [(); 3].map(|()| 0..resolution) }
    }

    /// Returns the cells of the grid that touch `bounds`, which must reach into the unit cube.
    pub fn around(resolution: usize, bounds: &Bounds) -> Self {
        let scale = resolution as f32;
        let cells = std::array::from_fn(|k| {
            let first = (bounds.low[k] * scale - ROUNDING).floor().clamp(0.0, scale - 1.0) as usize;
            let end = (bounds.high[k] * scale + ROUNDING).ceil().clamp(0.0, scale) as usize;
            first..end.max(first + 1)
        });
        Lattice { resolution, cells }
    }

    /// Returns the number of cells per axis of the unit cube.
    pub fn resolution(&self) -> usize {
        self.resolution
    }

    /// Returns whether these are all cells of the grid.
    pub fn is_whole(&self) -> bool {
        *self == Lattice::whole(self.resolution)
    }

    /// Returns the number of points along x, y and z.
    pub fn points(&self) -> [usize; 3] {
        self.cells.clone().map(|cells| cells.len() + 1)
    }

    /// Returns the number of points with the same z.
    pub fn layer(&self) -> usize {
        let [x, y, _] = self.points();
        x * y
    }

    /// Returns the point with the given index in the order z, y, x, whose last axis is the fastest.
    pub fn corner(&self, index: usize) -> [usize; 3] {
        let [x, y, _] = self.points();
        [index % x, index / x % y, index / (x * y)]
    }

    /// Returns the position of a point in the unit cube.
    pub fn place(&self, corner: [usize; 3]) -> [f32; 3] {
        std::array::from_fn(|k| (self.cells[k].start + corner[k]) as f32 / self.resolution as f32)
    }

    /// Returns the position in the unit cube of the point `share` of a cell beyond `corner` along an axis.
    pub(super) fn beyond(&self, corner: [usize; 3], axis: usize, share: f32) -> [f32; 3] {
        let mut cells: [f32; 3] = std::array::from_fn(|k| (self.cells[k].start + corner[k]) as f32);
        cells[axis] += share;
        cells.map(|c| c / self.resolution as f32)
    }

    /// Returns whether a point lies on a face of the unit cube perpendicular to an axis.
    pub(super) fn is_on_face(&self, axis: usize, at: usize) -> bool {
        let at = self.cells[axis].start + at;
        at == 0 || at == self.resolution
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cells_around_a_box_are_those_that_touch_it() {
        let bounds = Bounds { low: [0.25, -1.0, 0.99], high: [0.5, 0.01, 2.0] };
        let block = Lattice::around(8, &bounds);
        assert_eq!(block.cells, [1..5, 0..1, 7..8], "a wall between two cells touches both");
        assert_eq!(block.points(), [5, 2, 2]);
        assert_eq!(block.place(block.corner(5 + 2)), [3.0 / 8.0, 1.0 / 8.0, 7.0 / 8.0]);
        assert!(block.is_on_face(1, 0) && !block.is_on_face(1, 1) && block.is_on_face(2, 1) && !block.is_on_face(0, 0));
        assert_eq!(Lattice::around(8, &Bounds::UNIT), Lattice::whole(8));
    }
}
