//! Devices: where buffers live and kernels run. Everything unsafe of the crate is in here.
//!
//! A [`Device`] is a CPU (kernels compiled for the host), a CUDA GPU (kernels loaded from PTX) or, in tests, an emulated GPU.
//! Above this module, code fills argument structs ([`args`]) with pointers to [`Buffer`]s and launches kernels ([`kernels`])
//! without knowing which.

pub mod args;
mod buffer;
mod compute;
mod cpu;
mod cuda;
#[cfg(feature = "emulated")]
mod emulated;
mod event;
mod profile;
mod ptx;

use std::marker::PhantomData;
use std::sync::Arc;

use bytemuck::Pod;

pub use args::Args;
pub(crate) use buffer::zeroed_vec;
pub use buffer::{Buffer, Ptr};
pub use compute::ComputeBuffer;
pub use cpu::Cpu;
pub use cuda::Cuda;
#[cfg(feature = "emulated")]
pub use emulated::{Emulated, Order};
pub use event::Event;
pub use profile::{KernelTime, Profile};

use crate::Result;

/// The kernels by name, from `kernels/*.cu` by way of `build.rs`.
pub mod kernels {
    #[cfg(feature = "emulated")]
    use std::ffi::c_char;
    use std::ffi::c_void;
    use std::marker::PhantomData;

    #[cfg(feature = "emulated")]
    use super::emulated;
    use super::{Kernel, Shape, args};

    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}

/// A kernel with arguments `A`.
pub struct Kernel<A> {
    pub name: &'static str,
    /// `kernels/{source}.cu`
    pub source: &'static str,
    pub shape: Shape,
    host: [cpu::HostFn; kernels::LEVELS.len()],
    #[cfg(feature = "emulated")]
    emulated: emulated::EmulatedFn,
    args: PhantomData<fn(&A)>,
}

/// What a kernel runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One thread per item.
    Item,
    /// One warp per item.
    Warp,
    /// One block per tile of [`args::TILE`] samples.
    Tile,
}

/// How much a launch covers: items (or tiles), times rows.
#[derive(Clone, Copy, Debug)]
pub struct LaunchDims {
    items: u32,
    rows: u32,
}

impl LaunchDims {
    pub fn items(items: usize) -> Self {
        LaunchDims { items: u32::try_from(items).expect("fewer than 2^32 items"), rows: 1 }
    }

    /// Tiles that hold `samples`.
    pub fn tiles(samples: usize) -> Self {
        LaunchDims::items(samples.div_ceil(args::TILE))
    }

    pub fn rows(self, rows: usize) -> Self {
        LaunchDims { rows: rows as u32, ..self }
    }
}

/// Which device to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// CUDA where there is a driver, a GPU and kernels for it; else the CPU.
    Auto,
    Cpu,
    Cuda,
}

#[derive(Clone)]
pub enum Device {
    Cpu(Cpu),
    Cuda(Cuda),
    #[cfg(feature = "emulated")]
    Emulated(Emulated),
}

impl Device {
    /// `threads`: of the CPU; 0 for one a core.
    ///
    /// # Errors
    /// The device is not there, or cannot run this binary's kernels.
    pub fn open(choice: DeviceChoice, threads: usize) -> Result<Self> {
        match choice {
            DeviceChoice::Cpu => Ok(Device::Cpu(Cpu::open(threads)?)),
            DeviceChoice::Cuda => Ok(Device::Cuda(Cuda::open()?)),
            DeviceChoice::Auto => match Cuda::open() {
                Ok(cuda) => Ok(Device::Cuda(cuda)),
                Err(_) => Device::open(DeviceChoice::Cpu, threads),
            },
        }
    }

    /// The GPU emulated on the calling thread.
    #[cfg(feature = "emulated")]
    pub fn emulated(order: Order) -> Self {
        Device::Emulated(Emulated::new(order))
    }

