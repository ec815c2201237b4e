//! Buffers in the precision that kernels compute with: fp32 on the host, fp16 on a GPU, real or emulated.

use half::f16;

use super::args::Compute;
use super::{Buffer, Device, Ptr};
use crate::Result;

/// Numbers in the type that kernels compute with on a device: [`Compute`].
pub enum ComputeBuffer {
    /// fp32, for the host.
    F32(Buffer<f32>),
    /// fp16, for GPUs and the emulated GPU.
    F16(Buffer<f16>),
}

impl ComputeBuffer {
    /// Allocates `len` zeros.
    pub fn zeros(device: &Device, len: usize) -> Result<Self> {
        if device.computes_in_fp16() {
            Ok(ComputeBuffer::F16(device.zeros(len)?))
        } else {
            Ok(ComputeBuffer::F32(device.zeros(len)?))
        }
    }

    /// Converts `values` and copies them to the start of this buffer.
    pub fn set(&mut self, values: &Buffer<f32>) -> Result<()> {
        match self {
            ComputeBuffer::F32(buffer) => buffer.upload(0, &values.download()?),
            ComputeBuffer::F16(buffer) => {
                let rounded: Vec<f16> = values.download()?.into_iter().map(f16::from_f32).collect();
                buffer.upload(0, &rounded)
            }
        }
    }

    /// Waits for the device and copies the numbers to the host.
    pub fn download(&self) -> Result<Vec<f32>> {
        match self {
            ComputeBuffer::F32(buffer) => buffer.download(),
            ComputeBuffer::F16(buffer) => Ok(buffer.download()?.into_iter().map(f16::to_f32).collect()),
        }
    }

    /// Returns a pointer for the arguments of a kernel.
    pub fn ptr(&self) -> Ptr<'_, Compute> {
        match self {
            ComputeBuffer::F32(buffer) => buffer.ptr().cast(),
            ComputeBuffer::F16(buffer) => buffer.ptr().cast(),
        }
    }
}
