//! Points at which a field is checked for outputs that are not finite.

/// Returns point `i` of a sequence that fills `[0, 1)^D` evenly, where D is 2 or 3: multiples of the powers of 1/g,
/// where g^(D+1) = g + 1 (Roberts, "The unreasonable effectiveness of quasirandom sequences").
pub fn quasirandom(i: usize, dimensions: usize) -> impl Iterator<Item = f32> {
    let g = if dimensions == 2 { 1.324_717_957_244_746 } else { 1.220_744_084_605_759_6_f64 };
    (1..=dimensions as i32).map(move |k| ((i + 1) as f64 * g.powi(-k)).fract() as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_reach_every_part_of_the_square_and_of_the_cube() {
        for dimensions in [2, 3] {
            let part = |i| quasirandom(i, dimensions).fold(0, |n, x| 2 * n + usize::from(x >= 0.5));
            let mut counts = vec![0; 1 << dimensions];
            (0..512).for_each(|i| counts[part(i)] += 1);
            assert!(counts.iter().all(|&count| count > 51), "{counts:?}");
        }
    }
}
