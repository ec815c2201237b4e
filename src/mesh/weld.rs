//! Merging of vertices at the same position: STL has no shared vertices, and glTF splits vertices where normals differ.

use rayon::prelude::*;

use super::Mesh;

/// Returns the mesh with vertices of equal coordinates merged into the first of them, without unused vertices and
/// without triangles that use a vertex twice. The order is kept.
pub(super) fn weld(mesh: Mesh) -> Mesh {
    // -0 and 0 are the same coordinate.
    let key = |vertex: &[f32; 3]| vertex.map(|x| (x + 0.0).to_bits());
    let mut order: Vec<u32> = (0..mesh.vertices.len() as u32).collect();
    order.par_sort_unstable_by_key(|&vertex| (key(&mesh.vertices[vertex as usize]), vertex));
    let mut first = vec![0u32; mesh.vertices.len()];
    for same in order.chunk_by(|&a, &b| key(&mesh.vertices[a as usize]) == key(&mesh.vertices[b as usize])) {
        same.iter().for_each(|&vertex| first[vertex as usize] = same[0]);
    }
    let mut triangles: Vec<[u32; 3]> =
        mesh.triangles.iter().map(|triangle| triangle.map(|vertex| first[vertex as usize])).collect();
    triangles.retain(|[a, b, c]| a != b && b != c && c != a);

    let mut welded = Mesh { triangles, ..mesh };
    welded.drop_unused();
    welded
}

impl Mesh {
    /// Removes the vertices that no triangle uses, and keeps the order of the others.
    pub(super) fn drop_unused(&mut self) {
        const UNUSED: u32 = u32::MAX;
        let mut number = vec![UNUSED; self.vertices.len()];
        self.triangles.as_flattened().iter().for_each(|&vertex| number[vertex as usize] = 0);
        let mut vertices = Vec::new();
        for (vertex, number) in number.iter_mut().enumerate().filter(|(_, number)| **number != UNUSED) {
            *number = vertices.len() as u32;
            vertices.push(self.vertices[vertex]);
        }
        self.vertices = vertices;
        self.triangles.as_flattened_mut().iter_mut().for_each(|vertex| *vertex = number[*vertex as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_vertices_become_one_and_order_stays() {
        let (a, b, c, d) = ([0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]);
        let unused = [9.0; 3];
        let soup = Mesh {
            vertices: vec![unused, c, b, a, [-0.0, 0.0, 0.0], c, d, b, b],
            triangles: vec![[3, 2, 1], [4, 5, 6], [2, 7, 8]],
            origin: [1e6, 0.0, 0.0],
        };
        let expected =
            Mesh { vertices: vec![c, b, a, d], triangles: vec![[2, 1, 0], [2, 0, 3]], origin: [1e6, 0.0, 0.0] };
        assert_eq!(weld(soup), expected);
    }
}
