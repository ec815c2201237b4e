//! Connected components: sets of triangles that are connected through shared vertices.

use super::Mesh;
use crate::{Error, Result};

impl Mesh {
    /// Drops the connected components of fewer than `least` triangles, and returns how many there were.
    ///
    /// # Errors
    /// Returns an error if that would drop everything.
    pub fn drop_small_components(&mut self, least: usize) -> Result<usize> {
        let mut sets = Sets::new(self.vertices.len());
        for &[a, b, c] in &self.triangles {
            sets.join(a, b);
            sets.join(a, c);
        }
        let mut sizes = vec![0usize; self.vertices.len()];
        self.triangles.iter().for_each(|triangle| sizes[sets.root(triangle[0]) as usize] += 1);
        let largest = sizes.iter().copied().max().unwrap_or(0);
        if largest < least {
            return Err(Error::config(format!(
                "the largest component has {largest} triangles, so that none would be left; lower --min-component"
            )));
        }
        self.triangles.retain(|triangle| sizes[sets.root(triangle[0]) as usize] >= least);
        self.drop_unused();
        Ok(sizes.iter().filter(|size| (1..least).contains(*size)).count())
    }
}

/// Disjoint sets of numbers (union-find): a forest whose roots stand for the sets.
struct Sets {
    parent: Vec<u32>,
}

impl Sets {
    fn new(n: usize) -> Self {
        Sets { parent: (0..n as u32).collect() }
    }

    /// Returns the root of a number's tree, and shortens the path to it.
    fn root(&mut self, number: u32) -> u32 {
        let mut at = number;
        while self.parent[at as usize] != at {
            let above = self.parent[self.parent[at as usize] as usize];
            self.parent[at as usize] = above;
            at = above;
        }
        at
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b) as usize] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_components_go_and_the_others_stay_as_they_are() {
        // A strip of three triangles, a single one and a strip of two, mixed.
        let vertices = (0..12).map(|i| [i as f32, 0.0, 0.0]).collect();
        let triangles = vec![[0, 1, 2], [5, 6, 7], [8, 9, 10], [2, 1, 3], [10, 9, 11], [3, 4, 2]];
        let mesh = Mesh { vertices, triangles, ..Mesh::default() };
        let left = |least: usize| {
            let mut mesh = mesh.clone();
            let dropped = mesh.drop_small_components(least).unwrap();
            let xs: Vec<f32> = mesh.triangles.iter().map(|t| mesh.vertices[t[0] as usize][0]).collect();
            (dropped, xs, mesh.vertices.len())
        };
        assert_eq!(left(1), (0, vec![0.0, 5.0, 8.0, 2.0, 10.0, 3.0], 12));
        assert_eq!(left(2), (1, vec![0.0, 8.0, 2.0, 10.0, 3.0], 9));
        assert_eq!(left(3), (2, vec![0.0, 2.0, 3.0], 5));
        let error = mesh.clone().drop_small_components(4).unwrap_err().to_string();
        assert!(error.contains("largest component has 3 triangles"), "{error}");
    }
}
