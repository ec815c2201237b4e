//! The emulated target runs the kernel branches that only GPUs use (shared memory, barriers, warp exchange, fp16,
//! tensor cores) block by block on fibers. It is meant for tests at small sizes; the scheduler is
//! `kernels/core/emulated.cpp`.

use std::ffi::{CStr, c_void};

use super::kernel::{EmulatedFn, EmulatedOptions};
use super::{Args, Kernel, LaunchDims};

/// Order in which blocks, and the threads of a block between two barriers, run. If results differ between orders by
/// more than reordered additions explain, there is a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Blocks and threads run in ascending order.
    Forward,
    /// Blocks and threads run in descending order.
    Reverse,
}

/// The emulated GPU, which runs the CUDA branches of the kernels block by block on the CPU.
#[derive(Clone, Copy)]
pub struct Emulated {
    order: Order,
}

impl Emulated {
    /// Returns a device that runs threads in the given order.
    pub fn new(order: Order) -> Self {
        Emulated { order }
    }

    /// Runs a kernel on the calling thread.
    ///
    /// # Panics
    /// Panics if threads of a block wait at different barriers, or if some wait while others have ended.
    pub(super) fn launch<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: LaunchDims) {
        let args = std::ptr::from_ref(args).cast();
        // SAFETY: `args` has the layout that the kernel was compiled with (`Args`), and its pointers borrow buffers of
        // this device. As on a GPU, the caller guarantees that the buffers are as long as the arguments say.
        let run = |counts: Option<&mut Counts>| unsafe { run(kernel.emulated, args, grid, self.order, counts) };
        #[cfg(feature = "counters")]
        let ran = counters::counting(kernel.name, |counts| run(counts));
        #[cfg(not(feature = "counters"))]
        let ran = run(None);
        ran.unwrap_or_else(|divergence| panic!("barrier divergence: {divergence}"));
    }

    /// Returns a description for reports.
    pub fn describe(&self) -> String {
        format!("emulated GPU, {:?} order", self.order).to_lowercase()
    }
}

/// What the threads of a launch did. Only builds with the feature `counters` count.
///
/// Mirrors `EmulatedCounts` in `kernels/core/emulated.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Counts {
    /// Blocks of threads.
    pub blocks: u64,
    /// Bytes that plain reads took from global memory.
    pub bytes_read: u64,
    /// Bytes that plain writes put into global memory.
    pub bytes_written: u64,
    /// Bytes of the operands of atomic additions to global memory.
    pub bytes_added: u64,
    /// Sectors of 32 bytes read, each once for a request of a warp.
    pub sectors_read: u64,
    /// Sectors of 32 bytes written, each once for a request of a warp.
    pub sectors_written: u64,
    /// Atomic additions to global memory, of a number or of a vector.
    pub additions: u64,
    /// Additions to an address to which an earlier lane adds in the same request of the warp.
    pub collide_in_warp: u64,
    /// Additions to an address to which the same block has added before.
    pub collide_in_block: u64,
    /// Barriers of blocks.
    pub block_barriers: u64,
    /// Barriers of warps, exchanges among lanes included.
    pub warp_barriers: u64,
    /// Basic blocks of code that warps ran.
    pub warp_steps: u64,
    /// Basic blocks of code that lanes ran; with all 32 lanes at work, 32 for each of its warp's.
    pub lane_steps: u64,
}

/// Counting of launches.
#[cfg(feature = "counters")]
pub mod counters {
    use std::cell::RefCell;

    use super::Counts;

