//! Triangulation of polygons, which may be concave, by ear clipping (Meisters, "Polygons have ears", 1975).

use nalgebra::{Vector2, Vector3};

/// Polygons with more corners than this are split into fans: the time of ear clipping grows with the square of the
/// number of corners.
const MOST_CORNERS: usize = 20_000;

/// Adds the triangles of a polygon, in its orientation. A convex polygon becomes a fan around its first corner, other
/// polygons are clipped ear by ear in the plane that fits them best. All corners must be indices of `vertices`.
pub(super) fn triangulate(polygon: &[u32], vertices: &[[f32; 3]], triangles: &mut Vec<[u32; 3]>) {
    match polygon.len() {
        0..=2 => {}
        3 => triangles.push([polygon[0], polygon[1], polygon[2]]),
        4..=MOST_CORNERS => match flat(polygon, vertices) {
            Some(points) if !is_convex(&points) => clip_ears(polygon, &points, triangles),
            _ => fan(polygon, triangles),
        },
        _ => fan(polygon, triangles),
    }
}

fn fan(polygon: &[u32], triangles: &mut Vec<[u32; 3]>) {
    triangles.extend(polygon.windows(2).skip(1).map(|pair| [polygon[0], pair[0], pair[1]]));
}

/// Projects the corners along the axis with which the polygon's normal makes the smallest angle, so that it runs
/// counter-clockwise. Returns `None` for a polygon without area.
fn flat(polygon: &[u32], vertices: &[[f32; 3]]) -> Option<Vec<Vector2<f64>>> {
    let at = |corner: u32| Vector3::from(vertices[corner as usize].map(f64::from));
    let first = at(polygon[0]);
    let corners: Vec<Vector3<f64>> = polygon.iter().map(|&corner| at(corner) - first).collect();
    // The sum of the cross products is twice the area vector (Newell's method).
    let normal: Vector3<f64> = corners.windows(2).map(|pair| pair[0].cross(&pair[1])).sum();
    let axis = normal.iamax();
    if !(normal[axis].is_finite() && normal[axis] != 0.0) {
        return None;
    }
    let (x, y) = match normal[axis] > 0.0 {
        true => ((axis + 1) % 3, (axis + 2) % 3),
        false => ((axis + 2) % 3, (axis + 1) % 3),
    };
    Some(corners.iter().map(|corner| Vector2::new(corner[x], corner[y])).collect())
}

/// Returns twice the signed area of a triangle, which is positive if it runs counter-clockwise.
fn area(a: &Vector2<f64>, b: &Vector2<f64>, c: &Vector2<f64>) -> f64 {
    (b - a).perp(&(c - a))
}

/// Returns whether no corner turns clockwise and the polygon goes around once: every triangle of the fan runs
/// counter-clockwise.
fn is_convex(points: &[Vector2<f64>]) -> bool {
    let n = points.len();
    let turns_left = (0..n).all(|i| area(&points[i], &points[(i + 1) % n], &points[(i + 2) % n]) >= 0.0);
    turns_left && points[1..].windows(2).all(|pair| area(&points[0], &pair[0], &pair[1]) >= 0.0)
}

fn clip_ears(polygon: &[u32], points: &[Vector2<f64>], triangles: &mut Vec<[u32; 3]>) {
    let mut left: Vec<usize> = (0..polygon.len()).collect();
    let mut push = |[a, b, c]: [usize; 3]| triangles.push([polygon[a], polygon[b], polygon[c]]);
    // Continuing behind the last ear spreads the triangles around the polygon.
    let mut next = 0;
    while left.len() > 3 {
        let n = left.len();
        let around = |i: usize| [left[(i + n - 1) % n], left[i % n], left[(i + 1) % n]];
        // A polygon that crosses itself may have no ear. A corner is then cut off all the same: first one on a straight
        // line, which costs no area.
        let places = || (next..next + n).map(|i| i % n);
        let is_straight = |i: &usize| {
            let [a, b, c] = around(*i).map(|corner| points[corner]);
            area(&a, &b, &c) == 0.0
        };
        let ear = places().find(|&i| is_ear(around(i), &left, points));
        let ear = ear.or_else(|| places().find(is_straight)).unwrap_or(next % n);
        push(around(ear));
        left.remove(ear);
        next = ear;
    }
    push([left[0], left[1], left[2]]);
}

