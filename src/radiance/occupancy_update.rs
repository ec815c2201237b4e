//! Updates of the occupancy grid from the field's densities (Instant-NGP, appendix C).

use std::sync::atomic::{AtomicBool, Ordering};

use super::chunk::{Chunk, TrainingChunk};
use super::volume_renderer::VolumeRenderer;
use crate::Result;
use crate::device::args::{OccupancyAccumulateArgs, OccupancyArgs, OccupancyDecayArgs};
use crate::device::{LaunchDims, kernels};
use crate::field::WorkerScratch;
use crate::ranks::Ranks;

/// An update visits every 16th cell, so it costs only a few percent of the steps between two updates.
const STRIDE: u32 = 16;

impl VolumeRenderer<'_> {
    /// Evaluates the density in this rank's share of every 16th cell, starting at a phase that changes from update to
    /// update; the bits are left as they are. `number` is the number of the update; the sample buffers of `chunks` are
    /// overwritten. Returns false if a density was not finite. Only the CPU checks this, and it has to look at the
    /// densities themselves: a NaN leaves its cell unchanged, so the bits do not reveal it.
    pub fn update_occupancy(
        &self,
        chunks: &mut [TrainingChunk],
        workers: &[WorkerScratch],
        seed: u64,
        number: u32,
        ranks: &Ranks,
    ) -> Result<bool> {
        let (device, occupancy) = (self.device, self.occupancy);
        let finite = AtomicBool::new(true);
        let decay = OccupancyDecayArgs { value: occupancy.value.ptr(), decay: occupancy.decay };
        device.launch(&kernels::OCCUPANCY_DECAY, &decay, LaunchDims::items(occupancy.n_cells()))?;
        let visited = occupancy.n_cells() / STRIDE as usize;
        let before = ranks.rank() * chunks.len();
        let each = visited.div_ceil(ranks.size() * chunks.len());
        device.for_each_chunk(chunks, |worker, index, chunk| {
            let (chunk, index) = (&chunk.chunk, before + index);
            let end = ((index + 1) * each).min(visited);
            let mut first = (index * each).min(visited);
            while first < end {
                let n = (end - first).min(chunk.samples.capacity);
                let args = OccupancyArgs {
                    samples: chunk.samples.args(),
                    value: occupancy.value.ptr(),
                    resolution: occupancy.resolution,
                    cascades: occupancy.cascades,
                    first: first as u32,
                    stride: STRIDE,
                    phase: phase(number),
                    n: n as u32,
                    seed: seed as u32,
                    step: number,
                    step_size: self.march.steps.size,
                };
                device.launch_chunk(&kernels::OCCUPANCY_POINTS, &args, LaunchDims::items(n))?;
                self.densities(chunk, &workers[worker], n)?;
                if device.is_host() && !are_finite(chunk, n)? {
                    finite.store(false, Ordering::Relaxed);
                }
                device.launch_chunk(&kernels::OCCUPANCY_UPDATE, &args, LaunchDims::items(n))?;
                first += n;
            }
            Ok(())
        })?;
        Ok(finite.into_inner())
    }

    /// Updates the cells with the densities at the chunk's samples after `rounds` rounds. This costs no extra
    /// evaluation, and cells that training rays pass through are sampled so often that even a thin surface in the
    /// corner of a cell is not missed.
    pub fn accumulate_samples(&self, chunk: &Chunk, rounds: usize) -> Result<()> {
        let (device, occupancy) = (self.device, self.occupancy);
        let args = OccupancyAccumulateArgs {
            samples: chunk.samples.args(),
            value: occupancy.value.ptr(),
            resolution: occupancy.resolution,
            cascades: occupancy.cascades,
            round: rounds as u32,
            step_size: self.march.steps.size,
        };
        let known = device.peek(&chunk.samples.count, rounds);
        let n = known.map_or(chunk.samples.capacity, |count| count as usize);
        device.launch_chunk(&kernels::OCCUPANCY_ACCUMULATE, &args, LaunchDims::items(n))
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
