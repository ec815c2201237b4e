//! A hash by which ranks compare what they hold: files, parameters.

use bytemuck::Pod;

/// A 64-bit hash in the manner of FNV-1a, but over eight bytes at a time and with a shift after each multiplication.
pub(crate) struct Digest(u64);

impl Digest {
    /// Returns the hash of nothing.
    pub fn new() -> Self {
        Digest(0xcbf2_9ce4_8422_2325)
    }

    /// Adds numbers, and how many bytes they have.
    pub fn add<T: Pod>(&mut self, values: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.mix(u64::from(*byte)));
        self.mix(bytes.len() as u64);
    }

    /// Mixes in a word. Unlike in FNV-1a, the high bits of a word reach the low bits of the hash.
    fn mix(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x100_0000_01b3);
        self.0 ^= self.0 >> 29;
    }

    /// Returns the hash of what was added.
    pub fn value(&self) -> u64 {
        self.0
    }
}

/// Returns the hash of `values`.
pub(crate) fn digest<T: Pod>(values: &[T]) -> u64 {
    let mut digest = Digest::new();
    digest.add(values);
    digest.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_counts() {
        let values = [1u64, 2, 3];
        for bit in 0..192 {
            let mut changed = values;
            changed[bit / 64] ^= 1 << (bit % 64);
            assert_ne!(digest(&changed), digest(&values), "bit {bit}");
        }
        assert_ne!(digest(&values[..2]), digest(&values));
    }

    #[test]
    fn parts_are_not_joined() {
        let of = |parts: &[&[u8]]| {
            let mut digest = Digest::new();
            parts.iter().for_each(|part| digest.add(part));
            digest.value()
        };
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
    }
}
