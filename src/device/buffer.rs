//! Device memory.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::marker::PhantomData;
use std::ptr::NonNull;

use bytemuck::Pod;

use super::{Ptr, cuda};
use crate::{Error, Result};

/// `len` numbers in device memory, initially zero.
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

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the buffer has no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the pointer for a kernel's arguments.
    #[doc(hidden)]
    pub fn ptr(&self) -> Ptr<'_, T> {
        match &self.memory {
            Memory::Host(memory) => Ptr::new(memory.address.as_ptr().cast()),
            Memory::Cuda(memory) => Ptr::new(memory.address()),
        }
    }

    /// Returns [`Buffer::ptr`], or null for an empty buffer, which stands for an absent argument.
    #[doc(hidden)]
    pub fn ptr_or_null(&self) -> Ptr<'_, T> {
        if self.is_empty() { Ptr::NULL } else { self.ptr() }
    }

    /// Returns a pointer to element `first`.
    #[doc(hidden)]
    pub fn ptr_at(&self, first: usize) -> Ptr<'_, T> {
        assert!(first <= self.len, "a pointer past the end of a buffer");
        self.ptr().add(first)
    }

    /// Waits for the device and copies all numbers to the host.
    pub fn download(&self) -> Result<Vec<T>> {
        let mut values = zeroed_vec(self.len)?;
        self.download_into(0, &mut values)?;
        Ok(values)
    }

    /// Waits for the device and copies `values.len()` numbers to the host, starting at element `first`.
    pub fn download_into(&self, first: usize, values: &mut [T]) -> Result<()> {
        assert!(first + values.len() <= self.len, "reading past the end of a buffer");
        match &self.memory {
            // SAFETY: the range was checked, the memory is initialized, and no kernel is running: launches on the host
            // have finished when they return.
            Memory::Host(memory) => unsafe {
                let from = memory.address.as_ptr().cast::<T>().add(first);
                std::ptr::copy_nonoverlapping(from, values.as_mut_ptr(), values.len());
            },
            Memory::Cuda(memory) => memory.read(first, values)?,
        }
        Ok(())
    }

    /// Copies `values` to the device, starting at element `first`.
    pub fn upload(&mut self, first: usize, values: &[T]) -> Result<()> {
        assert!(first + values.len() <= self.len, "writing past the end of a buffer");
        match &mut self.memory {
            // SAFETY: the range was checked, and `&mut self` guarantees that no pointer to the memory is alive.
            Memory::Host(memory) => unsafe {
                let to = memory.address.as_ptr().cast::<T>().add(first);
                std::ptr::copy_nonoverlapping(values.as_ptr(), to, values.len());
            },
            Memory::Cuda(memory) => memory.write(first, values)?,
        }
        Ok(())
    }

    /// Sets all numbers to zero.
    pub fn clear(&mut self) -> Result<()> {
        match &mut self.memory {
            // SAFETY: this covers exactly the allocation, and `&mut self` guarantees that no pointer to it is alive.
            Memory::Host(memory) => unsafe { memory.address.as_ptr().write_bytes(0, memory.layout.size()) },
            Memory::Cuda(memory) => memory.clear()?,
        }
        Ok(())
    }
}

/// Zeroed host memory, aligned for vector instructions. Large blocks are mapped and request huge pages, which save
/// random gathers from a hash table most of their TLB misses; pages that are never touched take no memory.
pub(super) struct HostMemory {
    address: NonNull<u8>,
    layout: Layout,
    mapped: bool,
}

// SAFETY: the memory is owned, and accessed only through `Buffer` and kernels.
unsafe impl Send for HostMemory {}
// SAFETY: as above.
unsafe impl Sync for HostMemory {}

/// Blocks of at least this size, in bytes, are mapped.
const MAPPED: usize = 4 << 20;

impl HostMemory {
    fn zeroed(bytes: usize) -> Result<Self> {
        let layout = Layout::from_size_align(bytes.max(1), 64).map_err(|_| no_memory(bytes))?;
        if bytes >= MAPPED
            && let Some(address) = map(bytes)
        {
            return Ok(HostMemory { address, layout, mapped: true });
        }
        // SAFETY: the size of the layout is not zero.
        let address = unsafe { alloc_zeroed(layout) };
        let address = NonNull::new(address).ok_or_else(|| no_memory(bytes))?;
        Ok(HostMemory { address, layout, mapped: false })
    }
}

/// Returns `len` zeros, for host copies of device buffers. Such a copy is as large as the buffer, so the allocation may
/// fail here as well.
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
    // SAFETY: this creates a new private mapping at an address chosen by the operating system.
    let address = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    if address == libc::MAP_FAILED {
        return None;
    }
    #[cfg(target_os = "linux")]
    // SAFETY: this gives advice about the mapping just created; a failure changes nothing.
    unsafe {
        libc::madvise(address, bytes, libc::MADV_HUGEPAGE);
    }
    NonNull::new(address.cast())
}

#[cfg(unix)]
fn unmap(address: NonNull<u8>, bytes: usize) {
    // SAFETY: created by `map` with this size.
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
        // Larger than the address space, larger than 47 bits of it, and more than a `usize` can count.
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
