//! Several processes, called ranks, that train one field together, or evaluate and render it.
//!
//! Each rank draws samples of its own. Gradients are summed over the ranks, so that all ranks take the same step and
//! hold the same parameters. [`Ranks`] does what the trainers need, on top of a [`Communicator`]. With the feature
//! `mpi`, `mpi::start` joins an MPI job and returns this process's part in it, which has the job's ranks. Sums are in
//! the order of the ranks, whatever order the messages arrive in: the same number of ranks gives the same bits.
//! `docs/distributed.md` says what is summed and how much is sent. Images to evaluate and frames to render are shared
//! item by item (`share.rs`).

mod digest;
#[cfg(feature = "mpi")]
pub mod mpi;
mod share;

use std::fmt::Display;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

pub(crate) use digest::{Digest, digest};
pub(crate) use share::Parts;

use crate::device::{Buffer, Device};
use crate::{Error, Result};

/// Maximum number of values per exchange. Every rank contributes all of them. Large enough that bandwidth, not latency,
/// sets the time; small enough that the copies (8 MiB each) stay in a cache.
const BLOCK: usize = 1 << 21;

/// The messages between ranks. Every rank calls the same methods in the same order; each call returns when the rank has
/// its part of the result. An implementation ends the process if a message is lost, so that there are no errors to
/// return.
pub trait Communicator: Send + Sync {
    /// Returns the number of this rank, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of ranks.
    fn size(&self) -> usize;

    /// Sends the `r`-th of `size` equal parts of `parts` to rank `r`, and receives as many words from each rank, in the
    /// order of the ranks.
    fn all_to_all(&self, parts: &[u32], received: &mut [u32]);

    /// Sends `own` to all ranks, and receives what each rank sent, `[size, own.len()]`.
    fn all_gather(&self, own: &[u32], all: &mut [u32]);

    /// Sends `own` to rank 0, which receives what each rank sent, `[size, own.len()]`. On other ranks `all` is empty.
    fn gather(&self, own: &[u32], all: &mut [u32]);

    /// Copies the words of rank `root` to all ranks. A rank that waits long for `root` takes no processor time.
    fn broadcast(&self, root: usize, words: &mut [u32]);

    /// Ends all ranks with the exit code `code`.
    fn abort(&self, code: u8) -> !;
}

/// The ranks that work on a field together, as one of them sees them; a rank alone, unless there is a communicator.
/// Clones belong to the same rank.
#[derive(Clone, Default)]
pub struct Ranks {
    /// None if the rank is alone.
    group: Option<Arc<Group>>,
}

struct Group {
    communicator: Arc<dyn Communicator>,
    sent: AtomicU64,
    scratch: Mutex<Scratch>,
}

/// Buffers of an exchange.
#[derive(Default)]
struct Scratch {
    values: Vec<f32>,
    parts: Vec<u32>,
    received: Vec<u32>,
}

impl Ranks {
    /// Returns a rank without others.
    pub fn alone() -> Self {
        Ranks::default()
    }

    /// Returns the ranks that `communicator` connects.
    pub fn on(communicator: Arc<dyn Communicator>) -> Self {
        let is_alone = communicator.size() == 1;
        let group = Group { communicator, sent: AtomicU64::new(0), scratch: Mutex::default() };
        Ranks { group: (!is_alone).then(|| Arc::new(group)) }
    }

