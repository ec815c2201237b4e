//! Texture coordinates: a square image in which every triangle has texels of its own.
//!
//! The image is divided into square cells of equal size, each with two triangles: one in its upper left corner, the
//! other in its lower right one. Along their long sides, and between cells, texels are left for bilinear filtering, so
//! that no triangle shows the colour of another:
//!
//! ```text
//!     a  a  a  a  a  a        the corners of triangle a: the centres of the texels at
//!     a  a  a  a  a  b        (0, 0), (3, 0) and (0, 3) in a cell of six texels
//!     a  a  a  a  b  b
//!     a  a  a  b  b  b
//!     a  a  b  b  b  b
//!     a  b  b  b  b  b
//! ```

use crate::{Error, Result};

/// Texels of a cell's side that no triangle's legs reach, for filtering.
const MARGIN: u32 = 3;
/// Least side of a cell in texels: legs of one texel.
const LEAST_CELL: u32 = MARGIN + 1;

/// Where the triangles of a mesh lie in a texture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Atlas {
    side: u32,
    cell: u32,
    /// Cells per row.
    columns: u32,
    n_triangles: usize,
}

/// A texture with the coordinates of a mesh's triangles in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Texture {
    /// Where the triangles lie.
    pub atlas: Atlas,
    /// The image as a PNG file, 8-bit sRGB.
    pub png: Vec<u8>,
}

impl Atlas {
    /// Divides an image of `side` × `side` texels among the triangles.
    ///
    /// # Errors
    /// Returns an error if the image is too small for so many triangles.
    pub fn new(side: u32, n_triangles: usize) -> Result<Self> {
        let cells = n_triangles.div_ceil(2).max(1);
        let columns = (cells as f64).sqrt().ceil() as u32;
        let cell = side / columns;
        if cell >= LEAST_CELL {
            return Ok(Atlas { side, cell, columns, n_triangles });
        }
        let (least, most) = (columns * LEAST_CELL, 2 * (u64::from(side / LEAST_CELL)).pow(2));
        Err(Error::config(format!(
            "a texture of {side} × {side} texels is too small for {n_triangles} triangles; give --texture {least} or more, or \
             --triangles {most} or fewer"
        )))
    }

    /// Returns the side of the image in texels.
    pub fn side(&self) -> u32 {
        self.side
    }

    /// Returns the coordinates of a triangle's corners in the image: x to the right and y down, from 0 to 1.
    pub fn corners(&self, triangle: usize) -> [[f32; 2]; 3] {
        let cell = (triangle / 2) as u32;
        let (x, y) = (cell % self.columns * self.cell, cell / self.columns * self.cell);
        let leg = (self.cell - MARGIN) as f32;
        // The second triangle is the first, turned by half a turn about the cell's middle.
        let turned = |at: f32| if triangle.is_multiple_of(2) { at } else { self.cell as f32 - at };
        let coordinate = |first: u32, at: f32| (first as f32 + turned(at)) / self.side as f32;
        [(0.5, 0.5), (0.5 + leg, 0.5), (0.5, 0.5 + leg)].map(|(u, v)| [coordinate(x, u), coordinate(y, v)])
    }

    /// Returns the triangle to which a texel belongs, and the barycentric coordinates of its centre there; a texel
    /// beside the triangle has those of a point on its rim. `None` for texels that no triangle uses.
    pub(crate) fn texel(&self, x: u32, y: u32) -> Option<(usize, [f32; 3])> {
        let (column, row) = (x / self.cell, y / self.cell);
        if column >= self.columns {
            return None;
        }
        let (x, y) = (x % self.cell, y % self.cell);
        let is_first = x + y < self.cell;
        let triangle = 2 * (row as usize * self.columns as usize + column as usize) + usize::from(!is_first);
        let turned = |at: u32| if is_first { at } else { self.cell - 1 - at } as f32;
        let leg = (self.cell - MARGIN) as f32;
        let (u, v) = (turned(x) / leg, turned(y) / leg);
        // Beyond the long side, the point of that side that is nearest.
        let beyond = (u + v - 1.0).max(0.0);
        let u = (u - 0.5 * beyond).clamp(0.0, 1.0);
        let v = (v - 0.5 * beyond).clamp(0.0, 1.0 - u);
        (triangle < self.n_triangles).then_some((triangle, [1.0 - u - v, u, v]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filtered_texels_of_a_triangle_are_its_own() {
        for (side, n_triangles) in [(64, 7), (61, 50), (40, 200), (4, 2), (9, 1)] {
            let atlas = Atlas::new(side, n_triangles).unwrap();
            for triangle in 0..n_triangles {
                let corners = atlas.corners(triangle);
                for i in 0..=20 {
                    for j in 0..=20 - i {
                        let [a, b, c] = [(20 - i - j) as f32, i as f32, j as f32].map(|share| share / 20.0);
                        let at: [f32; 2] = std::array::from_fn(|k| {
                            side as f32 * (a * corners[0][k] + b * corners[1][k] + c * corners[2][k]) - 0.5
                        });
                        // Bilinear interpolation of the texels' barycentric coordinates gives those of the point.
                        let mut found = [0.0; 3];
                        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                            let share = |k: usize, d: i32| 1.0 - (at[k] - (at[k].floor() + d as f32)).abs();
                            let weight = share(0, dx) * share(1, dy);
                            if weight > 1e-3 {
                                let texel = [(0, dx), (1, dy)].map(|(k, d)| (at[k].floor() + d as f32) as u32);
                                let (of, barycentric) = atlas.texel(texel[0], texel[1]).unwrap();
                                assert_eq!(of, triangle, "{side} {n_triangles} {at:?}");
                                (0..3).for_each(|k| found[k] += weight * barycentric[k]);
                            }
                        }
                        let leg = (atlas.cell - MARGIN) as f32;
                        let apart = (0..3).map(|k| (found[k] - [a, b, c][k]).abs()).fold(0.0, f32::max);
                        assert!(apart < 0.26 / leg + 2e-3, "{side} {n_triangles}: {found:?} at {i} {j}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_image_that_is_too_small_is_refused_with_what_would_do() {
        let error = Atlas::new(512, 100_000).unwrap_err().to_string();
        assert!(error.contains("--texture 896 or more, or --triangles 32768 or fewer"), "{error}");
        assert!(Atlas::new(896, 100_000).is_ok() && Atlas::new(895, 100_000).is_err());
        assert!(Atlas::new(512, 32768).is_ok() && Atlas::new(512, 32769).is_err());
        assert!(Atlas::new(3, 1).is_err());
    }
}
