//! Memory of a device, and the pointers to it that kernels get.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::ptr::NonNull;

use bytemuck::Pod;

use super::cuda;
use crate::{Error, Result};

/// A pointer to device memory, for a kernel's arguments. It borrows its buffer, so that the memory outlives the launch;
/// like on a GPU, what kernels do to the memory is not tracked further: kernels that run at the same time must not write
/// what another one touches.
#[repr(transparent)]
pub struct Ptr<'a, T> {
    address: *mut T,
    buffer: PhantomData<&'a T>,
}

impl<T> Clone for Ptr<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ptr<'_, T> {}

// SAFETY: a `Ptr` is an address; only kernels follow it, under the rule above.
unsafe impl<T> Send for Ptr<'_, T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Ptr<'_, T> {}

impl<'a, T> Ptr<'a, T> {
    /// What an absent optional argument is.
    pub const NULL: Self = Ptr { address: std::ptr::null_mut(), buffer: PhantomData };

    pub(super) fn new(address: *mut T) -> Self {
        Ptr { address, buffer: PhantomData }
    }

    /// The same memory, seen as numbers of another type.
    pub fn cast<U>(self) -> Ptr<'a, U> {
        Ptr { address: self.address.cast(), buffer: PhantomData }
    }
}

/// `len` numbers in the memory of a device, zero at first.
pub struct Buffer<T: Pod> {
    pub(super) memory: Memory,
    len: usize,
    item: PhantomData<T>,
}

pub(super) enum Memory {
    Host(HostMemory),
    Cuda(cuda::Memory),
}

impl<T: Pod> Buffer<T> {
    pub(super) fn host(len: usize) -> Result<Self> {
        let memory = HostMemory::zeroed(len.saturating_mul(size_of::<T>()))?;
        Ok(Buffer { memory: Memory::Host(memory), len, item: PhantomData })
    }

    pub(super) fn cuda(memory: cuda::Memory, len: usize) -> Self {
        Buffer { memory: Memory::Cuda(memory), len, item: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// For a kernel's arguments.
    pub fn ptr(&self) -> Ptr<'_, T> {
        match &self.memory {
            Memory::Host(memory) => Ptr::new(memory.address.as_ptr().cast()),
            Memory::Cuda(memory) => Ptr::new(memory.address()),
        }
    }

    /// As [`Buffer::ptr`]; null for a buffer of nothing, which stands for an argument that is absent.
    pub fn ptr_or_null(&self) -> Ptr<'_, T> {
        if self.is_empty() { Ptr::NULL } else { self.ptr() }
    }

    /// As [`Buffer::ptr`], from element `first` on.
    pub fn ptr_at(&self, first: usize) -> Ptr<'_, T> {
        assert!(first <= self.len, "a pointer past the end of a buffer");
        Ptr::new(self.ptr().address.wrapping_add(first))
    }

    /// Waits for the device and copies the numbers out.
    pub fn download(&self) -> Result<Vec<T>> {
        let mut values = zeroed_vec(self.len)?;
        self.download_into(0, &mut values)?;
        Ok(values)
    }

    /// Waits for the device and copies `values.len()` numbers out, from `first` on.
    pub fn download_into(&self, first: usize, values: &mut [T]) -> Result<()> {
        assert!(first + values.len() <= self.len, "reading past the end of a buffer");
        match &self.memory {
            // SAFETY: the range was checked, the memory is initialised, and no kernel is running: launches on the host
            // have ended when they return.
            Memory::Host(memory) => unsafe {
                let from = memory.address.as_ptr().cast::<T>().add(first);
                std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), values.len());
            },
            Memory::Cuda(memory) => memory.read(first, values)?,
        }
        Ok(())
    }

    /// Copies numbers in, from `first` on.
    pub fn upload(&mut self, first: usize, values: &[T]) -> Result<()> {
        assert!(first + values.len() <= self.len, "writing past the end of a buffer");
        match &mut self.memory {
            // SAFETY: the range was checked and `&mut self` says that no pointer to the memory is alive.
            Memory::Host(memory) => unsafe {
                let to = memory.address.as_ptr().cast::<T>().add(first);
                std::ptr::copy_nonoverlapping(values.as_ptr(), to, values.len());
            },
            Memory::Cuda(memory) => memory.write(first, values)?,
        }
        Ok(())
    }

    /// Sets all to zero.
    pub fn clear(&mut self) -> Result<()> {
        match &mut self.memory {
            // SAFETY: all of the allocation, which nobody else holds.
            Memory::Host(memory) => unsafe { memory.address.as_ptr().write_bytes(0, memory.layout.size()) },
            Memory::Cuda(memory) => memory.clear()?,
        }
        Ok(())
    }
}