    /// Returns the number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.group.as_ref().map_or(0, |group| group.communicator.rank())
    }

    /// Returns the number of ranks.
    pub fn size(&self) -> usize {
        self.group.as_ref().map_or(1, |group| group.communicator.size())
    }

    /// Returns the description of a device with the number of ranks that have one like it, if there are others.
    pub(crate) fn describe(&self, device: &Device) -> String {
        if self.is_alone() {
            device.describe()
        } else {
            format!("{} ranks, each on {}", self.size(), device.describe())
        }
    }

    /// Returns whether there is no other rank.
    pub fn is_alone(&self) -> bool {
        self.group.is_none()
    }

    /// Returns whether this is rank 0, which saves, evaluates, prints, and says what to do next.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// Returns the number of bytes that this rank has handed to the communicator for other ranks.
    pub fn bytes_sent(&self) -> u64 {
        self.group.as_ref().map_or(0, |group| group.sent.load(Ordering::Relaxed))
    }

    /// Returns the number of bytes that each rank sends to sum `n` numbers, or to find their maxima: it gives away its
    /// values for the parts of the others, `⌈n / N⌉` numbers each, and then its own part to each of them.
    pub fn bytes_of_sum(&self, n: usize) -> u64 {
        let (others, part) = (self.size() as u64 - 1, n.div_ceil(self.size()) as u64);
        2 * others * part * size_of::<f32>() as u64
    }

    /// Replaces each number by its sum over the ranks, added in the order of the ranks: the same bits on every rank.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn sum(&self, values: &mut Buffer<f32>) -> Result<()> {
        self.combine(values, |sum, value| *sum += value)
    }

    /// Replaces each number by the largest of all ranks.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn max(&self, values: &mut Buffer<f32>) -> Result<()> {
        self.combine(values, |most, value| *most = most.max(value))
    }

    /// Combines the numbers of all ranks in the order of the ranks. Each rank combines a part of every block, and all
    /// ranks then receive all parts.
    fn combine(&self, values: &mut Buffer<f32>, with: impl Fn(&mut f32, f32)) -> Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        let size = self.size();
        let mut scratch = group.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let Scratch { values: block, parts, received } = &mut *scratch;
        let whole = (BLOCK / size).max(1) * size;
        for first in (0..values.len()).step_by(whole) {
            let n = whole.min(values.len() - first);
            let part = n.div_ceil(size);
            block.resize(n, 0.0);
            values.download_into(first, block)?;
            parts.clear();
            parts.extend_from_slice(bytemuck::cast_slice(block));
            parts.resize(size * part, 0);
            received.resize(size * part, 0);
            group.communicator.all_to_all(parts, received);
            let (own, others) = received.split_at_mut(part);
            let own: &mut [f32] = bytemuck::cast_slice_mut(own);
            for other in others.chunks_exact(part) {
                let other: &[f32] = bytemuck::cast_slice(other);
                own.iter_mut().zip(other).for_each(|(own, other)| with(own, *other));
            }
            group.communicator.all_gather(bytemuck::cast_slice(own), parts);
            values.upload(first, bytemuck::cast_slice(&parts[..n]))?;
            group.sent.fetch_add(self.bytes_of_sum(n), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Returns the sums of counts over the ranks.
    pub fn sum_counts<const N: usize>(&self, counts: [u64; N]) -> [u64; N] {
        self.sum_small(counts)
    }

    /// Returns the sums of numbers over the ranks, added in the order of the ranks.
    pub fn sum_numbers<const N: usize>(&self, numbers: [f64; N]) -> [f64; N] {
        self.sum_small(numbers)
    }

    fn sum_small<T: bytemuck::Pod + AddAssign, const N: usize>(&self, own: [T; N]) -> [T; N] {
        if self.is_alone() {
            return own;
        }
        let all: Vec<T> = self.gather(&own);
        let mut sums: [T; N] = std::array::from_fn(|i| all[i]);
        for of_rank in all.chunks_exact(N).skip(1) {
            sums.iter_mut().zip(of_rank).for_each(|(sum, value)| *sum += *value);
        }
        sums
    }

    /// Returns the values of all ranks, `[size, own.len()]`. The size of a `T` is a multiple of four bytes.
    pub(crate) fn gather<T: bytemuck::Pod>(&self, own: &[T]) -> Vec<T> {
        let mut all = own.repeat(self.size());
        if let Some(group) = &self.group {
            group.communicator.all_gather(bytemuck::cast_slice(own), bytemuck::cast_slice_mut(&mut all));
            self.count_sent(own);
        }
        all
    }

    /// Copies the values of rank 0 to all ranks. The size of a `T` is a multiple of four bytes.
    pub(crate) fn of_leader<T: bytemuck::Pod>(&self, values: &mut [T]) {
        self.of_rank(0, values);
    }

    fn of_rank<T: bytemuck::Pod>(&self, root: usize, values: &mut [T]) {
        let Some(group) = &self.group else { return };
        if self.rank() == root {
            self.count_sent(values);
        }
        group.communicator.broadcast(root, bytemuck::cast_slice_mut(values));
    }

    /// Counts values that go to each of the other ranks.
    fn count_sent<T>(&self, values: &[T]) {
        let Some(group) = &self.group else { return };
        let bytes = (self.size() - 1) * size_of_val(values);
        group.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns the number of ranks, this one included, that run on the same machine and may use exactly the same cores.
    /// Where the system does not list them (Linux does), every rank is counted.
    pub fn on_the_same_cores(&self) -> usize {
        let own = format!("{}{}", line_of("/proc/sys/kernel/hostname", ""), line_of(PROCESS, ALLOWED));
        let all = self.gather(&[digest(own.as_bytes())]);
        all.iter().filter(|other| **other == all[self.rank()]).count()
    }

    /// Checks that all ranks have the same `value`; `what` is its name, such as `configuration`.
    ///
    /// # Errors
    /// Returns an error that names the first rank whose value is not that of rank 0; all ranks return the same one.
    pub fn agree(&self, what: &str, value: &dyn Display) -> Result<()> {
        match self.difference(&value.to_string()) {
            Some(Difference { rank, text, of_leader }) => Err(differs(rank, what, &text, &of_leader)),
            None => Ok(()),
        }
    }

    /// As [`Ranks::agree`], for settings: the error says which of them differs.
    ///
    /// # Errors
    /// Returns an error that names the first rank whose settings are not those of rank 0.
    pub(crate) fn agree_on_settings(&self, settings: &Value) -> Result<()> {
        let Some(Difference { rank, text, of_leader }) = self.difference(&settings.to_string()) else { return Ok(()) };
        let [own, expected] = [&text, &of_leader].map(|text| serde_json::from_str(text).unwrap_or_default());
        let (key, own, expected) = first_difference("", &own, &expected).unwrap_or_default();
        Err(differs(rank, &format!("`{key}`"), &own, &expected))
    }

    /// Returns the first rank whose text is not that of rank 0, with both texts; None if all have the same.
    fn difference(&self, text: &str) -> Option<Difference> {
        let hashes = self.gather(&[digest(text.as_bytes())]);
        let rank = hashes.iter().position(|hash| *hash != hashes[0])?;
        let [of_leader, text] = [0, rank].map(|rank| self.text_of(rank, text));
        Some(Difference { rank, text, of_leader })
    }

    /// Returns the text that rank `root` has.
    fn text_of(&self, root: usize, own: &str) -> String {
        let mut length = [own.len() as u32];
        self.of_rank(root, &mut length);
        let mut words = vec![0u32; (length[0] as usize).div_ceil(4)];
        if self.rank() == root {
            bytemuck::cast_slice_mut(&mut words)[..own.len()].copy_from_slice(own.as_bytes());
        }
        self.of_rank(root, &mut words);
        String::from_utf8_lossy(&bytemuck::cast_slice(&words)[..length[0] as usize]).into_owned()
    }

    /// Ends all ranks with the exit code `code`.
    pub fn abort(&self, code: u8) -> ! {
        match &self.group {
            Some(group) => group.communicator.abort(code),
            None => std::process::exit(i32::from(code)),
        }
    }
}

/// Where Linux says which cores a process may use, and the beginning of that line.
const PROCESS: &str = "/proc/self/status";
const ALLOWED: &str = "Cpus_allowed_list:";

/// Returns the first line of a file that begins with `name`; nothing if there is none.
fn line_of(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
}

/// A rank whose text is not that of rank 0.
struct Difference {
    rank: usize,
    text: String,
    of_leader: String,
}

fn differs(rank: usize, what: &str, text: &str, of_leader: &str) -> Error {
    Error::config(format!(
        "rank {rank} has another {what} than rank 0 ({text} instead of {of_leader}); start all ranks with the same \
         program, arguments and files"
    ))
}

/// Returns the key of the first setting that differs, with both values.
fn first_difference(key: &str, own: &Value, expected: &Value) -> Option<(String, String, String)> {
    let (Value::Object(parts), Value::Object(expected_parts)) = (own, expected) else {
        return (own != expected).then(|| (key.to_owned(), own.to_string(), expected.to_string()));
    };
    let names = parts.keys().chain(expected_parts.keys());
    names.into_iter().find_map(|name| {
        let [own, expected] = [parts, expected_parts].map(|parts| parts.get(name).unwrap_or(&Value::Null));
        first_difference(format!("{key}.{name}").trim_start_matches('.'), own, expected)
    })
}