    thread_local! {
        static LAUNCHES: RefCell<Option<Vec<(&'static str, Counts)>>> = const { RefCell::new(None) };
    }

    /// Returns the result of `work`, and the kernels that it launched on the emulated target from this thread, in order
    /// and each with what its threads did.
    pub fn count<T>(work: impl FnOnce() -> T) -> (T, Vec<(&'static str, Counts)>) {
        LAUNCHES.set(Some(Vec::new()));
        let result = work();
        (result, LAUNCHES.take().unwrap_or_default())
    }

    /// Runs a launch, counting if the thread does.
    pub(super) fn counting<T>(kernel: &'static str, launch: impl FnOnce(Option<&mut Counts>) -> T) -> T {
        LAUNCHES.with_borrow_mut(|launches| match launches {
            None => launch(None),
            Some(launches) => {
                let mut counts = Counts::default();
                let result = launch(Some(&mut counts));
                launches.push((kernel, counts));
                result
            }
        })
    }
}

/// Runs a kernel, and adds what it does to `counts`. The error says which threads wait for each other in vain.
///
/// # Safety
/// The arguments must have the type that the kernel expects, and their buffers the length that it expects.
unsafe fn run(
    kernel: EmulatedFn,
    args: *const c_void,
    grid: LaunchDims,
    order: Order,
    counts: Option<&mut Counts>,
) -> Result<(), String> {
    let counts = counts.map_or(std::ptr::null_mut(), std::ptr::from_mut);
    let options = EmulatedOptions { reverse: (order == Order::Reverse).into(), counts };
    // SAFETY: guaranteed by the caller.
    let message = unsafe { kernel(args, grid.items, grid.rows, &options) };
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: the string is in the memory of this thread's scheduler, unchanged until its next launch.
    Err(unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::c_char;

    use super::*;
    use crate::device::args::TILE;

    // Mirrors the struct in kernels/core/emulated_faults.cpp.
    #[repr(C)]
    struct FaultArgs {
        out: *mut f32,
    }

    unsafe extern "C" {
        fn fault_none_emulated(
            args: *const c_void,
            items: u32,
            rows: u32,
            options: *const EmulatedOptions,
        ) -> *const c_char;
        fn fault_race_emulated(
            args: *const c_void,
            items: u32,
            rows: u32,
            options: *const EmulatedOptions,
        ) -> *const c_char;
        fn fault_early_end_emulated(
            args: *const c_void,
            items: u32,
            rows: u32,
            options: *const EmulatedOptions,
        ) -> *const c_char;
        fn fault_two_barriers_emulated(
            args: *const c_void,
            items: u32,
            rows: u32,
            options: *const EmulatedOptions,
        ) -> *const c_char;
        fn fault_unwritten_emulated(
            args: *const c_void,
            items: u32,
            rows: u32,
            options: *const EmulatedOptions,
        ) -> *const c_char;
    }

    fn out_of(kernel: EmulatedFn, order: Order) -> Result<Vec<f32>, String> {
        let mut out = vec![0.0; TILE];
        let args = FaultArgs { out: out.as_mut_ptr() };
        // SAFETY: these kernels take `FaultArgs`, and each thread of a block writes one number.
        unsafe { run(kernel, std::ptr::from_ref(&args).cast(), LaunchDims::items(1), order, None) }?;
        Ok(out)
    }

    #[test]
    fn a_right_kernel_gives_the_same_in_both_orders() {
        let forward = out_of(fault_none_emulated, Order::Forward).unwrap();
        assert_eq!(forward, (0..TILE).map(|thread| ((thread + 1) % TILE) as f32).collect::<Vec<_>>());
        assert_eq!(out_of(fault_none_emulated, Order::Reverse).unwrap(), forward);
    }

    #[test]
    fn a_race_differs_between_the_orders() {
        let forward = out_of(fault_race_emulated, Order::Forward).unwrap();
        let reverse = out_of(fault_race_emulated, Order::Reverse).unwrap();
        assert!(forward.iter().zip(&reverse).any(|(f, r)| f.to_bits() != r.to_bits()));
    }

    #[test]
    fn a_barrier_that_some_threads_miss_is_reported_with_its_kernel() {
        for order in [Order::Forward, Order::Reverse] {
            let message = out_of(fault_early_end_emulated, order).unwrap_err();
            assert!(message.contains("kernel fault_early_end, block (0, 0)"), "{message}");
            assert!(message.contains("has ended"), "{message}");
            assert!(message.contains("waits for its block at"), "{message}");
        }
    }

    #[test]
    fn threads_at_two_barriers_are_reported() {
        let message = out_of(fault_two_barriers_emulated, Order::Forward).unwrap_err();
        assert!(message.contains("thread 5 waits for its warp at"), "{message}");
    }

    #[test]
    fn unwritten_shared_memory_reads_as_nan() {
        assert!(out_of(fault_unwritten_emulated, Order::Forward).unwrap().iter().all(|value| value.is_nan()));
    }

    #[test]
    fn a_block_that_failed_leaves_the_next_launch_unharmed() {
        out_of(fault_early_end_emulated, Order::Forward).unwrap_err();
        assert_eq!(out_of(fault_none_emulated, Order::Forward).unwrap()[0], 1.0);
    }
}
