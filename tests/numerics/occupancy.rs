//! The occupancy kernels against plain versions: points lie in the cells they represent, values take the maximum of the
//! densities seen and decay, and bits follow the threshold and the mean.

use crate::common::{Random, host};
use gridfield::config::MarchConfig;
use gridfield::device::args::{OccupancyAccumulateArgs, OccupancyArgs, OccupancyDecayArgs};
use gridfield::device::{LaunchDims, kernels};
use gridfield::radiance::{Chunk, ChunkSize, Occupancy};

const RESOLUTION: u32 = 16;
const CASCADES: u32 = 3;
const CELLS: usize = (CASCADES * RESOLUTION * RESOLUTION * RESOLUTION) as usize;

fn config() -> MarchConfig {
    MarchConfig { occupancy_resolution: RESOLUTION, cascades: CASCADES, ..MarchConfig::default() }
}

/// Returns arguments that visit the cells `(first + i) · stride + phase`.
fn visits<'a>(chunk: &'a Chunk, occupancy: &'a Occupancy, first: u32, n: usize, step: u32) -> OccupancyArgs<'a> {
    OccupancyArgs {
        samples: chunk.samples.args(),
        value: occupancy.value.ptr(),
        resolution: RESOLUTION,
        cascades: CASCADES,
        first,
        stride: 16,
        phase: 5,
        n: n as u32,
        seed: 1,
        step,
        step_size: 0.5,
    }
}

/// Returns a cell's position in its cascade, in cells along each axis, and the cascade. Words hold 4 × 4 × 4 cells; x
/// varies fastest in both.
fn place(cell: usize) -> ([usize; 3], u32) {
    let blocks = RESOLUTION as usize / 4;
    let (word, bit) = (cell / 64, cell % 64);
    let block = [word % blocks, word / blocks % blocks, word / blocks / blocks % blocks];
    let within = [bit % 4, bit / 4 % 4, bit / 16];
    (std::array::from_fn(|axis| 4 * block[axis] + within[axis]), (word / blocks.pow(3)) as u32)
}

#[test]
fn points_lie_in_their_cells_and_move_about_in_them() {
    let device = host();
    let occupancy = Occupancy::full(&device, &config()).unwrap();
    let (first, n) = (3, CELLS / 16 - 3);
    let chunk = Chunk::new(&device, ChunkSize { n_chunks: 1, rays: 1, samples: n }).unwrap();
    let mut before = vec![0.0; 3 * n];
    for step in 0..20 {
        let args = visits(&chunk, &occupancy, first, n, step);
        device.launch(&kernels::OCCUPANCY_POINTS, &args, LaunchDims::items(n)).unwrap();
        let positions = chunk.samples.position.download().unwrap();
        for (i, point) in positions.chunks(3).enumerate() {
            let (cell, cascade) = place((i + first as usize) * 16 + 5);
            // The largest cascade fills [0, 1]^3; the others lie around its centre.
            let side = 1.0 / f64::from(1 << (CASCADES - 1 - cascade));
            for (&x, cell) in point.iter().zip(cell) {
                let low = 0.5 + side * (cell as f64 / f64::from(RESOLUTION) - 0.5);
                let high = low + side / f64::from(RESOLUTION);
                assert!((low - 1e-6..=high + 1e-6).contains(&f64::from(x)), "{x} is not in {low} to {high}");
            }
        }
        let moved = positions.iter().zip(&before).filter(|(a, b)| a != b).count();
        assert!(moved > 3 * n - 10, "step {step} draws new points");
        before = positions;
    }
    assert_eq!(chunk.samples.count.download().unwrap()[..2], [0, n as u32]);
}

#[test]
fn values_take_the_maximum_where_visited() {
    let device = host();
    let mut random = Random::new(6);
    let mut occupancy = Occupancy::full(&device, &config()).unwrap();
    let old: Vec<f32> = (0..CELLS).map(|_| random.unit() as f32).collect();
    occupancy.value.upload(0, &old).unwrap();
    let n = CELLS / 16;
    let mut chunk = Chunk::new(&device, ChunkSize { n_chunks: 1, rays: 1, samples: n }).unwrap();
    let densities: Vec<f32> = (0..n).map(|_| random.between(0.0, 2.0) as f32).collect();
    chunk.samples.density.upload(0, &densities).unwrap();
    let args = visits(&chunk, &occupancy, 0, n, 0);
    device.launch(&kernels::OCCUPANCY_UPDATE, &args, LaunchDims::items(n)).unwrap();
    let expected: Vec<f32> = (0..CELLS)
        .map(|cell| if cell % 16 == 5 { old[cell].max(0.5 * densities[cell / 16]) } else { old[cell] })
        .collect();
    assert_eq!(occupancy.value.download().unwrap(), expected);
}

#[test]
fn values_decay() {
    let device = host();
    let mut random = Random::new(7);
    let old: Vec<f32> = (0..CELLS).map(|_| random.unit() as f32).collect();
    let value = device.upload(&old).unwrap();
    let args = OccupancyDecayArgs { value: value.ptr(), decay: 0.75 };
    device.launch(&kernels::OCCUPANCY_DECAY, &args, LaunchDims::items(CELLS)).unwrap();
    assert_eq!(value.download().unwrap(), old.iter().map(|old| 0.75 * old).collect::<Vec<_>>());
}

