//! Meshes with fewer triangles, by collapsing edges (the library meshoptimizer).

use meshopt::{SimplifyOptions, VertexDataAdapter};

use super::Mesh;

impl Mesh {
    /// Reduces the mesh to at most `most` triangles, as far as its topology allows, by collapsing edges onto existing
    /// vertices, starting with those that change the shape least (quadric error: Garland and Heckbert 1997). A closed
    /// mesh gets no holes, but where it is thin, two of its sides may come to lie on one edge, which then has four
    /// triangles, and parts that have become flat vanish.
    pub fn simplify(&mut self, most: usize) {
        if self.triangles.len() <= most {
            return;
        }
        let bytes = bytemuck::cast_slice(&self.vertices);
        let vertices = VertexDataAdapter::new(bytes, size_of::<[f32; 3]>(), 0).expect("vertices are three floats each");
        let indices = self.triangles.as_flattened();
        let indices = meshopt::simplify(indices, &vertices, 3 * most, f32::MAX, SimplifyOptions::None, None);
        self.triangles = indices.as_chunks().0.to_vec();
        self.drop_unused();
    }
}
