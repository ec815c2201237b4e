//! The occupancy grid: points at which cells are evaluated, values, and bits.

use gridfield::device::args::{
    OCCUPANCY_PART, OccupancyAccumulateArgs, OccupancyArgs, OccupancyBitsArgs, OccupancyDecayArgs,
};
use gridfield::device::{Buffer, Device, LaunchDims, kernels};
use gridfield::radiance::{Chunk, ChunkSize};

use crate::common::Random;
use crate::compare::{Outputs, get, set};

const RESOLUTION: usize = 16;
const CASCADES: usize = 2;
const CELLS: usize = CASCADES * RESOLUTION * RESOLUTION * RESOLUTION;
const STRIDE: usize = 16;
const VISITED: usize = CELLS / STRIDE;

fn args<'a>(chunk: &'a Chunk, value: &'a Buffer<f32>, phase: u32) -> OccupancyArgs<'a> {
    OccupancyArgs {
        samples: chunk.samples.args(),
        value: value.ptr(),
        resolution: RESOLUTION as u32,
        cascades: CASCADES as u32,
        first: 0,
        stride: STRIDE as u32,
        phase,
        n: VISITED as u32,
        seed: 11,
        step: 5,
        step_size: 0.01,
    }
}

fn chunk(device: &Device) -> Chunk {
    Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: VISITED }).unwrap()
}

pub fn occupancy_points(device: &Device) -> Outputs {
    let chunk = chunk(device);
    let value = device.zeros::<f32>(CELLS).unwrap();
    device.launch(&kernels::OCCUPANCY_POINTS, &args(&chunk, &value, 7), LaunchDims::items(VISITED)).unwrap();
    let mut outputs = Outputs::new();
    // A division and a fused or unfused product: a few fp32 steps.
    outputs.rounded("position", &get(&chunk.samples.position), 3e-7);
    outputs.exact("counts", &get(&chunk.samples.count)[..2]);
    outputs
}

pub fn occupancy_update(device: &Device) -> Outputs {
    let mut random = Random::new(12);
    let mut chunk = chunk(device);
    set(&mut chunk.samples.density, &random.f32s(VISITED, 0.0, 50.0));
    let value = device.upload(&random.f32s(CELLS, 0.0, 1.0)).unwrap();
    device.launch(&kernels::OCCUPANCY_UPDATE, &args(&chunk, &value, 3), LaunchDims::items(VISITED)).unwrap();
    let mut outputs = Outputs::new();
    // One product per value.
    outputs.exact("value", &get(&value));
    outputs
}

/// Points in both cascades, several per cell, and some past the count.
pub fn occupancy_accumulate(device: &Device) -> Outputs {
    let mut random = Random::new(14);
    let mut chunk = chunk(device);
    // Away from cell faces, where rounding would decide.
    let step = 1.0 / (2 * RESOLUTION) as f64;
    let positions: Vec<f32> = (0..3 * VISITED)
        .map(|_| ((random.below(2 * RESOLUTION) as f64 + random.between(0.01, 0.99)) * step) as f32)
        .collect();
    set(&mut chunk.samples.position, &positions);
    set(&mut chunk.samples.density, &random.f32s(VISITED, 0.0, 100.0));
    set(&mut chunk.samples.count, &[0, VISITED as u32 - 40]);
    let value = device.upload(&random.f32s(CELLS, 0.0, 0.5)).unwrap();
    let args = OccupancyAccumulateArgs {
        samples: chunk.samples.args(),
        value: value.ptr(),
        resolution: RESOLUTION as u32,
        cascades: CASCADES as u32,
        round: 1,
        step_size: 0.01,
    };
    device.launch(&kernels::OCCUPANCY_ACCUMULATE, &args, LaunchDims::items(VISITED)).unwrap();
    let mut outputs = Outputs::new();
    // One product per value; a maximum does not depend on the order.
    outputs.exact("value", &get(&value));
    outputs
}

pub fn occupancy_decay(device: &Device) -> Outputs {
    let value = device.upload(&Random::new(15).f32s(CELLS, 0.0, 1.0)).unwrap();
    let args = OccupancyDecayArgs { value: value.ptr(), decay: 0.95 };
    device.launch(&kernels::OCCUPANCY_DECAY, &args, LaunchDims::items(CELLS)).unwrap();
    let mut outputs = Outputs::new();
    outputs.exact("value", &get(&value));
    outputs
}

/// Runs once with the fixed threshold below the mean, and once with the mean below it. The values are not close to the
/// mean, because its last bit depends on how a compiler vectorizes the sum.
pub fn occupancy_bits(device: &Device) -> Outputs {
    let mut random = Random::new(13);
    // Some blocks of 4 × 4 × 4 cells are empty.
    let values: Vec<f32> = (0..CELLS)
        .map(|cell| {
            let occupied = cell / 64 % 3 != 1 && random.bits().is_multiple_of(3);
            let (low, high) = if occupied { (0.8, 1.0) } else { (0.0, 0.09) };
            random.between(low, high) as f32
        })
        .collect();
    let value = device.upload(&values).unwrap();
    let part = device.zeros::<f32>(CELLS.div_ceil(OCCUPANCY_PART)).unwrap();
    let mean = device.zeros::<f32>(1).unwrap();
    let bits = device.zeros::<u64>(CELLS / 64).unwrap();
    let occupied_blocks = device.zeros::<u64>(CELLS / 4096).unwrap();
    let mut outputs = Outputs::new();
    for threshold in [0.1, 0.9] {
        let args = OccupancyBitsArgs {
            value: value.ptr(),
            part: part.ptr(),
            mean: mean.ptr(),
            bits: bits.ptr(),
            occupied_blocks: occupied_blocks.ptr(),
            resolution: RESOLUTION as u32,
            n_cells: CELLS as u32,
            threshold,
        };
        device.launch(&kernels::OCCUPANCY_PARTS, &args, LaunchDims::items(part.len())).unwrap();
        device.launch(&kernels::OCCUPANCY_MEAN, &args, LaunchDims::items(1)).unwrap();
        device.launch(&kernels::OCCUPANCY_BITS, &args, LaunchDims::items(bits.len())).unwrap();
        device.launch(&kernels::OCCUPANCY_BLOCKS, &args, LaunchDims::items(occupied_blocks.len())).unwrap();
        // Sums of 4096 numbers of the same sign.
        outputs.rounded("parts", &get(&part), 1e-5);
        outputs.rounded("mean", &get(&mean), 1e-5);
        outputs.exact("bits", &halves(&get(&bits)));
        outputs.exact("blocks", &halves(&get(&occupied_blocks)));
    }
    outputs
}

/// Splits words into 32-bit halves, which fp64 represents exactly.
fn halves(words: &[u64]) -> Vec<u32> {
    words.iter().flat_map(|word| [*word as u32, (*word >> 32) as u32]).collect()
}