/// Every sample raises the cell that contains it, in each cascade that contains it. Samples past the count and NaN
/// densities raise none.
#[test]
fn values_take_the_maximum_of_training_samples() {
    let device = host();
    let mut random = Random::new(9);
    let (n, counted) = (20_000, 15_000);
    let mut chunk = Chunk::new(&device, ChunkSize { n_chunks: 1, rays: 1, samples: n }).unwrap();
    let positions: Vec<f32> = (0..3 * n)
        .map(|number| {
            // A third of the points in each cascade, away from cell faces, where rounding would decide.
            let side = 1.0 / f64::from(1 << (number / 3 % CASCADES as usize));
            let cell = random.below(RESOLUTION as usize) as f64 + random.between(0.01, 0.99);
            (0.5 + side * (cell / f64::from(RESOLUTION) - 0.5)) as f32
        })
        .collect();
    let mut densities: Vec<f32> = (0..n).map(|_| random.between(0.0, 4.0) as f32).collect();
    densities[3] = f32::NAN;
    chunk.samples.position.upload(0, &positions).unwrap();
    chunk.samples.density.upload(0, &densities).unwrap();
    chunk.samples.count.upload(0, &[0, 0, counted as u32, 0]).unwrap();
    let old: Vec<f32> = (0..CELLS).map(|_| random.unit() as f32).collect();
    let value = device.upload(&old).unwrap();
    let args = OccupancyAccumulateArgs {
        samples: chunk.samples.args(),
        value: value.ptr(),
        resolution: RESOLUTION,
        cascades: CASCADES,
        round: 2,
        step_size: 0.5,
    };
    device.launch(&kernels::OCCUPANCY_ACCUMULATE, &args, LaunchDims::items(n)).unwrap();
    let cells: Vec<_> = (0..CELLS).map(place).collect();
    let number_of = |wanted| cells.iter().position(|cell| *cell == wanted).unwrap();
    let mut expected = old.clone();
    for (point, density) in positions.chunks(3).zip(&densities).take(counted) {
        for cascade in 0..CASCADES {
            let side = 1.0 / f64::from(1 << (CASCADES - 1 - cascade));
            let within: [f64; 3] = std::array::from_fn(|axis| (f64::from(point[axis]) - 0.5) / side + 0.5);
            if within.iter().any(|x| !(0.0..1.0).contains(x)) {
                continue;
            }
            let cell = &mut expected[number_of((within.map(|x| (x * f64::from(RESOLUTION)) as usize), cascade))];
            *cell = cell.max(0.5 * density);
        }
    }
    assert_eq!(value.download().unwrap(), expected);
    let raised = expected.iter().zip(&old).filter(|(new, old)| new > old).count();
    assert!(raised > CELLS / 4, "{raised} of {CELLS} cells were raised");
}

/// Returns the bits recomputed from `values`, one bool per cell.
fn renewed(values: &[f32], config: &MarchConfig) -> Vec<bool> {
    let device = host();
    let mut occupancy = Occupancy::full(&device, config).unwrap();
    occupancy.value.upload(0, values).unwrap();
    occupancy.renew_bits(&device).unwrap();
    let words = occupancy.bits.download().unwrap();
    (0..values.len()).map(|cell| words[cell / 64] >> (cell % 64) & 1 == 1).collect()
}

fn above(values: &[f32], threshold: f64) -> Vec<bool> {
    values.iter().map(|&value| f64::from(value) > threshold).collect()
}

#[test]
fn bits_are_set_above_the_smaller_of_threshold_and_mean() {
    let config = MarchConfig { occupancy_threshold: 0.25, ..config() };
    let mut random = Random::new(8);
    for (scale, below_threshold) in [(0.4, true), (4.0, false)] {
        let values: Vec<f32> = (0..CELLS).map(|_| (scale * random.unit()) as f32).collect();
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
        assert_eq!(mean < 0.25, below_threshold);
        let expected = above(&values, mean.min(0.25));
        assert_eq!(renewed(&values, &config), expected);
    }
}

#[test]
fn a_field_of_zeros_has_no_occupied_cells() {
    assert!(renewed(&vec![0.0; CELLS], &config()).iter().all(|&bit| !bit));
}

#[test]
fn blocks_are_set_where_a_cell_of_theirs_is() {
    let device = host();
    let config = MarchConfig { occupancy_resolution: 48, cascades: 2, ..config() };
    let mut random = Random::new(10);
    let mut occupancy = Occupancy::full(&device, &config).unwrap();
    let words: Vec<u64> =
        (0..occupancy.bits.len()).map(|_| if random.unit() < 0.5 { 0 } else { 1 << random.below(64) }).collect();
    occupancy.bits.upload(0, &words).unwrap();
    occupancy.renew_blocks(&device).unwrap();
    let blocks = occupancy.blocks.download().unwrap();
    // 12 blocks per axis, in 3 groups of 4.
    for (word, &cells) in words.iter().enumerate() {
        let (x, y, z, cascade) = (word % 12, word / 12 % 12, word / 144 % 12, word / 1728);
        let group = x / 4 + 3 * (y / 4 + 3 * (z / 4 + 3 * cascade));
        let bit = x % 4 + 4 * (y % 4) + 16 * (z % 4);
        assert_eq!(blocks[group] >> bit & 1 == 1, cells != 0, "word {word}");
    }
}
