//! Buffers of the numbers that kernels compute with: fp32 on the host, fp16 where threads of a GPU do the work.

use super::args::Compute;
use super::{Buffer, Device, Ptr};
use crate::Result;

pub enum ComputeBuffer {
    F32(Buffer<f32>),
}

impl ComputeBuffer {
    pub fn zeros(device: &Device, len: usize) -> Result<Self> {
        match device {
            Device::Cpu(_) => Ok(ComputeBuffer::F32(device.zeros(len)?)),
        }
    }

    pub fn ptr(&self) -> Ptr<'_, Compute> {
        match self {
            ComputeBuffer::F32(buffer) => buffer.ptr().cast(),
        }
    }
}
