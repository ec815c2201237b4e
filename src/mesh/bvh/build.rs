//! Construction of the tree: boxes are split by the binned surface area heuristic (Wald, "On fast construction of
//! SAH-based bounding volume hierarchies", 2007), with eight children per node and leaves of up to eight triangles.

use std::ops::Range;

use nalgebra::Vector3;
use rayon::prelude::*;

use crate::device::args::{BVH_LEAF, BVH_NONE, BVH_STACK};
use crate::mesh::{Mesh, vector};

/// Number of children of a node and of triangles of a leaf: `GF_GROUP` of the kernels.
pub const GROUP: usize = 8;
const BINS: usize = 16;
/// Least number of triangles for which a node's children are built in parallel.
const PARALLEL: usize = 2048;
/// Coordinate for the boxes of absent children, beyond all real coordinates.
const NOWHERE: f32 = 1e30;
/// Centre of the dipoles of absent children: far from all points, but finite when squared.
const FAR_AWAY: f32 = 1e9;

/// The tree as the kernels read it; `kernels/args.h` documents the shapes.
#[derive(Default)]
pub struct Tables {
    pub bounds: Vec<f32>,
    pub dipole: Vec<f32>,
    pub child: Vec<u32>,
    pub corner: Vec<f32>,
    pub triangle: Vec<u32>,
    /// All triangles in the order of the leaves, in which neighbours are close together.
    pub order: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Bounds {
    low: [f32; 3],
    high: [f32; 3],
}

#[derive(Clone)]
struct Item {
    bounds: Bounds,
    triangle: u32,
}

/// A child by its range of items; inner children have children of their own.
struct Child {
    items: Range<usize>,
    children: Vec<Child>,
}

impl Tables {
    pub fn build(mesh: &Mesh) -> Tables {
        let mut items: Vec<Item> = (0..mesh.triangles.len()).into_par_iter().map(|t| Item::new(mesh, t)).collect();
        let mut children = split(&mut items, 0, best_split);
        if stack_for(&children) > BVH_STACK {
            // If triangles are spread very unevenly, boxes of least area make the tree too deep; splitting into halves
            // of equal count does not.
            children = split(&mut items, 0, |items| items.len() / 2);
        }
        assert!(stack_for(&children) <= BVH_STACK, "{} triangles fit", items.len());
        let mut tables = Tables { order: items.iter().map(|item| item.triangle).collect(), ..Tables::default() };
        tables.push_node(mesh, &items, &children);
        tables
    }

    /// Appends a node and its descendants, and returns its number.
    fn push_node(&mut self, mesh: &Mesh, items: &[Item], children: &[Child]) -> u32 {
        let node = self.child.len() / GROUP;
        self.child.extend([BVH_NONE; GROUP]);
        self.bounds.extend([NOWHERE; 3 * GROUP]);
        self.bounds.extend([-NOWHERE; 3 * GROUP]);
        self.dipole.extend([FAR_AWAY; 3 * GROUP]);
        self.dipole.extend([0.0; 3 * GROUP]);
        self.dipole.extend([-1.0; GROUP]);
        for (lane, child) in children.iter().enumerate() {
            let own = &items[child.items.clone()];
            let bounds = own.iter().fold(Bounds::NONE, |bounds, item| bounds.with(&item.bounds));
            let dipole = dipole(mesh, own, &bounds);
            for k in 0..3 {
                self.bounds[(node * 6 + k) * GROUP + lane] = bounds.low[k];
                self.bounds[(node * 6 + 3 + k) * GROUP + lane] = bounds.high[k];
            }
            for (k, number) in dipole.into_iter().enumerate() {
                self.dipole[(node * 7 + k) * GROUP + lane] = number;
            }
            let number = if child.children.is_empty() {
                self.push_block(mesh, own)
            } else {
                self.push_node(mesh, items, &child.children)
            };
            self.child[node * GROUP + lane] = number;
        }
        node as u32
    }

    /// Appends a leaf's triangles, and returns the child number that refers to the leaf.
    fn push_block(&mut self, mesh: &Mesh, items: &[Item]) -> u32 {
        let block = self.triangle.len() / GROUP;
        // Missing triangles are filled with a point of the first triangle: it is no nearer than that triangle and has
        // no solid angle.
        let first = items[0].triangle;
        let point = mesh.corners(first as usize)[0];
        let corners: [_; GROUP] =
            std::array::from_fn(|lane| items.get(lane).map_or([point; 3], |item| mesh.corners(item.triangle as usize)));
        for number in 0..9 {
            self.corner.extend(corners.map(|triangle| triangle[number / 3][number % 3]));
        }
        self.triangle.extend((0..GROUP).map(|lane| items.get(lane).map_or(first, |item| item.triangle)));
        BVH_LEAF | block as u32
    }
}

impl Item {
    fn new(mesh: &Mesh, triangle: usize) -> Item {
        let point = |corner: &[f32; 3]| Bounds { low: *corner, high: *corner };
        let bounds = mesh.corners(triangle).iter().fold(Bounds::NONE, |bounds, corner| bounds.with(&point(corner)));
        Item { bounds, triangle: triangle as u32 }
    }

