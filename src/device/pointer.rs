//! Pointers to device memory, as kernels receive them.

use std::marker::PhantomData;

/// A pointer to device memory, for a kernel's arguments. It borrows its buffer, so that the memory outlives the launch.
/// As on a GPU, memory accesses by kernels are not tracked any further: kernels that run at the same time must not
/// write to memory that another one accesses.
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

// SAFETY: a `Ptr` is an address; only kernels dereference it, under the rule above.
unsafe impl<T> Send for Ptr<'_, T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Ptr<'_, T> {}

impl<'a, T> Ptr<'a, T> {
    /// The value of an absent optional argument.
    pub const NULL: Self = Ptr { address: std::ptr::null_mut(), buffer: PhantomData };

    pub(super) fn new(address: *mut T) -> Self {
        Ptr { address, buffer: PhantomData }
    }

    /// Returns the pointer to the element `n` places on.
    pub(super) fn add(self, n: usize) -> Self {
        Ptr { address: self.address.wrapping_add(n), ..self }
    }

    /// Reinterprets the same memory as numbers of another type.
    pub fn cast<U>(self) -> Ptr<'a, U> {
        Ptr { address: self.address.cast(), buffer: PhantomData }
    }
}
