//! Random numbers for coordinates, initial parameters and the choice of pixels: SplitMix64 (Steele, Lea and Flood
//! 2014), which depends only on its seed.

pub(super) struct Random(u64);

impl Random {
    /// Creates a generator. `stream` separates different uses of the same seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Random(seed ^ stream.rotate_left(32));
        random.bits();
        random
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns a number in [−range, range).
    pub fn symmetric(&mut self, range: f64) -> f64 {
        range * (2.0 * self.unit() - 1.0)
    }

    /// Draws `count` different numbers below `n` with a partial Fisher–Yates shuffle, and returns them in the order
    /// drawn.
    ///
    /// # Panics
    /// Panics if `count` exceeds `n`.
    pub fn choose(&mut self, count: usize, n: usize) -> Vec<usize> {
        assert!(count <= n, "{count} different numbers below {n}");
        let mut all: Vec<usize> = (0..n).collect();
        for i in 0..count {
            let j = i + (self.bits() % (n - i) as u64) as usize;
            all.swap(i, j);
        }
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_gives_its_published_values() {
        let mut random = Random(1_234_567);
        let first: [u64; 3] = std::array::from_fn(|_| random.bits());
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn choices_are_all_different() {
        let mut chosen = Random::new(7, 0).choose(60, 64);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 60);
        assert!(chosen.iter().all(|&k| k < 64));
    }
}
