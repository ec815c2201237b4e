//! Numbers of the cells of an occupancy grid. Cells are numbered in blocks of 4 × 4 × 4, x fastest, as
//! `docs/formats.md` describes.

/// Returns the cell `(x, y, z)` with a given number, in a cascade of `resolution` cells per axis.
pub fn cell_of_number(number: usize, resolution: usize) -> [usize; 3] {
    let (block, within, blocks) = (number / 64, number % 64, resolution / 4);
    [0, 1, 2].map(|k| 4 * (block / blocks.pow(k) % blocks) + within / 4usize.pow(k) % 4)
}

/// Returns the number of a cell in a cascade of `resolution` cells per axis.
pub fn number_of_cell([x, y, z]: [usize; 3], resolution: usize) -> usize {
    let blocks = resolution / 4;
    64 * (x / 4 + blocks * (y / 4 + blocks * (z / 4))) + x % 4 + 4 * (y % 4) + 16 * (z % 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_has_its_number() {
        let cells: Vec<_> = (0..16usize.pow(3)).map(|number| cell_of_number(number, 16)).collect();
        assert!(cells.iter().enumerate().all(|(number, &cell)| number_of_cell(cell, 16) == number));
        assert_eq!((cells[63], cells[64 + 1]), ([3, 3, 3], [5, 0, 0]));
        assert_eq!((cells[64 * 4], cells[64 * 16 + 16]), ([0, 4, 0], [0, 0, 5]));
    }
}
