//! The grid tangent kernel `G_ij = Σ_p φ(x_i, p) φ(x_j, p)` (Zhao et al. 2024, section 3.1), computed from sparse rows
//! of Φ.

use std::path::Path;

use faer::Mat;
use rayon::prelude::*;

use crate::encoding::ActiveNodes;
use crate::{Result, atomic, npy};

/// Sparse rows of a matrix, all with the same number of entries. Several entries of a row may have the same column, in
/// which case they are summed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Number of entries of a row.
    pub per_row: usize,
    /// Number of columns of the matrix.
    pub n_columns: usize,
    /// Column of each entry, `[n, per_row]`.
    pub column: Vec<u32>,
    /// Value of each entry, `[n, per_row]`.
    pub value: Vec<f64>,
}

impl Rows {
    /// Builds the rows of Φ from active nodes.
    pub(super) fn of_nodes(nodes: ActiveNodes, n_columns: usize) -> Self {
        let value = nodes.phi.iter().step_by(nodes.n_outputs).copied().collect();
        Rows { per_row: nodes.n_levels * nodes.n_corners, n_columns, column: nodes.entry, value }
    }

    /// Returns the number of rows.
    pub(super) fn n(&self) -> usize {
        self.column.len() / self.per_row.max(1)
    }

    /// Returns column and value of each entry of row `i`.
    pub(super) fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> {
        let span = i * self.per_row..(i + 1) * self.per_row;
        self.column[span.clone()].iter().map(|&column| column as usize).zip(self.value[span].iter().copied())
    }

    /// Computes the product with its own transpose, `[n, n]`. For Φ this is G.
    pub fn gram(&self) -> Mat<f64> {
        self.times_transposed(self)
    }

    /// Computes the product with the transpose of `other`, `[n, m]`. The order of summation does not depend on the
    /// number of threads.
    ///
    /// # Panics
    /// Panics if the numbers of columns differ.
    fn times_transposed(&self, other: &Rows) -> Mat<f64> {
        assert_eq!(self.n_columns, other.n_columns, "rows over the same columns");
        let columns = Columns::of(other);
        // `product` is row-major while faer stores columns contiguously, so the result is copied at the end.
        let mut product = vec![0.0; other.n() * self.n()];
        product.par_chunks_exact_mut(other.n()).enumerate().for_each(|(i, out)| {
            for (column, value) in self.row(i) {
                for &(j, other_value) in columns.of_column(column) {
                    out[j as usize] += value * other_value;
                }
            }
        });
        Mat::from_fn(self.n(), other.n(), |i, j| product[i * other.n() + j])
    }

    /// Computes `Φ w`, `[n]`.
    pub fn times(&self, w: &[f64]) -> Vec<f64> {
        (0..self.n()).map(|i| self.row(i).map(|(column, value)| value * w[column]).sum()).collect()
    }

    /// Adds `scale Φᵀ r` to `w` (a scatter).
    pub fn add_transposed_times(&self, scale: f64, r: &[f64], w: &mut [f64]) {
        for (i, r) in r.iter().enumerate() {
            self.row(i).for_each(|(column, value)| w[column] += scale * value * r);
        }
    }

    /// Removes the columns without entries. Returns the remaining ones, renumbered in their order, and their original
    /// indices.
    pub fn compacted(self) -> (Self, Vec<u32>) {
        let mut used = self.column.clone();
        used.sort_unstable();
        used.dedup();
        let place = |column: &u32| used.binary_search(column).expect("every column was collected") as u32;
        let column = self.column.iter().map(place).collect();
        (Rows { column, n_columns: used.len(), ..self }, used)
    }
}

/// The entries of [`Rows`] grouped by column.
struct Columns {
    /// Start of each column in `numbers`, `[n_columns + 1]`.
    begin: Vec<usize>,
    /// Row and value of each entry.
    numbers: Vec<(u32, f64)>,
}

impl Columns {
    fn of(rows: &Rows) -> Self {
        let mut begin = vec![0; rows.n_columns + 1];
        rows.column.iter().for_each(|&column| begin[column as usize + 1] += 1);
        for column in 0..rows.n_columns {
            begin[column + 1] += begin[column];
        }
        let mut next = begin.clone();
        let mut numbers = vec![(0, 0.0); rows.column.len()];
        for i in 0..rows.n() {
            for (column, value) in rows.row(i) {
                numbers[next[column]] = (i as u32, value);
                next[column] += 1;
            }
        }
        Columns { begin, numbers }
    }

    fn of_column(&self, column: usize) -> &[(u32, f64)] {
        &self.numbers[self.begin[column]..self.begin[column + 1]]
    }
}

/// Returns `trace / n`, the mean of the eigenvalues.
pub fn mean_diagonal(matrix: &Mat<f64>) -> f64 {
    (0..matrix.nrows()).map(|i| matrix[(i, i)]).sum::<f64>() / matrix.nrows() as f64
}

/// Returns the Frobenius norm.
pub(super) fn frobenius(matrix: &Mat<f64>) -> f64 {
    matrix.as_ref().norm_l2()
}

/// Returns the fraction of entries that are not zero.
pub(super) fn fill(matrix: &Mat<f64>) -> f64 {
    let count = |j: usize| (0..matrix.nrows()).filter(|&i| matrix[(i, j)] != 0.0).count();
    (0..matrix.ncols()).map(count).sum::<usize>() as f64 / (matrix.nrows() * matrix.ncols()) as f64
}

/// Writes a matrix in NumPy's format 1.0: a text header followed by little-endian f64 values, row by row.
///
/// # Errors
/// Returns an error if the folder is missing, cannot be written to, or the disk is full.
pub(super) fn write_npy(path: &Path, matrix: &Mat<f64>) -> Result<()> {
    let head = npy::head("<f8", &[matrix.nrows(), matrix.ncols()]);
    atomic::write(path, |file| {
        file.write_all(&head)?;
        for i in 0..matrix.nrows() {
            for j in 0..matrix.ncols() {
                file.write_all(&matrix[(i, j)].to_le_bytes())?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        // [[1 + 2, 0, 0], [0, 4, 8]], with the first entry as the sum of two.
        Rows { per_row: 2, n_columns: 3, column: vec![0, 0, 1, 2], value: vec![1.0, 2.0, 4.0, 8.0] }
    }

    #[test]
    fn products_count_a_column_that_comes_twice_as_the_sum() {
        let gram = rows().gram();
        assert_eq!([gram[(0, 0)], gram[(0, 1)], gram[(1, 0)], gram[(1, 1)]], [9.0, 0.0, 0.0, 80.0]);
        assert_eq!(rows().times(&[1.0, 10.0, 100.0]), [3.0, 840.0]);
        let mut w = vec![0.0; 3];
        rows().add_transposed_times(-1.0, &[1.0, 2.0], &mut w);
        assert_eq!(w, [-3.0, -8.0, -16.0]);
    }

    #[test]
    fn columns_without_numbers_go() {
        let sparse = Rows { n_columns: 100, column: vec![7, 7, 9, 50], ..rows() };
        let (compact, used) = sparse.compacted();
        assert_eq!((compact, used), (rows(), vec![7, 9, 50]));
    }
}