/// Zeroed memory, aligned for vectors. Large blocks are mapped, and ask for huge pages: they spare the random gathers of a
/// hash table most of their address translation, and what is never touched takes no memory.
pub(super) struct HostMemory {
    address: NonNull<u8>,
    layout: Layout,
    mapped: bool,
}

// SAFETY: the memory is owned, and reached only through `Buffer` and kernels.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

/// From this size on, in bytes, a block is mapped.
const MAPPED: usize = 4 << 20;

impl HostMemory {
    fn zeroed(bytes: usize) -> Result<Self> {
        let layout = Layout::from_size_align(bytes.max(1), 64).map_err(|_| no_memory(bytes))?;
        if bytes >= MAPPED
            && let Some(address) = map(bytes)
        {
            return Ok(HostMemory { address, layout, mapped: true });
        }
        // SAFETY: the layout's size is not zero.
        let address = unsafe { alloc_zeroed(layout) };
        let address = NonNull::new(address).ok_or_else(|| no_memory(bytes))?;
        Ok(HostMemory { address, layout, mapped: false })
    }
}

/// `len` zeros, for copies of what lies on a device: as large as it, so that memory may end here as well.
pub(crate) fn zeroed_vec<T: Pod>(len: usize) -> Result<Vec<T>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).map_err(|_| no_memory(len.saturating_mul(size_of::<T>())))?;
    values.resize(len, T::zeroed());
    Ok(values)
}

fn no_memory(bytes: usize) -> Error {
    Error::device(format!(
        "{:.1} MiB of memory were asked for, and this machine has no more to give; lower model.grid.log2_hashmap_size or \
         train.batch_samples, or free some memory",
        bytes as f64 / f64::from(1 << 20)
    ))
}

impl Drop for HostMemory {
    fn drop(&mut self) {
        if self.mapped {
            unmap(self.address, self.layout.size());
        } else {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.address.as_ptr(), self.layout) }
        }
    }
}

#[cfg(unix)]
fn map(bytes: usize) -> Option<NonNull<u8>> {
    // SAFETY: a fresh private mapping at an address of the kernel's choice.
    let address = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if address == libc::MAP_FAILED {
        return None;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: advice about the mapping just made; a refusal changes nothing.
    unsafe {
        libc::madvise(address, bytes, libc::MADV_HUGEPAGE);
    }
    NonNull::new(address.cast())
}

#[cfg(unix)]
fn unmap(address: NonNull<u8>, bytes: usize) {
    // SAFETY: made by `map` with this size.
    unsafe { libc::munmap(address.as_ptr().cast(), bytes) };
}

#[cfg(not(unix))]
fn map(_: usize) -> Option<NonNull<u8>> {
    None
}

#[cfg(not(unix))]
fn unmap(_: NonNull<u8>, _: usize) {
    unreachable!("nothing is mapped here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_an_error_that_says_how_much_was_asked_for() {
        // More than an address space, more than 47 bits of one, and more than `usize` counts.
        for (error, asked) in [
            (Buffer::<u8>::host(1 << 60).err(), "1099511627776.0 MiB"),
            (Buffer::<u8>::host(1 << 50).err(), "1073741824.0 MiB"),
            (Buffer::<u64>::host(usize::MAX / 2).err(), "17592186044416.0 MiB"),
            (zeroed_vec::<f32>(1 << 48).err(), "1073741824.0 MiB"),
        ] {
            let error = error.expect("no machine has so much").to_string();
            assert!(error.starts_with(&format!("{asked} of memory were asked for")), "{error}");
        }
    }
}
