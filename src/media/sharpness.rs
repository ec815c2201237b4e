//! A measure of how sharp an image is.

/// Returns the variance of the Laplacian over the inner pixels of a grey image `[height, width]`, or 0 if it has none:
/// among images of the same thing, a larger value means a sharper image (Pech-Pacheco et al., "Diatom autofocusing in
/// brightfield microscopy: a comparative study", ICPR 2000). The Laplacian is the sum of the four neighbours minus four
/// times the pixel.
pub(crate) fn sharpness(grey: &[u8], width: usize) -> f64 {
    let height = grey.len() / width.max(1);
    if width < 3 || height < 3 {
        return 0.0;
    }
    let (mut sum, mut squares) = (0i64, 0i64);
    for y in 1..height - 1 {
        let [above, row, below] = [y - 1, y, y + 1].map(|y| &grey[y * width..(y + 1) * width]);
        for x in 1..width - 1 {
            let around = [above[x], below[x], row[x - 1], row[x + 1]].map(i64::from);
            let laplacian = around.iter().sum::<i64>() - 4 * i64::from(row[x]);
            sum += laplacian;
            squares += laplacian * laplacian;
        }
    }
    let n = ((width - 2) * (height - 2)) as f64;
    squares as f64 / n - (sum as f64 / n).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_lowers_it_and_flat_pictures_have_none() {
        let side = 32;
        let stripes: Vec<u8> = (0..side * side).map(|i| if i % side / 4 % 2 == 0 { 40 } else { 200 }).collect();
        let smooth = |grey: &[u8]| -> Vec<u8> {
            let mean = |i: usize| {
                let row = &grey[i / side * side..][..side];
                let x = (i % side).clamp(1, side - 2);
                (row[x - 1..=x + 1].iter().map(|&value| u32::from(value)).sum::<u32>() / 3) as u8
            };
            (0..grey.len()).map(mean).collect()
        };
        let blurred = smooth(&stripes);
        let values = [&stripes, &blurred, &smooth(&blurred)].map(|grey| sharpness(grey, side));
        assert!(values[0] > 2.0 * values[1] && values[1] > 1.1 * values[2] && values[2] > 0.0, "{values:?}");
        assert_eq!(sharpness(&[7; 64], 8), 0.0);
        assert_eq!(sharpness(&[1, 2, 3, 4], 2), 0.0, "no inner pixel");
        // One bright pixel in 3×3 inner ones: Laplacians −4, four times 1, and four times 0.
        let mut dot = [0; 25];
        dot[12] = 1;
        assert!((sharpness(&dot, 5) - 20.0 / 9.0).abs() < 1e-12);
    }
}
