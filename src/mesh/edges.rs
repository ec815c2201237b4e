//! Connectivity of triangles: counts of edges by the number of triangles that share them.

use rayon::prelude::*;

use super::Mesh;

/// Counts over the edges of a mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// Number of edges.
    pub edges: usize,
    /// Edges of one triangle, where the surface ends.
    pub boundary: usize,
    /// Edges shared by more than two triangles.
    pub crowded: usize,
    /// Edges whose two triangles run along them in the same direction, so that one of the triangles shows its inside.
    pub flipped: usize,
}

impl Edges {
    /// Counts the edges of `mesh`.
    pub fn of(mesh: &Mesh) -> Self {
        // An edge is stored as its lower vertex, its higher vertex, and whether the triangle runs from the lower to the
        // higher.
        let sides =
            |&[a, b, c]: &[u32; 3]| [(a, b), (b, c), (c, a)].map(|(from, to)| (from.min(to), from.max(to), from < to));
        let mut all: Vec<(u32, u32, bool)> = mesh.triangles.iter().flat_map(sides).collect();
        all.par_sort_unstable();
        let mut counts = Edges::default();
        for edge in all.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            counts.edges += 1;
            match edge {
                [_] => counts.boundary += 1,
                [one, other] => counts.flipped += usize::from(one.2 == other.2),
                _ => counts.crowded += 1,
            }
        }
        counts
    }

    /// Returns whether every edge has two triangles that run along it in opposite directions.
    pub fn are_closed(&self) -> bool {
        self.boundary + self.crowded + self.flipped == 0
    }
}

impl Mesh {
    /// Returns V − E + F over the vertices that are used: 2 for each sphere, 0 for each torus.
    pub fn euler_characteristic(&self) -> i64 {
        let mut used = vec![false; self.vertices.len()];
        self.triangles.as_flattened().iter().for_each(|&vertex| used[vertex as usize] = true);
        let vertices = used.iter().filter(|used| **used).count() as i64;
        vertices - Edges::of(self).edges as i64 + self.triangles.len() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tetrahedron() -> Mesh {
        Mesh {
            vertices: vec![[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            triangles: vec![[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]],
            ..Mesh::default()
        }
    }

    #[test]
    fn a_tetrahedron_is_closed_and_faces_outwards() {
        let mut mesh = tetrahedron();
        assert_eq!(Edges::of(&mesh), Edges { edges: 6, ..Edges::default() });
        assert_eq!(mesh.euler_characteristic(), 2);
        assert!((mesh.volume() - 1.0 / 6.0).abs() < 1e-12);
        assert!(!mesh.face_outwards());
        mesh.triangles.iter_mut().for_each(|t| t.swap(0, 1));
        assert!(mesh.face_outwards());
        assert!(mesh.volume() > 0.0);
    }

    #[test]
    fn edges_that_are_not_right_are_counted() {
        let mut open = tetrahedron();
        open.triangles.pop();
        assert_eq!(Edges::of(&open).boundary, 3);
        let mut flipped = tetrahedron();
        flipped.triangles[3].swap(0, 1);
        assert_eq!(Edges::of(&flipped), Edges { edges: 6, flipped: 3, ..Edges::default() });
        let mut crowded = tetrahedron();
        crowded.triangles.push([1, 2, 3]);
        assert_eq!(Edges::of(&crowded).crowded, 3);
    }
}
