//! The triangles of a cell for each of the 256 combinations of corners inside and outside (Lorensen and Cline,
//! "Marching cubes", SIGGRAPH 1987), computed rather than listed.
//!
//! The surface cuts each face of a cell in segments, each around a run of corners that are inside. A face with two such
//! corners diagonally opposite has two segments. The two cells at a face see the same runs, so no hole opens between
//! them, whatever the corners are. The segments of a cell join into loops. A loop is cut into triangles by lines that
//! do not lie in a face, since the next cell could have the same line there; therefore every edge of the surface has
//! two triangles.
//!
//! Corner c lies at x = bit 0 of c, y = bit 1, z = bit 2. Edge 4 k + m runs along axis k; the bits of m are the
//! position along the two other axes, the lower axis first.

use std::sync::LazyLock;

/// For each set of corners inside (bit c: corner c), the triangles as triples of edges, counter-clockwise seen from
/// outside.
pub static TRIANGLES: LazyLock<Vec<Vec<[u8; 3]>>> = LazyLock::new(|| (0..=255).map(triangles).collect());

/// Returns the corner at the lower end of an edge.
pub fn lower_corner(edge: u8) -> u8 {
    let (axis, place) = (edge / 4, edge % 4);
    match axis {
        0 => place << 1,
        1 => (place & 1) | (place & 2) << 1,
        _ => place,
    }
}

/// Returns the edge between two neighbouring corners.
fn edge(a: u8, b: u8) -> u8 {
    let axis = (a ^ b).trailing_zeros() as u8;
    let low = a & b;
    let place = match axis {
        0 => low >> 1,
        1 => (low & 1) | (low & 4) >> 1,
        _ => low & 3,
    };
    4 * axis + place
}

/// Returns the corners of each face, counter-clockwise seen from outside the cell.
fn faces() -> [[u8; 4]; 6] {
    std::array::from_fn(|face| {
        let (axis, side) = (face % 3, (face / 3) as u8);
        let (u, v) = (1u8 << ((axis + 1) % 3), 1u8 << ((axis + 2) % 3));
        let base = side << axis;
        let corners = [base, base | u, base | u | v, base | v];
        if side == 1 { corners } else { [corners[3], corners[2], corners[1], corners[0]] }
    })
}

fn triangles(inside: u8) -> Vec<[u8; 3]> {
    let mut next = [None; 12];
    for corners in faces() {
        let is_in = |i: usize| inside >> corners[i % 4] & 1 == 1;
        for first in (0..4).filter(|&first| is_in(first) && !is_in(first + 3)) {
            let last = (first..first + 3).take_while(|&i| is_in(i + 1)).last().map_or(first, |i| i + 1);
            // Seen from outside the cell, the run lies to the left of the segment from its beginning to its end. Seen
            // from outside the surface, the loop therefore runs counter-clockwise.
            let begin = edge(corners[(first + 3) % 4], corners[first]);
            next[begin as usize] = Some(edge(corners[last % 4], corners[(last + 1) % 4]));
        }
    }
    let mut triangles = Vec::new();
    for start in 0..12 {
        let mut cut = Vec::new();
        let mut at = start;
        while let Some(following) = next[at as usize].take() {
            cut.push(at);
            at = following;
        }
        if !cut.is_empty() {
            fill(&cut, &mut triangles).expect("no loop needs a line within a face");
        }
    }
    triangles
}

/// Cuts a loop into triangles without lines within a face; returns None if that is impossible.
fn fill(polygon: &[u8], triangles: &mut Vec<[u8; 3]>) -> Option<()> {
    let n = polygon.len();
    if n < 3 {
        return Some(());
    }
    // The triangle at the side from the last corner to the first has its third corner at one of the others.
    (1..n - 1).find_map(|tip| {
        let crosses = |from: usize, to: usize| to - from == 1 || !share_a_face(polygon[from], polygon[to]);
        let mut filled = vec![[polygon[0], polygon[tip], polygon[n - 1]]];
        (crosses(0, tip) && crosses(tip, n - 1)).then_some(())?;
        fill(&polygon[..=tip], &mut filled)?;
        fill(&polygon[tip..], &mut filled)?;
        triangles.append(&mut filled);
        Some(())
    })
}

fn share_a_face(a: u8, b: u8) -> bool {
    let has = |corners: &[u8; 4], wanted: u8| (0..4).any(|i| edge(corners[i], corners[(i + 1) % 4]) == wanted);
    faces().iter().any(|corners| has(corners, a) && has(corners, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_between_inside_and_outside_is_used_and_no_other() {
        for inside in 0..=255u8 {
            let triangles = &TRIANGLES[inside as usize];
            for number in 0..12 {
                let (low, axis) = (lower_corner(number), number / 4);
                let is_cut = (inside >> low ^ inside >> (low | 1 << axis)) & 1 == 1;
                let is_used = triangles.iter().flatten().any(|&edge| edge == number);
                assert_eq!(is_cut, is_used, "edge {number} of {inside:08b}");
                assert_eq!(edge(low, low | 1 << axis), number);
            }
        }
    }

    #[test]
    fn one_corner_inside_has_its_triangle_around_it() {
        // Corner 0: edges along x, y and z; seen from (1, 1, 1), the order x, y, z runs counter-clockwise.
        let [triangle] = TRIANGLES[1][..] else { panic!("one triangle") };
        assert!([[0, 4, 8], [4, 8, 0], [8, 0, 4]].contains(&triangle), "{triangle:?}");
    }
}
