//! Devices: where buffers live and kernels run. All unsafe code of the crate is in this module.
//!
//! A [`Device`] is a CPU (kernels compiled for the host), a CUDA GPU (kernels loaded from PTX) or, in tests, an
//! emulated GPU. The other modules of the crate fill argument structs (`args`) with pointers to [`Buffer`]s and launch
//! kernels (`kernels`) without knowing which device it is.
//!
//! # What the caller of a launch guarantees
//!
//! Kernels check nothing. The caller of a launch has to guarantee, for the arguments and for the numbers in the
//! buffers:
//!
//! - every pointer is into a buffer of the device that runs the kernel, or null where `kernels/args.h` allows it;
//! - every buffer is as long as `kernels/args.h` says for the lengths in the arguments and the size of the launch;
//! - numbers that the kernel uses as indices, of rows, triangles or samples, are in range;
//! - what runs at the same time, items of a launch or launches of several threads, does not write to memory that
//!   another of them accesses, unless by atomic additions.
//!
//! [`Device::launch`] and the other launch functions are safe functions nevertheless, so that all unsafe code is in
//! this module; the crate as a whole gives the guarantee. Kernels, their arguments, pointers and everything that passes
//! them on (the crate's modules `field` and `encoding`, chunks of samples) are therefore internal. The feature
//! `testing` makes them public for the crate's own tests and benchmarks, which are then bound by the same guarantee;
//! programs should not turn it on.

#[cfg(not(feature = "testing"))]
pub(crate) mod args;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod args;
mod buffer;
mod compute;
mod cpu;
mod cuda;
#[cfg(feature = "emulated")]
mod emulated;
mod event;
mod interrupt;
mod kernel;
mod pointer;
mod precision;
mod profile;
mod ptx;

use std::sync::Arc;
use std::time::Instant;

use bytemuck::Pod;

use args::Args;
pub use buffer::Buffer;
pub(crate) use buffer::zeroed_vec;
pub use cpu::Cpu;
pub use cuda::Cuda;
#[cfg(feature = "counters")]
pub use emulated::counters;
#[cfg(feature = "emulated")]
pub use emulated::{Counts, Emulated, Order};
pub use event::Event;
pub use interrupt::Interrupt;
pub use precision::Precision;
pub use profile::{KernelTime, Profile};

use crate::{Error, Result};

internal_use!(compute::ComputeBuffer);
internal_use!(kernel::{Kernel, LaunchDims, Shape, kernels});
internal_use!(pointer::Ptr);

/// Which device to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA if there is a driver, a GPU and kernels for it, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU with CUDA.
    Cuda,
}

/// A device that runs kernels. Clones share the device.
#[derive(Clone)]
pub enum Device {
    /// The CPU.
    Cpu(Cpu),
    /// A GPU with CUDA.
    Cuda(Cuda),
    /// The emulated GPU, for tests.
    #[cfg(feature = "emulated")]
    Emulated(Emulated),
}