/// Returns whether the triangle of a corner and its neighbours runs counter-clockwise and holds none of the other
/// corners that are left. Corners at the place of one of its own do not count: a polygon with a hole passes twice
/// through the ends of the seam that joins its rims.
fn is_ear(ear: [usize; 3], left: &[usize], points: &[Vector2<f64>]) -> bool {
    let [a, b, c] = ear.map(|corner| points[corner]);
    if area(&a, &b, &c) <= 0.0 {
        return false;
    }
    let (low, high) = (a.inf(&b).inf(&c), a.sup(&b).sup(&c));
    left.iter().map(|&corner| points[corner]).all(|p| {
        let outside = p.x < low.x || p.y < low.y || p.x > high.x || p.y > high.y;
        let is_own = p == a || p == b || p == c;
        outside || is_own || area(&a, &b, &p) < 0.0 || area(&b, &c, &p) < 0.0 || area(&c, &a, &p) < 0.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mesh::Mesh;

    /// Triangulates the polygon with these corners in the plane through x, y and (x + 2y) / 4, and returns the area of
    /// each triangle seen from above, negative for triangles that were turned over.
    fn areas(corners: &[[f32; 2]]) -> Vec<f64> {
        let vertices: Vec<[f32; 3]> = corners.iter().map(|&[x, y]| [x, y, 0.25 * x + 0.5 * y]).collect();
        let polygon: Vec<u32> = (0..corners.len() as u32).collect();
        let mut triangles = Vec::new();
        triangulate(&polygon, &vertices, &mut triangles);
        let mesh = Mesh { vertices, triangles, ..Mesh::default() };
        (0..mesh.triangles.len()).map(|triangle| 0.5 * mesh.cross(triangle).z).collect()
    }

    const U: [[f32; 2]; 8] =
        [[0.0, 0.0], [3.0, 0.0], [3.0, 3.0], [2.0, 3.0], [2.0, 1.0], [1.0, 1.0], [1.0, 3.0], [0.0, 3.0]];

    #[test]
    fn concave_polygons_are_covered_exactly_in_both_orientations_from_every_corner() {
        let comb = |teeth: usize| {
            let mut corners = vec![[2.0 * teeth as f32, -1.0], [2.0 * teeth as f32, 0.0]];
            corners.extend((0..teeth).rev().flat_map(|i| [[2.0 * i as f32 + 1.0, 5.0], [2.0 * i as f32, 0.0]]));
            corners.push([0.0, -1.0]);
            corners
        };
        let spiral: Vec<[f32; 2]> =
            [[0, 0], [7, 0], [7, 7], [2, 7], [2, 3], [4, 3], [4, 5], [3, 5], [3, 6], [6, 6], [6, 1], [0, 1]]
                .map(|corner: [u8; 2]| corner.map(f32::from))
                .into();
        // A square with a square hole, joined by a seam.
        let holed: Vec<[f32; 2]> = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]
            .map(|corner: [u8; 2]| corner.map(f32::from))
            .into();
        // Corners on straight lines.
        let straight: Vec<[f32; 2]> = [[0, 0], [1, 0], [2, 0], [2, 1], [1, 1], [1, 2], [1, 3], [0, 3], [0, 1]]
            .map(|corner: [u8; 2]| corner.map(f32::from))
            .into();
        for (polygon, expected) in
            [(U.to_vec(), 7.0), (comb(9), 18.0 + 45.0), (spiral, 22.0), (holed, 12.0), (straight, 4.0)]
        {
            for begin in 0..polygon.len() {
                let mut turned = polygon.clone();
                turned.rotate_left(begin);
                for sign in [1.0, -1.0] {
                    let found = areas(&turned);
                    assert_eq!(found.len(), polygon.len() - 2);
                    assert!(found.iter().all(|area| sign * area >= 0.0), "{turned:?}: {found:?}");
                    assert!((found.iter().sum::<f64>() - sign * expected).abs() < 1e-9, "{turned:?}: {found:?}");
                    turned.reverse();
                }
            }
        }
    }

    #[test]
    fn convex_polygons_stay_fans_and_strange_ones_end() {
        let mut triangles = Vec::new();
        let square = [[0.0; 3], [1.0, 0.0, 0.0], [1.0, 1.0, 0.1], [0.0, 1.0, 0.0]];
        triangulate(&[0, 1, 2, 3], &square, &mut triangles);
        assert_eq!(triangles, [[0, 1, 2], [0, 2, 3]]);
        // A bow tie, a pentagram, a polygon without area, and one with coordinates that are not finite.
        assert_eq!(areas(&[[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 2.0]]).len(), 2);
        assert_eq!(areas(&[[0.0, 3.0], [-2.0, -3.0], [3.0, 1.0], [-3.0, 1.0], [2.0, -3.0]]).len(), 3);
        assert_eq!(areas(&[[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]).len(), 2);
        assert_eq!(areas(&[[0.0, 0.0], [f32::NAN, 0.0], [1.0, 1.0], [0.0, f32::INFINITY]]).len(), 2);
        triangulate(&[0, 1], &square, &mut triangles);
        assert_eq!(triangles.len(), 2);
    }
}