    /// The same device, with the time of every kernel added to the profile; the emulated one keeps none.
    pub fn profiled(&self, profile: Arc<Profile>) -> Self {
        match self {
            Device::Cpu(cpu) => Device::Cpu(cpu.profiled(profile)),
            Device::Cuda(cuda) => Device::Cuda(cuda.profiled(profile)),
            #[cfg(feature = "emulated")]
            Device::Emulated(emulated) => Device::Emulated(*emulated),
        }
    }

    /// A buffer of zeros.
    pub fn zeros<T: Pod>(&self, len: usize) -> Result<Buffer<T>> {
        match self {
            Device::Cuda(cuda) => Ok(Buffer::cuda(cuda.allocate(len * size_of::<T>())?, len)),
            _ => Buffer::host(len),
        }
    }

    pub fn upload<T: Pod>(&self, values: &[T]) -> Result<Buffer<T>> {
        let mut buffer = self.zeros(values.len())?;
        buffer.upload(0, values)?;
        Ok(buffer)
    }

    /// Runs a kernel over the grid, on all of the device. Its items must not write to each other's memory, except by
    /// atomic additions. A GPU queues the work and runs it after all that was queued before.
    pub fn launch<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: LaunchDims) -> Result<()> {
        match self {
            Device::Cpu(cpu) => cpu.launch(kernel, args, grid),
            Device::Cuda(cuda) => cuda.launch(kernel, args, grid)?,
            #[cfg(feature = "emulated")]
            Device::Emulated(emulated) => emulated.launch(kernel, args, grid),
        }
        Ok(())
    }

    /// The same within a chunk of work that owns its memory: on the CPU, on the calling thread alone and in order.
    pub fn launch_chunk<A: Args>(&self, kernel: &Kernel<A::Static>, args: &A, grid: LaunchDims) -> Result<()> {
        match self {
            Device::Cpu(cpu) => {
                cpu.launch_here(kernel, args, grid);
                Ok(())
            }
            _ => self.launch(kernel, args, grid),
        }
    }

    /// Rows of several launches, `(args, grid)` one after the other: within a row the items of all launches keep their
    /// order, so that on the CPU sums into memory that belongs to a row do not depend on the number of threads.
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

    /// Whether kernels run on this machine's processor, where launches end before they return.
    pub fn is_host(&self) -> bool {
        matches!(self, Device::Cpu(_))
    }

    /// Whether kernels compute with fp16 copies of the parameters.
    pub fn computes_in_fp16(&self) -> bool {
        !self.is_host()
    }

    /// How many chunks are worked on at a time.
    pub fn n_workers(&self) -> usize {
        match self {
            Device::Cpu(cpu) => cpu.threads(),
            _ => 1,
        }
    }

    /// Calls `work(lane, index, chunk)` for every chunk; calls of the same lane never overlap.
    pub fn for_each_chunk<T: Send>(
        &self,
        chunks: &mut [T],
        work: impl Fn(usize, usize, &mut T) -> Result<()> + Sync,
    ) -> Result<()> {
        match self {
            Device::Cpu(cpu) => cpu.for_each_chunk(chunks, work),
            _ => chunks.iter_mut().enumerate().try_for_each(|(index, chunk)| work(0, index, chunk)),
        }
    }

    /// One number of a buffer where reading it costs nothing; None where it would mean to wait for the device.
    pub fn peek<T: Pod>(&self, buffer: &Buffer<T>, index: usize) -> Option<T> {
        if !self.is_host() {
            return None;
        }
        let mut value = [T::zeroed()];
        buffer.download_into(index, &mut value).ok()?;
        Some(value[0])
    }

    /// The device in words, such as `CPU, 2 threads, x86-64-v4`.
    pub fn describe(&self) -> String {
        match self {
            Device::Cpu(cpu) => cpu.describe(),
            Device::Cuda(cuda) => cuda.describe(),
            #[cfg(feature = "emulated")]
            Device::Emulated(emulated) => emulated.describe(),
        }
    }
}