    fn middle(&self, axis: usize) -> f32 {
        0.5 * self.bounds.low[axis] + 0.5 * self.bounds.high[axis]
    }
}

impl Bounds {
    const NONE: Bounds = Bounds { low: [f32::INFINITY; 3], high: [f32::NEG_INFINITY; 3] };

    fn with(&self, other: &Bounds) -> Bounds {
        Bounds {
            low: std::array::from_fn(|k| self.low[k].min(other.low[k])),
            high: std::array::from_fn(|k| self.high[k].max(other.high[k])),
        }
    }

    /// Returns half the surface area; 0 for an empty box.
    fn area(&self) -> f32 {
        let [x, y, z] = [0, 1, 2].map(|k| (self.high[k] - self.low[k]).max(0.0));
        x * y + y * z + z * x
    }
}

/// Arranges the items of a node by child: the part with the largest box is halved until there are eight parts or no
/// part is larger than a leaf.
fn split(items: &mut [Item], first: usize, halve: fn(&mut [Item]) -> usize) -> Vec<Child> {
    let mut parts: Vec<&mut [Item]> = vec![items];
    while parts.len() < GROUP {
        let area = |part: &[Item]| part.iter().fold(Bounds::NONE, |bounds, item| bounds.with(&item.bounds)).area();
        let divisible = parts.iter().enumerate().filter(|(_, part)| part.len() > GROUP);
        let Some((largest, _)) = divisible.max_by(|a, b| area(a.1).total_cmp(&area(b.1))) else { break };
        let part = std::mem::take(&mut parts[largest]);
        let at = halve(part);
        let (left, right) = part.split_at_mut(at);
        parts[largest] = left;
        parts.insert(largest + 1, right);
    }
    let mut begin = first;
    let placed: Vec<(usize, &mut [Item])> = parts
        .into_iter()
        .map(|part| {
            let placed = (begin, part);
            begin += placed.1.len();
            placed
        })
        .collect();
    let n = begin - first;
    let child = |(begin, part): (usize, &mut [Item])| {
        let items = begin..begin + part.len();
        let children = if part.len() > GROUP { split(part, begin, halve) } else { Vec::new() };
        Child { items, children }
    };
    if n >= PARALLEL { placed.into_par_iter().map(child).collect() } else { placed.into_iter().map(child).collect() }
}

/// Sorts the items into the two halves of least total cost, and returns where the second half begins. The cost of a
/// half is the area of its box times the number of leaves that it fills.
fn best_split(items: &mut [Item]) -> usize {
    let middles = (0..3).map(|axis| {
        let range = items.iter().map(|item| item.middle(axis));
        (range.clone().fold(f32::INFINITY, f32::min), range.fold(f32::NEG_INFINITY, f32::max))
    });
    let best = middles.enumerate().filter_map(|(axis, (low, high))| {
        let scale = BINS as f32 / (high - low);
        if !scale.is_finite() {
            return None;
        }
        let (cost, border) = cheapest_border(items, axis, low, scale)?;
        Some((cost, axis, low, scale, border))
    });
    let Some((_, axis, low, scale, border)) = best.min_by(|a, b| a.0.total_cmp(&b.0)) else { return items.len() / 2 };
    let (mut left, mut right): (Vec<_>, Vec<_>) = (Vec::with_capacity(items.len()), Vec::new());
    for item in &*items {
        if bin(item, axis, low, scale) < border { left.push(item.clone()) } else { right.push(item.clone()) }
    }
    let at = left.len();
    items[..at].clone_from_slice(&left);
    items[at..].clone_from_slice(&right);
    at
}

fn bin(item: &Item, axis: usize, low: f32, scale: f32) -> usize {
    (((item.middle(axis) - low) * scale) as usize).min(BINS - 1)
}

/// Returns the cost of the best border between bins and the first bin after it; None if all items are in one bin.
fn cheapest_border(items: &[Item], axis: usize, low: f32, scale: f32) -> Option<(f32, usize)> {
    let mut bins = [(Bounds::NONE, 0usize); BINS];
    for item in items {
        let (bounds, count) = &mut bins[bin(item, axis, low, scale)];
        *bounds = bounds.with(&item.bounds);
        *count += 1;
    }
    let cost = |(bounds, count): &(Bounds, usize)| bounds.area() * count.div_ceil(GROUP) as f32;
    let join = |a: (Bounds, usize), b: &(Bounds, usize)| (a.0.with(&b.0), a.1 + b.1);
    let mut behind = [(Bounds::NONE, 0); BINS + 1];
    for i in (0..BINS).rev() {
        behind[i] = join(behind[i + 1], &bins[i]);
    }
    let mut before = (Bounds::NONE, 0);
    let mut best = None::<(f32, usize)>;
    for border in 1..BINS {
        before = join(before, &bins[border - 1]);
        let total = cost(&before) + cost(&behind[border]);
        if before.1 > 0 && behind[border].1 > 0 && best.is_none_or(|(least, _)| total < least) {
            best = Some((total, border));
        }
    }
    best
}

/// Returns the largest number of nodes that can wait during traversal. When an inner child is entered, all other inner
/// children of its node wait.
fn stack_for(children: &[Child]) -> usize {
    let inner = children.iter().filter(|child| !child.children.is_empty());
    let (count, below) = inner.fold((0, 0), |(count, below), child| (count + 1, below.max(stack_for(&child.children))));
    if count == 0 { 0 } else { count.max(count - 1 + below) }
}

/// Returns the columns of `Bvh::dipole` for some triangles. If they have no area, the centre of the box is used.
fn dipole(mesh: &Mesh, items: &[Item], bounds: &Bounds) -> [f32; 7] {
    let (mut weight, mut moment, mut sum) = (0.0, Vector3::zeros(), Vector3::zeros());
    for item in items {
        let cross = mesh.cross(item.triangle as usize);
        let [a, b, c] = mesh.corners(item.triangle as usize).map(vector);
        weight += cross.norm();
        moment += (a + b + c) / 3.0 * cross.norm();
        sum += cross * 0.5;
    }
    let of_box = Vector3::from_fn(|k, _| 0.5 * (f64::from(bounds.low[k]) + f64::from(bounds.high[k])));
    let middle = if weight > 0.0 { moment / weight } else { of_box };
    let corners = items.iter().flat_map(|item| mesh.corners(item.triangle as usize));
    let reach2 = corners.map(|corner| (vector(corner) - middle).norm_squared()).fold(0.0, f64::max);
    let numbers = [middle.x, middle.y, middle.z, sum.x, sum.y, sum.z, reach2];
    numbers.map(|number| number as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates one triangle at each point.
    fn scattered(points: impl Iterator<Item = [f32; 3]>, size: f32) -> Mesh {
        let mut mesh = Mesh::default();
        for [x, y, z] in points {
            let first = mesh.vertices.len() as u32;
            mesh.vertices.extend([[x, y, z], [x + size, y, z], [x, y + size, z]]);
            mesh.triangles.push([first, first + 1, first + 2]);
        }
        mesh
    }

    fn check(mesh: &Mesh) {
        let tables = Tables::build(mesh);
        let mut order = tables.order.clone();
        order.sort_unstable();
        assert_eq!(order, (0..mesh.triangles.len() as u32).collect::<Vec<_>>(), "every triangle once");
        let mut in_leaves: Vec<u32> = tables.triangle.clone();
        in_leaves.sort_unstable();
        in_leaves.dedup();
        assert_eq!(in_leaves, order, "every triangle in a leaf");
        for (node, children) in tables.child.chunks(GROUP).enumerate() {
            for (lane, child) in children.iter().enumerate().filter(|(_, child)| **child != BVH_NONE) {
                let column = |k: usize| tables.bounds[(node * 6 + k) * GROUP + lane];
                let (low, high) = ([0, 1, 2].map(column), [3, 4, 5].map(column));
                let inside = |point: [f32; 3]| (0..3).all(|k| low[k] <= point[k] && point[k] <= high[k]);
                if child & BVH_LEAF != 0 {
                    let own = &tables.triangle[(child & !BVH_LEAF) as usize * GROUP..][..GROUP];
                    assert!(own.iter().all(|&triangle| mesh.corners(triangle as usize).into_iter().all(inside)));
                } else {
                    let own = &tables.bounds[*child as usize * 6 * GROUP..][..6 * GROUP];
                    let is_there = |lane: &usize| own[*lane] < NOWHERE;
                    let corner = |lane: usize, at: usize| [0, 1, 2].map(|k| own[(at + k) * GROUP + lane]);
                    assert!((0..GROUP).filter(is_there).all(|lane| inside(corner(lane, 0)) && inside(corner(lane, 3))));
                }
            }
        }
    }

    #[test]
    fn boxes_hold_what_is_below_them() {
        check(&scattered((0..3000).map(|i| [0.38, 0.27, 0.11].map(|step| (i as f32 * step).fract())), 0.01));
        check(&scattered((0..1).map(|_| [0.5; 3]), 0.1));
    }

    #[test]
    fn triangles_at_one_place_or_ever_closer_make_no_deep_tree() {
        check(&scattered((0..500).map(|_| [0.5; 3]), 0.1));
        // Distances shrink geometrically from one triangle to the next, so that bins cut off one at a time.
        check(&scattered((0..400).map(|i| [0.9f32.powi(i), 0.0, 0.0]), 1e-9));
        check(&scattered((0..2000).map(|i| [0.5f32.powi(i / 16), 0.5f32.powi(i % 100), 0.0]), 1e-9));
    }
}
