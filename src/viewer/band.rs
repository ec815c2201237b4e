//! How many pixels are rendered at a time, so that a training step or a newer request never waits long.

use std::time::Duration;

/// Target time for rendering a band, in seconds.
const TIME: f64 = 0.03;
/// Pixels of the first band: few, since in a field that has hardly been trained a ray ends late, and a pixel takes up to a
/// millisecond.
const FIRST: f64 = 256.0;
/// Limits of the factor from one band to the next. A slow part of a picture may follow an empty one, and a band in it
/// would take as many times longer as it is slower, so that bands grow slowly. A machine that was busy for a moment makes
/// them no smaller than a quarter.
const FACTORS: (f64, f64) = (0.25, 1.25);

/// The size of the next band, which follows from the times of those before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    pixels: f64,
}

impl Band {
    pub fn new() -> Band {
        Band { pixels: FIRST }
    }

    /// Returns the number of pixels of the next band.
    pub fn pixels(self) -> usize {
        self.pixels as usize
    }

    /// Counts a band of `pixels` pixels, which may be fewer than were asked for at the end of a picture.
    pub fn count(&mut self, pixels: usize, time: Duration) {
        let fits = pixels as f64 * TIME / time.as_secs_f64().max(1e-6);
        let (least, most) = (FACTORS.0 * self.pixels, FACTORS.1 * self.pixels);
        // Every band has a cost of its own. A short one, at the end of a picture, says nothing about longer ones.
        let is_over = time.as_secs_f64() > TIME;
        self.pixels = if is_over { fits.clamp(least, self.pixels) } else { fits.clamp(self.pixels, most) }.max(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders `n` pixels that take `seconds` each, besides a cost of each band, and returns the longest time of a band.
    fn render(band: &mut Band, mut n: usize, seconds: f64) -> f64 {
        let mut longest = 0.0f64;
        while n > 0 {
            let pixels = band.pixels().clamp(1, n);
            let time = 0.002 + pixels as f64 * seconds;
            band.count(pixels, Duration::from_secs_f64(time));
            longest = longest.max(time);
            n -= pixels;
        }
        longest
    }

    #[test]
    fn bands_reach_their_time_from_any_size_and_small_pictures_do_not_shrink_them() {
        for seconds in [1e-7, 1e-6, 1e-5, 1e-4] {
            let mut band = Band::new();
            render(&mut band, 10_000_000, seconds);
            let last = render(&mut band, 1_000_000, seconds);
            assert!((0.02..0.04).contains(&last) || band.pixels() > 100_000, "{seconds}: {last}");
            let before = band.pixels();
            render(&mut band, 100, seconds);
            assert!(band.pixels() >= before);
        }
    }

    #[test]
    fn an_empty_part_does_not_make_the_next_band_last_for_long() {
        let mut band = Band::new();
        render(&mut band, 200_000, 2e-6);
        render(&mut band, 150_000, 5e-8);
        let longest = render(&mut band, 200_000, 2e-6);
        assert!(longest < 0.15, "{longest}");
    }
}
