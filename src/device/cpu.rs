//! The host target: kernels as functions over ranges of items or tiles, distributed over a thread pool.

use std::sync::Arc;

use rayon::prelude::*;

use super::kernels::LEVELS;
use super::profile::thread_time;
use super::{Args, Kernel, LaunchDims, Profile, Shape};
use crate::{Error, Result};

/// The CPU as a device: a pool of threads, and the kernels compiled for its instruction set.
#[derive(Clone)]
pub struct Cpu {
    threads: Arc<rayon::ThreadPool>,
    level: usize,
    profile: Option<Arc<Profile>>,
}

impl Cpu {
    /// Starts the thread pool. `threads`: 0 for one per core.
    pub fn open(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| Error::device(format!("cannot start {threads} threads: {error}")))?;
        Ok(Cpu { threads: Arc::new(pool), level: best_level()?, profile: None })
    }

    /// Returns the same device with the time of every kernel added to the profile.
    pub fn profiled(&self, profile: Arc<Profile>) -> Self {
        Cpu { profile: Some(profile), ..self.clone() }
    }

    /// Returns the same device with the networks' products in bf16, or None if the processor lacks the instructions.
    pub fn with_bf16(&self) -> Option<Self> {
        let level = LEVELS.iter().rposition(|level| level.ends_with(BF16) && has_level(level))?;
        Some(Cpu { level, ..self.clone() })
    }

    /// Returns the same device at each instruction set level that the processor supports, the lowest first: those with
    /// fp32 products, or those with bf16 products; for tests and measurements.
    #[doc(hidden)]
    pub fn at_every_level(&self, bf16: bool) -> Vec<Self> {
        let levels =
            (0..LEVELS.len()).filter(|&level| LEVELS[level].ends_with(BF16) == bf16 && has_level(LEVELS[level]));
        levels.map(|level| Cpu { level, ..self.clone() }).collect()
    }

    /// Returns the number of threads.
    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    /// Returns the instruction set level in use, such as `v4`; with products in bf16 `v4_bf16`, or `v4_amx_bf16` on the
    /// matrix unit of each core.
    pub fn level(&self) -> &'static str {
        LEVELS[self.level]
    }

    /// Runs `work` in the device's thread pool and returns its result.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.threads.install(work)
    }

    /// Runs a kernel over all items in order, on the calling thread.
    pub(super) fn launch_here<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: LaunchDims) {
        for row in 0..grid.rows {
            self.run(kernel, args, 0, grid.items, row);
        }
    }

    /// Runs a kernel over all items on all threads. Only for kernels whose items do not write to each other's memory.
    pub(super) fn launch<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: LaunchDims) {
        let smallest = if kernel.shape == Shape::Tile { 4 } else { 1024 };
        let part = grid.items.div_ceil(8 * self.threads() as u32).max(smallest);
        let parts = grid.items.div_ceil(part);
        self.install(|| {
            (0..parts * grid.rows).into_par_iter().for_each(|work| {
                let begin = work % parts * part;
                self.run(kernel, args, begin, (begin + part).min(grid.items), work / parts);
            });
        });
    }

    /// Runs the rows in parallel, and the launches of each row in order.
    pub(super) fn launch_rows<A: Args>(&self, kernel: &Kernel<A::Static>, launches: &[(A, LaunchDims)], rows: u32) {
        self.install(|| {
            // Later rows are finer levels, which take longer, so they start first.
            (0..rows).into_par_iter().with_max_len(1).rev().for_each(|row| {
                for (args, grid) in launches {
                    self.run(kernel, args, 0, grid.items, row);
                }
            });
        });
    }

    /// See [`super::Device::for_each_chunk`].
    pub(super) fn for_each_chunk<T: Send>(
        &self,
        chunks: &mut [T],
        work: impl Fn(usize, usize, &mut T) -> Result<()> + Sync,
    ) -> Result<()> {
        self.install(|| {
            chunks.par_iter_mut().enumerate().with_max_len(1).try_for_each(|(index, chunk)| {
                work(rayon::current_thread_index().expect("this runs in the pool"), index, chunk)
            })
        })
    }

    /// Returns a description such as `CPU, 2 threads, x86-64-v4`.
    pub fn describe(&self) -> String {
        let threads = self.threads();
        let plural = if threads == 1 { "" } else { "s" };
        format!("CPU, {threads} thread{plural}, {}", self.described_level())
    }

    /// Returns the instruction set level with its architecture, such as `x86-64-v4`.
    pub(super) fn described_level(&self) -> String {
        let architecture = std::env::consts::ARCH.replace('_', "-");
        match (self.level(), self.level().strip_suffix(BF16)) {
            ("native", _) => architecture,
            (_, Some(level)) => match level.strip_suffix("_amx") {
                Some(level) => format!("{architecture}-{level} with AMX and bf16"),
                None => format!("{architecture}-{level} with bf16"),
            },
            // Such as aarch64-v8.2.
            (level, None) => format!("{architecture}-{}", level.replace('_', ".")),
        }
    }

    /// Runs a kernel over items `begin .. end` of one row, on the calling thread.
    fn run<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, begin: u32, end: u32, row: u32) {
        let begun = self.profile.as_ref().map(|_| thread_time());
        // SAFETY: `args` has the layout that the kernel was compiled with (`Args`), and its pointers borrow buffers of
        // this device. As on a GPU, the caller guarantees that the buffers are as long as the arguments say.
        unsafe { kernel.host[self.level](std::ptr::from_ref(args).cast(), begin, end, row) }
        if let (Some(profile), Some(begun)) = (&self.profile, begun) {
            profile.add(kernel.name, thread_time() - begun);
        }
    }
}

