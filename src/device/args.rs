//! Arguments of the kernels, with the constants and enums that kernels share with the host, generated from
//! `kernels/args.h` by `build/args.rs`. Device pointers borrow their buffers.
// The header also has what only kernels, or only the kernels of tests, use.
#![cfg_attr(not(feature = "testing"), allow(dead_code))]

use super::Ptr;

/// Arguments of a kernel.
///
/// # Safety
/// The type must have the layout of the C struct of the same name.
pub unsafe trait Args: Sync {
    /// The same struct without its borrows, which kernels are declared with.
    type Static;
}

/// The number type that kernels compute with: fp16 on CUDA and on the emulated target, fp32 on the host.
pub enum Compute {}

include!(concat!(env!("OUT_DIR"), "/args.rs"));
