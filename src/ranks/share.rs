//! Work that ranks share item by item, such as images to evaluate and frames to render: rank 0 collects the results.

use std::sync::atomic::{AtomicBool, Ordering};

use super::Ranks;
use crate::{Error, Result};

/// What is made of an item: numbers and the contents of files, as bytes.
pub(crate) type Parts = Vec<Vec<u8>>;

/// Length that stands for an error.
const FAILED: u64 = u64::MAX;

impl Ranks {
    /// Calls `make` for each of `items`, which are the same on all ranks: rank r makes items r, r + N, … Rank 0 passes
    /// what was made to `take`, in the order of the items. This goes in rounds of one item for each rank, so that
    /// rank 0 holds no more than N of them at a time. Returns false on all ranks if `stop` was set on rank 0 before the
    /// last round.
    ///
    /// # Errors
    /// If `make` fails on a rank, all ranks return its error, with the rank's number unless it is rank 0. An error of
    /// `take` is returned by rank 0 alone, while the others wait for it: the caller ends them with [`Ranks::abort`].
    pub(crate) fn share<T>(
        &self,
        items: &[T],
        stop: &AtomicBool,
        mut make: impl FnMut(&T) -> Result<Parts>,
        mut take: impl FnMut(&T, Parts) -> Result<()>,
    ) -> Result<bool> {
        for round in items.chunks(self.size()) {
            let stops = self.leads() && stop.load(Ordering::Relaxed);
            let made = match round.get(self.rank()) {
                Some(item) if !stops => make(item),
                _ => Ok(Parts::new()),
            };
            // After the work and not before it, so that no rank waits while rank 0 takes what the last round made.
            let mut stops = [u32::from(stops)];
            self.of_leader(&mut stops);
            if stops[0] != 0 {
                return Ok(false);
            }
            let of_round = self.collect(made)?;
            round.iter().zip(of_round).try_for_each(|(item, parts)| take(item, parts))?;
        }
        Ok(true)
    }

    /// Returns what each rank has made, in the order of the ranks, on rank 0, and nothing on the others.
    fn collect(&self, made: Result<Parts>) -> Result<Vec<Parts>> {
        let Some(group) = &self.group else { return Ok(vec![made?]) };
        let packed = made.as_ref().map(|parts| pack(parts));
        let lengths = self.gather(&[packed.as_ref().map_or(FAILED, |words| words.len() as u64)]);
        if let Some(rank) = lengths.iter().position(|length| *length == FAILED) {
            let text = self.text_of(rank, &made.as_ref().err().map(Error::to_string).unwrap_or_default());
            return match made {
                Err(own) if rank == self.rank() => Err(own),
                _ => Err(Error::config(format!("rank {rank}: {text}"))),
            };
        }
        let mut words = packed.unwrap_or_default();
        let longest = lengths.iter().max().map_or(0, |length| *length as usize);
        words.resize(longest, 0);
        let mut all = vec![0u64; if self.leads() { self.size() * longest } else { 0 }];
        group.communicator.gather(bytemuck::cast_slice(&words), bytemuck::cast_slice_mut(&mut all));
        if !self.leads() {
            group.sent.fetch_add(size_of_val(&words[..]) as u64, Ordering::Relaxed);
            return Ok(Vec::new());
        }
        Ok(all.chunks_exact(longest).map(unpack).collect())
    }
}

/// Returns parts as words: the number of parts, the length of each in bytes, and their bytes, those of each part filled
/// up with zeros to a whole word.
fn pack(parts: &[Vec<u8>]) -> Vec<u64> {
    let mut words = vec![parts.len() as u64];
    words.extend(parts.iter().map(|part| part.len() as u64));
    for part in parts {
        let first = words.len();
        words.resize(first + part.len().div_ceil(size_of::<u64>()), 0);
        bytemuck::cast_slice_mut(&mut words[first..])[..part.len()].copy_from_slice(part);
    }
    words
}

/// Returns the parts that [`pack`] turned into `words`; any words after them are ignored.
fn unpack(words: &[u64]) -> Parts {
    let (lengths, mut rest) = words[1..].split_at(words[0] as usize);
    let mut part = |length: &u64| {
        let length = *length as usize;
        let (own, others) = rest.split_at(length.div_ceil(size_of::<u64>()));
        rest = others;
        bytemuck::cast_slice(own)[..length].to_vec()
    };
    lengths.iter().map(&mut part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_any_length_are_the_same_behind_words() {
        for parts in [vec![], vec![vec![]], vec![vec![1; 8], vec![], vec![2; 9]], vec![vec![3; 7]]] {
            let mut words = pack(&parts);
            assert_eq!(unpack(&words), parts);
            words.extend([u64::MAX; 3]);
            assert_eq!(unpack(&words), parts);
        }
    }

    #[test]
    fn a_rank_alone_makes_and_takes_in_turn() {
        let (items, stop) = ([3u8, 4, 5], AtomicBool::new(false));
        let mut taken = Vec::new();
        let take = |item: &u8, parts: Parts| {
            taken.push((*item, parts[0][0]));
            stop.store(*item == 4, Ordering::Relaxed);
            Ok(())
        };
        let done = Ranks::alone().share(&items, &stop, |item| Ok(vec![vec![2 * item]]), take);
        assert!(!done.unwrap());
        assert_eq!(taken, [(3, 6), (4, 8)]);
    }
}
