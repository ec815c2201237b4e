//! The occupancy grid: one bit per cell, set where the density is worth sampling (Instant-NGP, appendix C).

use crate::Result;
use crate::checkpoint::{Checkpoint, Tensor};
use crate::config::MarchConfig;
use crate::device::args::{OCCUPANCY_PART, OccupancyBitsArgs};
use crate::device::{Buffer, Device, LaunchDims, kernels};
use crate::field::fill;

/// Names of the grid's tensors in a checkpoint.
const VALUE: &str = "occupancy.value";
const BITS: &str = "occupancy.bits";

/// The occupancy grid of a radiance field, on a device.
pub struct Occupancy {
    /// `[cascades · resolution³]`, in the order of the bits: the decaying maximum of the optical thickness of a step.
    pub value: Buffer<f32>,
    /// `[cascades · resolution³ / 64]` words, each for 4 × 4 × 4 cells.
    pub bits: Buffer<u64>,
    /// `[cascades · resolution³ / 4096]` words, each for 4 × 4 × 4 words of `bits`: a bit is set if that word is not
    /// zero.
    pub blocks: Buffer<u64>,
    part: Buffer<f32>,
    mean: Buffer<f32>,
    /// Number of cells per axis of one cascade.
    pub resolution: u32,
    /// Number of cascades.
    pub cascades: u32,
    threshold: f32,
    pub(super) decay: f32,
}

impl Occupancy {
    /// Creates a grid with every cell occupied.
    pub fn full(device: &Device, config: &MarchConfig) -> Result<Self> {
        let cells = config.cascades as usize * (config.occupancy_resolution as usize).pow(3);
        Ok(Occupancy {
            value: device.zeros(cells)?,
            bits: device.upload(&vec![u64::MAX; cells / 64])?,
            blocks: device.upload(&vec![u64::MAX; cells / 4096])?,
            part: device.zeros(cells.div_ceil(OCCUPANCY_PART))?,
            mean: device.zeros(1)?,
            resolution: config.occupancy_resolution,
            cascades: config.cascades,
            threshold: config.occupancy_threshold as f32,
            decay: config.occupancy_decay as f32,
        })
    }

    /// Restores the grid of a checkpoint.
    ///
    /// # Errors
    /// Returns an error if the checkpoint has no such grid, or one of another size.
    pub(super) fn from_checkpoint(device: &Device, checkpoint: &Checkpoint) -> Result<Self> {
        let mut occupancy = Occupancy::full(device, &checkpoint.header.config.march)?;
        let shape = occupancy.shape();
        fill(&mut occupancy.value, checkpoint, VALUE, &shape)?;
        let bytes: &[u8] = checkpoint.get(BITS, &[shape[0], shape[1] / 8])?;
        occupancy.bits.upload(0, &bytemuck::pod_collect_to_vec::<u8, u64>(bytes))?;
        occupancy.renew_blocks(device)?;
        Ok(occupancy)
    }

    /// Returns the grid as tensors of a checkpoint.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(super) fn tensors(&self) -> Result<Vec<Tensor<'static>>> {
        let shape = self.shape();
        let bytes: Vec<u8> = bytemuck::cast_slice(&self.bits.download()?).to_vec();
        Ok(vec![
            Tensor::new(VALUE, &shape, self.value.download()?),
            Tensor::new(BITS, &[shape[0], shape[1] / 8], bytes),
        ])
    }

    /// Returns the number of cascades, and of cells in each.
    fn shape(&self) -> [usize; 2] {
        [self.cascades as usize, (self.resolution as usize).pow(3)]
    }

    /// Returns the number of steps between updates, which are more frequent early in training.
    pub fn interval(step: u64) -> u64 {
        (step / 16).clamp(1, 16)
    }

    /// Returns the number of cells of all cascades.
    pub fn n_cells(&self) -> usize {
        self.value.len()
    }

    /// Recomputes the bits of cells and of blocks from the values.
    pub fn renew_bits(&self, device: &Device) -> Result<()> {
        let args = self.bits_args();
        device.launch(&kernels::OCCUPANCY_PARTS, &args, LaunchDims::items(self.part.len()))?;
        device.launch(&kernels::OCCUPANCY_MEAN, &args, LaunchDims::items(1))?;
        device.launch(&kernels::OCCUPANCY_BITS, &args, LaunchDims::items(self.bits.len()))?;
        self.renew_blocks(device)
    }

    /// Recomputes the bits of blocks from those of cells.
    pub fn renew_blocks(&self, device: &Device) -> Result<()> {
        device.launch(&kernels::OCCUPANCY_BLOCKS, &self.bits_args(), LaunchDims::items(self.blocks.len()))
    }

    fn bits_args(&self) -> OccupancyBitsArgs<'_> {
        OccupancyBitsArgs {
            value: self.value.ptr(),
            part: self.part.ptr(),
            mean: self.mean.ptr(),
            bits: self.bits.ptr(),
            occupied_blocks: self.blocks.ptr(),
            resolution: self.resolution,
            n_cells: self.n_cells() as u32,
            threshold: self.threshold,
        }
    }
}
