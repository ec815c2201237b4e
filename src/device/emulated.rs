//! The emulated target: the branches of the kernels that only GPUs run (shared memory, barriers, warp exchange, fp16,
//! tensor cores), block by block on fibers. For tests, at small sizes; the scheduler is `kernels/emulated.cpp`.

use std::ffi::{CStr, c_char, c_void};

use super::{Args, Grid, Kernel};

/// In which order blocks, and the threads of a block between two barriers, run. Results that differ by more than the order
/// of additions show a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Forward,
    Reverse,
}

/// As in `kernels/emulated.h`.
#[repr(C)]
pub struct Options {
    reverse: u32,
}

/// A kernel compiled for emulation: `(arguments, items, rows, options)`; null, or what went wrong.
pub type EmulatedFn = unsafe extern "C" fn(*const c_void, u32, u32, *const Options) -> *const c_char;

#[derive(Clone, Copy)]
pub struct Emulated {
    order: Order,
}

impl Emulated {
    pub fn new(order: Order) -> Self {
        Emulated { order }
    }

    /// Runs a kernel on the calling thread.
    ///
    /// # Panics
    /// Where threads of a block wait at different barriers, or some wait and others have ended.
    pub fn launch<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: Grid) {
        let options = Options { reverse: (self.order == Order::Reverse).into() };
        // SAFETY: `args` has the layout that the kernel was compiled with (`Args`), and its pointers borrow buffers of this
        // device; that the buffers are as long as the arguments say is the caller's contract, as on a GPU.
        let message = unsafe { (kernel.emulated)(std::ptr::from_ref(args).cast(), grid.items, grid.rows, &options) };
        if !message.is_null() {
            // SAFETY: a string in memory of this thread's scheduler, unchanged until its next launch.
            let message = unsafe { CStr::from_ptr(message) };
            panic!("barrier divergence: {}", message.to_string_lossy());
        }
    }

    pub fn describe(&self) -> String {
        format!("emulated GPU, {:?} order", self.order).to_lowercase()
    }
}