impl Device {
    /// Opens a device. `threads` is the number of CPU threads; 0 for one per core.
    ///
    /// # Errors
    /// Returns an error if the device is missing or cannot run this binary's kernels.
    pub fn open(choice: DeviceChoice, threads: usize) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Ok(Device::Cpu(Cpu::open(threads)?)),
            DeviceChoice::Cuda => Ok(Device::Cuda(Cuda::open()?)),
            DeviceChoice::Auto => Ok(Device::open_auto(threads)?.0),
        }
    }

    /// Opens CUDA if there is a driver, a GPU and kernels for it, else the CPU. If there is a driver and the device is
    /// the CPU, the second value is the reason why.
    ///
    /// # Errors
    /// Returns an error if the CPU cannot run this binary's kernels.
    pub fn open_auto(threads: usize) -> Result<(Self, Option<Error>)> {
        match Cuda::open() {
            Ok(cuda) => Ok((Device::Cuda(cuda), None)),
            Err(why) => Ok((Device::open(DeviceChoice::Cpu, threads)?, Cuda::has_driver().then_some(why))),
        }
    }

    /// Returns the GPU emulated on the calling thread.
    #[cfg(feature = "emulated")]
    pub fn emulated(order: Order) -> Self {
        Device::Emulated(Emulated::new(order))
    }

    /// Returns the same device with the time of every kernel added to the profile; the emulated device records no
    /// times.
    pub fn profiled(&self, profile: Arc<Profile>) -> Self {
        match self {
            Device::Cpu(cpu) => Device::Cpu(cpu.profiled(profile)),
            Device::Cuda(cuda) => Device::Cuda(cuda.profiled(profile)),
            #[cfg(feature = "emulated")]
            Device::Emulated(emulated) => Device::Emulated(*emulated),
        }
    }

    /// Returns the same device with the products of networks in the given precision. GPUs compute in fp16 and stay as
    /// they are; a CPU starts in fp32.
    ///
    /// # Errors
    /// Returns an error if bf16 is asked for and the device does not have it.
    pub fn with_precision(&self, precision: Precision) -> Result<Self> {
        let bf16 = match (self, precision) {
            (_, Precision::Fp32) => return Ok(self.clone()),
            (Device::Cpu(cpu), _) => cpu.with_bf16().map(Device::Cpu),
            _ => None,
        };
        match (bf16, precision) {
            (Some(device), _) => Ok(device),
            (None, Precision::Auto) => Ok(self.clone()),
            (None, _) => Err(Error::config(format!(
                "train.precision is bf16, which needs a CPU with AVX512-BF16, and the device is {}; \
                 auto takes bf16 only where it is there",
                self.describe()
            ))),
        }
    }

    /// Allocates a buffer of zeros.
    pub fn zeros<T: Pod>(&self, len: usize) -> Result<Buffer<T>> {
        match self {
            Device::Cuda(cuda) => Ok(Buffer::cuda(cuda.allocate(len * size_of::<T>())?, len)),
            _ => Buffer::host(len),
        }
    }

    /// Returns a buffer on the device with a copy of `values`.
    pub fn upload<T: Pod>(&self, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.zeros(values.len())?;
        buffer.upload(0, values)?;
        Ok(buffer)
    }

    /// Runs a kernel over all of `grid`, using the whole device; the module's documentation says what the caller
    /// guarantees. On a GPU the launch is queued and runs after all work queued before it.
    #[doc(hidden)]
    pub fn launch<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: LaunchDims) -> Result<()> {
        match self {
            Device::Cpu(cpu) => cpu.launch(kernel, args, grid),
            Device::Cuda(cuda) => cuda.launch(kernel, args, grid)?,
            #[cfg(feature = "emulated")]
            Device::Emulated(emulated) => emulated.launch(kernel, args, grid),
        }
        Ok(())
    }

    /// Runs a kernel within a chunk of work that owns its memory. On the CPU it runs on the calling thread only, and in
    /// order.
    #[doc(hidden)]
    pub fn launch_chunk<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: LaunchDims) -> Result<()> {
        match self {
            Device::Cpu(cpu) => {
                cpu.launch_here(kernel, args, grid);
                Ok(())
            }
            _ => self.launch(kernel, args, grid),
        }
    }

    /// Runs several launches `(args, grid)` one after the other, each with `rows` rows. On the CPU, rows run in
    /// parallel while the items of all launches keep their order within a row, so that sums into memory that belongs to
    /// a row do not depend on the number of threads.
    #[doc(hidden)]
    pub fn launch_rows<A: Args>(
        &self,
        kernel: &Kernel<A::Static>,
        launches: &[(A, LaunchDims)],
        rows: usize,
    ) -> Result<()> {
        match self {
            Device::Cpu(cpu) => {
                cpu.launch_rows(kernel, launches, rows as u32);
                Ok(())
            }
            _ => launches.iter().try_for_each(|(args, grid)| self.launch(kernel, args, grid.rows(rows))),
        }
    }

    /// Records an event at the end of the work launched so far.
    pub fn record_event(&self) -> Result<Event> {
        match self {
            Device::Cuda(cuda) => Ok(Event::Cuda(cuda.clone(), cuda.record_event()?)),
            _ => Ok(Event::Host(Instant::now())),
        }
    }

    /// Returns whether kernels run on the CPU, where launches have finished when they return.
    pub fn is_host(&self) -> bool {
        matches!(self, Device::Cpu(_))
    }

    /// Returns whether kernels compute with fp16 copies of the parameters.
    pub fn computes_in_fp16(&self) -> bool {
        !self.is_host()
    }

    /// Returns the number of chunks that are processed at the same time.
    pub fn n_workers(&self) -> usize {
        match self {
            Device::Cpu(cpu) => cpu.threads(),
            _ => 1,
        }
    }

    /// Calls `work(worker, index, chunk)` for every chunk. Calls with the same worker index never overlap.
    pub(crate) fn for_each_chunk<T: Send>(
        &self,
        chunks: &mut [T],
        work: impl Fn(usize, usize, &mut T) -> Result<()> + Sync,
    ) -> Result<()> {
        match self {
            Device::Cpu(cpu) => cpu.for_each_chunk(chunks, work),
            _ => chunks.iter_mut().enumerate().try_for_each(|(index, chunk)| work(0, index, chunk)),
        }
    }

    /// Returns one number of a buffer if that is possible without waiting for the device, else None.
    pub(crate) fn peek<T: Pod>(&self, buffer: &Buffer<T>, index: usize) -> Option<T> {
        if !self.is_host() {
            return None;
        }
        let mut value = [T::zeroed()];
        buffer.download_into(index, &mut value).ok()?;
        Some(value[0])
    }

    /// Returns what decides how the device rounds, such as `CPU, x86-64-v4`.
    pub(crate) fn kind(&self) -> String {
        match self {
            Device::Cpu(cpu) => format!("CPU, {}", cpu.described_level()),
            _ => self.describe(),
        }
    }

    /// Returns a description of the device, such as `CPU, 2 threads, x86-64-v4`.
    pub fn describe(&self) -> String {
        match self {
            Device::Cpu(cpu) => cpu.describe(),
            Device::Cuda(cuda) => cuda.describe(),
            #[cfg(feature = "emulated")]
            Device::Emulated(emulated) => emulated.describe(),
        }
    }
}
