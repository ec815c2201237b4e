//! Cutting a mesh open at the walls of a box.

use std::collections::HashMap;

use super::Mesh;
use crate::geometry::Bounds;

impl Mesh {
    /// Cuts off what lies outside of a box in the coordinates of the vertices. Triangles that cross a wall are cut
    /// along it, and the surface is open there.
    pub fn clip(&mut self, bounds: &Bounds) {
        for axis in 0..3 {
            self.clip_at(&Wall { axis, at: bounds.low[axis], inwards: 1.0 });
            self.clip_at(&Wall { axis, at: bounds.high[axis], inwards: -1.0 });
        }
        self.drop_unused();
    }

    fn clip_at(&mut self, wall: &Wall) {
        let depths: Vec<f32> = self.vertices.iter().map(|vertex| wall.depth(vertex)).collect();
        if depths.iter().all(|depth| *depth >= 0.0) {
            return;
        }
        // Both triangles of an edge find its cut under the same key: the end inside comes first.
        let mut cuts: HashMap<(u32, u32), u32> = HashMap::new();
        let vertices = &mut self.vertices;
        let mut cut = |from: u32, to: u32| -> u32 {
            if depths[from as usize] == 0.0 {
                return from;
            }
            *cuts.entry((from, to)).or_insert_with(|| {
                vertices.push(wall.cut(vertices[from as usize], vertices[to as usize]));
                vertices.len() as u32 - 1
            })
        };
        let mut triangles = Vec::with_capacity(self.triangles.len());
        for triangle in &self.triangles {
            let inside = triangle.map(|vertex| depths[vertex as usize] >= 0.0);
            if inside == [true; 3] {
                triangles.push(*triangle);
                continue;
            }
            // The part inside is a convex polygon of three or four corners, in the triangle's order.
            let mut outline: Vec<u32> = Vec::with_capacity(4);
            for (corner, next) in [(0, 1), (1, 2), (2, 0)] {
                if inside[corner] {
                    outline.push(triangle[corner]);
                }
                match (inside[corner], inside[next]) {
                    (true, false) => outline.push(cut(triangle[corner], triangle[next])),
                    (false, true) => outline.push(cut(triangle[next], triangle[corner])),
                    _ => {}
                }
            }
            // A corner on the wall is its own cut.
            outline.dedup();
            if outline.len() > 1 && outline.first() == outline.last() {
                outline.pop();
            }
            triangles.extend((2..outline.len()).map(|i| [outline[0], outline[i - 1], outline[i]]));
        }
        self.triangles = triangles;
    }
}

/// A plane perpendicular to an axis, and the side of it that stays: that of larger coordinates if `inwards` is 1, that
/// of smaller ones if it is −1.
struct Wall {
    axis: usize,
    at: f32,
    inwards: f32,
}

impl Wall {
    /// Returns the distance from the wall, negative outside.
    fn depth(&self, point: &[f32; 3]) -> f32 {
        self.inwards * (point[self.axis] - self.at)
    }

    /// Returns the point of the wall between two points on either side of it.
    fn cut(&self, from: [f32; 3], to: [f32; 3]) -> [f32; 3] {
        let (a, b) = (self.depth(&from), self.depth(&to));
        let share = a / (a - b);
        // Rounding must not move a cut across the walls that were cut before.
        let between = |k: usize| (from[k] + share * (to[k] - from[k])).max(from[k].min(to[k])).min(from[k].max(to[k]));
        let mut point: [f32; 3] = std::array::from_fn(between);
        point[self.axis] = self.at;
        point
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Edges;

    /// A closed octahedron of radius 1.
    fn octahedron() -> Mesh {
        let vertices = (0..6).map(|i| {
            let mut vertex = [0.0; 3];
            vertex[i / 2] = if i % 2 == 0 { 1.0 } else { -1.0 };
            vertex
        });
        let mut triangles = Vec::new();
        for octant in 0..8u32 {
            let [x, y, z] = [octant & 1, 2 + (octant >> 1 & 1), 4 + (octant >> 2)];
            let mirrored = octant.count_ones() % 2 == 1;
            triangles.push(if mirrored { [x, z, y] } else { [x, y, z] });
        }
        Mesh { vertices: vertices.collect(), triangles, ..Mesh::default() }
    }

    #[test]
    fn what_is_left_is_inside_and_open_at_the_walls_alone() {
        let whole = octahedron();
        assert!(Edges::of(&whole).are_closed() && whole.volume() > 0.0);
        let bounds = Bounds { low: [-0.25, -9.0, -0.1], high: [0.3, 0.45, 9.0] };
        let mut mesh = whole.clone();
        mesh.clip(&bounds);
        assert!(mesh.vertices.iter().all(|&vertex| bounds.clamp(vertex) == vertex));
        let edges = Edges::of(&mesh);
        assert!(edges.boundary > 0 && edges.crowded + edges.flipped == 0, "{edges:?}");
        let on_wall = |vertex: &[f32; 3]| (0..3).any(|k| vertex[k] == bounds.low[k] || vertex[k] == bounds.high[k]);
        let inner: Vec<_> = mesh.vertices.iter().filter(|vertex| !on_wall(vertex)).collect();
        assert_eq!(inner, [&[0.0, -1.0, 0.0], &[0.0, 0.0, 1.0]], "corners of the octahedron");
        // All of the area inside is there: that of the whole, less the caps beyond the walls, which are cut off one by
        // one in the same way.
        let cut = |low: [f32; 3], high: [f32; 3]| {
            let mut part = whole.clone();
            part.clip(&Bounds { low, high });
            part.area()
        };
        let parts: f64 = (0..8)
            .map(|octant| {
                let low = [0, 1, 2].map(|k| if octant >> k & 1 == 1 { 0.1 } else { -2.0 });
                cut(low, low.map(|x| if x > 0.0 { 2.0 } else { 0.1 }))
            })
            .sum();
        assert!((parts / whole.area() - 1.0).abs() < 1e-6, "{parts}");
    }

    #[test]
    fn corners_on_a_wall_stay_once() {
        let mut mesh = octahedron();
        mesh.clip(&Bounds { low: [-1.0, -1.0, 0.0], high: [1.0; 3] });
        assert_eq!((mesh.vertices.len(), mesh.triangles.len()), (5, 4));
        assert_eq!(Edges::of(&mesh).boundary, 4);
        mesh.clip(&Bounds { low: [2.0; 3], high: [3.0; 3] });
        assert_eq!((mesh.vertices.len(), mesh.triangles.len()), (0, 0));
        // A box that holds everything changes nothing.
        let mut mesh = octahedron();
        mesh.clip(&Bounds { low: [-1.0; 3], high: [1.0; 3] });
        assert_eq!(mesh, octahedron());
    }
}
