//! The occupancy grid: one bit per cell, set where the density is worth sampling (Instant-NGP, appendix C).

use std::sync::atomic::{AtomicBool, Ordering};

use super::chunk::{Chunk, TrainingChunk};
use super::volume_renderer::VolumeRenderer;
use crate::Result;
use crate::config::MarchConfig;
use crate::device::args::{
    OCCUPANCY_PART, OccupancyAccumulateArgs, OccupancyArgs, OccupancyBitsArgs, OccupancyDecayArgs,
};
use crate::device::{Buffer, Device, LaunchDims, kernels};
use crate::field::WorkerScratch;

/// An update visits every 16th cell, so it costs only a few percent of the steps between two updates.
const STRIDE: u32 = 16;

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
    pub resolution: u32,
    pub cascades: u32,
    threshold: f32,
    decay: f32,
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

    /// Returns the number of steps between updates, which are more frequent early in training.
    pub fn interval(step: u64) -> u64 {
        (step / 16).clamp(1, 16)
    }

    pub fn n_cells(&self) -> usize {
        self.value.len()
    }

    /// Evaluates the density in every 16th cell, starting at a phase that changes from update to update, and recomputes
    /// the bits. `number` is the number of the update; the sample buffers of `chunks` are overwritten. Returns false if
    /// a density was not finite. Only the CPU checks this, and it has to look at the densities themselves: a NaN leaves
    /// its cell unchanged, so the bits do not reveal it.
    pub fn update(
        &self,
        volume: &VolumeRenderer,
        chunks: &mut [TrainingChunk],
        workers: &[WorkerScratch],
        seed: u64,
        number: u32,
    ) -> Result<bool> {
        let finite = AtomicBool::new(true);
        let decay = OccupancyDecayArgs { value: self.value.ptr(), decay: self.decay };
        volume.device.launch(&kernels::OCCUPANCY_DECAY, &decay, LaunchDims::items(self.n_cells()))?;
        let visited = self.n_cells() / STRIDE as usize;
        let each = visited.div_ceil(chunks.len());
        let device = volume.device;
        device.for_each_chunk(chunks, |worker, index, chunk| {
            let chunk = &chunk.chunk;
            let end = ((index + 1) * each).min(visited);
            let mut first = (index * each).min(visited);
            while first < end {
                let n = (end - first).min(chunk.samples.capacity);
                let args = OccupancyArgs {
                    samples: chunk.samples.args(),
                    value: self.value.ptr(),
                    resolution: self.resolution,
                    cascades: self.cascades,
                    first: first as u32,
                    stride: STRIDE,
                    phase: phase(number),
                    n: n as u32,
                    seed: seed as u32,
                    step: number,
                    step_size: volume.march.steps.size,
                };
                device.launch_chunk(&kernels::OCCUPANCY_POINTS, &args, LaunchDims::items(n))?;
                volume.densities(chunk, &workers[worker], n)?;
                if device.is_host() && !are_finite(chunk, n)? {
                    finite.store(false, Ordering::Relaxed);
                }
                device.launch_chunk(&kernels::OCCUPANCY_UPDATE, &args, LaunchDims::items(n))?;
                first += n;
            }
            Ok(())
        })?;
        self.renew_bits(device)?;
        Ok(finite.into_inner())
    }

    /// Updates the cells with the densities at the chunk's samples after `rounds` rounds. This costs no extra
    /// evaluation, and cells that training rays pass through are sampled so often that even a thin surface in the
    /// corner of a cell is not missed.
    pub fn accumulate_samples(&self, volume: &VolumeRenderer, chunk: &Chunk, rounds: usize) -> Result<()> {
        let args = OccupancyAccumulateArgs {
            samples: chunk.samples.args(),
            value: self.value.ptr(),
            resolution: self.resolution,
            cascades: self.cascades,
            round: rounds as u32,
            step_size: volume.march.steps.size,
        };
        let known = volume.device.peek(&chunk.samples.count, rounds);
        let n = known.map_or(chunk.samples.capacity, |count| count as usize);
        volume.device.launch_chunk(&kernels::OCCUPANCY_ACCUMULATE, &args, LaunchDims::items(n))
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

/// Returns whether the first `n` densities of the chunk are finite.
fn are_finite(chunk: &Chunk, n: usize) -> Result<bool> {
    let mut densities = vec![0.0; n];
    chunk.samples.density.download_into(0, &mut densities)?;
    Ok(densities.iter().all(|density| density.is_finite()))
}

/// Returns the phase of an update. Phases follow in bit-reversed order, which spreads early updates over the cells of a
/// block.
fn phase(number: u32) -> u32 {
    (number % STRIDE).reverse_bits() >> (u32::BITS - STRIDE.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_comes_once_in_a_sweep() {
        let mut phases: Vec<u32> = (0..STRIDE).map(phase).collect();
        phases.sort_unstable();
        assert_eq!(phases, (0..STRIDE).collect::<Vec<_>>());
    }
}