/// Suffix of the levels that multiply the networks' layers in bf16.
const BF16: &str = "_bf16";

/// Returns the index of the highest instruction set level with fp32 products that this CPU supports.
fn best_level() -> Result<usize> {
    LEVELS.iter().rposition(|level| !level.ends_with(BF16) && has_level(level)).ok_or_else(|| {
        Error::device(format!("this processor lacks the instructions of x86-64-{} (AVX2, FMA)", LEVELS[0]))
    })
}

#[cfg(target_arch = "x86_64")]
fn has_level(level: &str) -> bool {
    let v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("bmi2");
    match level {
        "v4_amx_bf16" => has_level("v4_bf16") && has_matrix_unit(),
        "v4_bf16" => has_level("v4") && is_x86_feature_detected!("avx512bf16"),
        "v4" => {
            v3 && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
        }
        _ => v3,
    }
}

/// Tells whether the cores have AMX with bf16, and the operating system lets this process use it.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn has_matrix_unit() -> bool {
    // The bits that say AMX-BF16 and AMX-TILE, of leaf 7 (Intel's Software Developer's Manual, volume 2, CPUID).
    const BF16_AND_TILES: u32 = 1 << 22 | 1 << 24;
    // From <asm/prctl.h>: asks for the right to use a part of the state that the system saves on request only.
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    let leaves = std::arch::x86_64::__cpuid(0).eax;
    if leaves < 7 || std::arch::x86_64::__cpuid_count(7, 0).edx & BF16_AND_TILES != BF16_AND_TILES {
        return false;
    }
    // SAFETY: the call reads and writes no memory of this process. Other systems and older kernels return an error.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn has_matrix_unit() -> bool {
    false
}

#[cfg(target_arch = "aarch64")]
fn has_level(level: &str) -> bool {
    let v8_2 = std::arch::is_aarch64_feature_detected!("lse")
        && std::arch::is_aarch64_feature_detected!("rdm")
        && std::arch::is_aarch64_feature_detected!("crc");
    level == "v8" || v8_2
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_level(_: &str) -> bool {
    true
}
