//! The local kernel function and the cascade of levels (docs/models.md), as the trait `Encoding` computes them, against
//! the formulas in fp64 and their central differences.

mod reference;

use crate::common::{Random, assert_close, to_f64};
use gridfield::config::{GridConfig, GridIndex, GridKernel, LocalConfig, ModelConfig};
use gridfield::decoder::Head;
use gridfield::device::args::ScatterArgs;
use gridfield::device::{Buffer, ComputeBuffer, Device, DeviceChoice, LaunchDims, Ptr};
use gridfield::encoding::{Backward, Cascade, Encode, Encoding, InitContext, LearnedLevels};
use gridfield::field::Field;
use gridfield::geometry::UnitCube;
use gridfield::gtk::cascade::forward;
use gridfield::radiance::{Chunk, ChunkSize};
use reference::Reference;

/// Samples of two rounds: one tile and part of a second.
const COUNT: [u32; 3] = [0, 20, 150];
const SAMPLES: usize = COUNT[2] as usize;
const CAPACITY: usize = 170;

/// Local coefficients are in 1 ± this for a⁰, and in ± this for the others.
const COEFFICIENTS: f64 = 0.8;

/// A grid whose coarse levels are dense, and whose fine levels are hashed if the index is `hash`.
fn grid(index: GridIndex, kernel: GridKernel, cascade: bool, n_levels: u32, n_features_per_level: u32) -> GridConfig {
    GridConfig {
        index,
        kernel,
        cascade,
        n_levels,
        n_features_per_level,
        log2_hashmap_size: 8,
        base_resolution: 4,
        per_level_scale: match n_levels {
            0..=4 => 2.5,
            5..=8 => 1.4,
            _ => 1.15,
        },
        ..GridConfig::default()
    }
}

fn local(n_frequencies: u32, grid: GridConfig) -> GridConfig {
    GridConfig { local: LocalConfig { n_frequencies }, ..grid }
}

fn cases() -> Vec<GridConfig> {
    use GridIndex::{Dense, Hash};
    use GridKernel::{Linear, Local, Smoothstep};
    vec![
        local(1, grid(Hash, Local, false, 8, 4)),
        local(2, grid(Hash, Local, false, 2, 8)),
        local(0, grid(Dense, Local, false, 2, 2)),
        local(2, grid(Dense, Local, false, 1, 1)),
        local(2, grid(Hash, Local, true, 16, 2)),
        local(1, grid(Dense, Local, true, 8, 1)),
        local(2, grid(Hash, Local, true, 8, 8)),
        local(0, grid(Hash, Local, true, 2, 4)),
        grid(Hash, Linear, true, 16, 8),
        grid(Hash, Smoothstep, true, 8, 4),
        grid(Dense, Smoothstep, true, 16, 1),
        grid(Dense, Linear, true, 2, 2),
    ]
}

struct Case {
    reference: Reference,
    field: Field,
    chunk: Chunk,
    /// `[L, S, F]`
    dl_dfeatures: Vec<f32>,
}

impl Case {
    fn new(device: &Device, config: &GridConfig, dimensions: u32) -> Self {
        let mut random = Random::new(41);
        let model = ModelConfig { grid: config.clone(), ..ModelConfig::default() };
        let mut field = Field::zeros(device, &model, Head::Values { dimensions, n_outputs: 1 }).unwrap();
        let table = random.halves(field.table.len(), -1.0, 1.0);
        field.table.upload(0, &table).unwrap();
        let levels = field.encoding_as_mut::<LearnedLevels>().unwrap();
        let mut coefficients = Vec::new();
        let mut gates = Vec::new();
        for block in levels.blocks() {
            let n = block.n_numbers();
            let values = if block.name == "kernel.local" {
                let mut values = random.f32s(n, -COEFFICIENTS, COEFFICIENTS);
                let (n_terms, n_features) = (block.shape[2], block.shape[3]);
                for axis in values.chunks_mut(n_terms * n_features) {
                    axis[..n_features].iter_mut().for_each(|a| *a += 1.0);
                }
                coefficients.extend(to_f64(&values));
                values
            } else {
                // Gates sum over all columns of the coarser levels.
                let range = 2.0 / f64::from(config.n_levels * config.n_features_per_level).sqrt();
                let values = random.f32s(n, -range, range);
                gates.extend(to_f64(&values));
                values
            };
            levels.parameters_mut().unwrap().upload(block.first, &values).unwrap();
        }
        field.refresh_copies(device).unwrap();
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: CAPACITY }).unwrap();
        let mut x = random.f32s(dimensions as usize * CAPACITY, 0.0, 1.0);
        x[..6].copy_from_slice(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        chunk.samples.position.upload(0, &x).unwrap();
        chunk.samples.count.upload(0, &COUNT).unwrap();
        let dl_dfeatures = random.halves(field.grid.n_features() as usize * CAPACITY, -1.0, 1.0);
        let dimensions = dimensions as usize;
        let nodes = Reference::active(config, dimensions, &to_f64(&x[..dimensions * SAMPLES]));
        let reference =
            Reference { config: config.clone(), dimensions, table: to_f64(&table), coefficients, gates, nodes };
        Case { reference, field, chunk, dl_dfeatures }
    }

    fn encoding(&self) -> &dyn Encoding {
        self.field.encoding.as_deref().unwrap()
    }

    fn name(&self) -> String {
        let grid = &self.reference.config;
        format!(
            "{:?} {:?} K = {} cascade {}, {} levels of {} in {} dimensions",
            grid.index,
            grid.kernel,
            grid.local.n_frequencies,
            grid.cascade,
            grid.n_levels,
            grid.n_features_per_level,
            self.reference.dimensions
        )
    }

    fn forward(&self, device: &Device) -> (ComputeBuffer, ComputeBuffer) {
        let n_in = self.field.decoder.layers[0].n_in as usize;
        let features = ComputeBuffer::zeros(device, CAPACITY * n_in).unwrap();
        let saved = ComputeBuffer::zeros(device, CAPACITY * self.encoding().n_saved_activations()).unwrap();
        for round in 0..2 {
            self.encoding().encode(device, &self.work(&features, &saved, round), CAPACITY).unwrap();
        }
        (features, saved)
    }

    fn work<'a>(&'a self, features: &'a ComputeBuffer, saved: &'a ComputeBuffer, round: u32) -> Encode<'a> {
        Encode {
            grid: self.field.grid.layout(),
            samples: self.chunk.samples.args(),
            table: self.field.table_ptr(),
            features: features.ptr(),
            saved_activations: if self.encoding().n_saved_activations() > 0 { saved.ptr() } else { Ptr::NULL },
            values: Ptr::NULL,
            n_in: self.field.decoder.layers[0].n_in,
            round,
        }
    }

    /// The gradients with respect to the features of the samples, `[S, L F]`.
    fn upstream(&self) -> Vec<f64> {
        let (n_levels, n_features) = (self.reference.n_levels(), self.reference.n_features());
        let at = |s: usize, l: usize, k: usize| f64::from(self.dl_dfeatures[(l * CAPACITY + s) * n_features + k]);
        (0..SAMPLES)
            .flat_map(|s| (0..n_levels).flat_map(move |l| (0..n_features).map(move |k| (s, l, k))))
            .map(|(s, l, k)| at(s, l, k))
            .collect()
    }
}

fn all_cases() -> impl Iterator<Item = (GridConfig, u32)> {
    cases().into_iter().flat_map(|config| [(config.clone(), 2), (config, 3)])
}

/// fp32: a position within a cell has an error of up to 1e-5, which the local kernel function and the cascade multiply.
/// fp16: interpolated features and their products are each rounded by a relative 2^-12.
fn tolerance(device: &Device) -> f64 {
    if device.computes_in_fp16() { 4e-3 } else { 5e-5 }
}

/// The analysis (`gridfield::gtk`) has the cascade in fp64.
#[test]
fn the_cascade_of_the_analysis_is_that_of_the_formulas() {
    let device = Device::open(DeviceChoice::Cpu, 1).unwrap();
    for (config, dimensions) in all_cases().filter(|(config, _)| config.cascade) {
        let case = Case::new(&device, &config, dimensions);
        let (reference, shape) = (&case.reference, Cascade::new(&config).unwrap());
        let z = reference.all_interpolated();
        let found: Vec<f64> =
            z.chunks(reference.n_columns()).flat_map(|z| forward(shape, &reference.gates, z)).collect();
        assert_close(&case.name(), &found, &reference.features(), 1e-12);
    }
}

fn features_are_those_of_the_formulas(device: &Device) {
    for (config, dimensions) in all_cases() {
        let case = Case::new(device, &config, dimensions);
        let (features, _) = case.forward(device);
        let (n_in, used) = (case.field.decoder.layers[0].n_in as usize, case.reference.n_columns());
        let found = features.download().unwrap();
        let own: Vec<f64> =
            found.chunks(n_in).take(SAMPLES).flat_map(|row| &row[..used]).map(|&value| f64::from(value)).collect();
        assert_close(&case.name(), &own, &case.reference.features(), tolerance(device));
        let outside = found[SAMPLES * n_in..].iter().chain(found.chunks(n_in).flat_map(|row| &row[used..]));
        assert!(outside.into_iter().all(|&value| value == 0.0), "{}: padding is zero", case.name());
    }
}

/// Parameters of each kind whose gradients are compared, drawn at random where there are more.
const COMPARED: usize = 150;

fn drawn(random: &mut Random, n: usize) -> Vec<usize> {
    if n <= COMPARED { (0..n).collect() } else { (0..COMPARED).map(|_| random.below(n)).collect() }
}

fn gradients_are_the_central_differences_of_the_formulas(device: &Device) {
    for (config, dimensions) in all_cases() {
        let mut case = Case::new(device, &config, dimensions);
        let (features, saved) = case.forward(device);
        let dl_dfeatures = device.upload(&case.dl_dfeatures).unwrap();
        let sum: Buffer<f32> = device.zeros(case.encoding().n_gradients()).unwrap();
        let gradients = Backward {
            dl_dfeatures: dl_dfeatures.ptr(),
            dl_dvalues: Ptr::NULL,
            dl_dparameters: sum.ptr(),
            scatter_weights: Ptr::NULL,
        };
        case.encoding().backward(device, &case.work(&features, &saved, 1), &gradients, CAPACITY).unwrap();
        let dl_dparameters: Buffer<f32> = device.zeros(case.field.encoding_parameters().unwrap().len()).unwrap();
        case.encoding().gradient(device, &case.field.grid, sum.ptr(), dl_dparameters.ptr()).unwrap();
        let dl_dparameters = to_f64(&dl_dparameters.download().unwrap());

        let dl_dtable: Buffer<f32> = device.zeros(case.field.table.len()).unwrap();
        let scatter = ScatterArgs {
            grid: case.field.grid.layout(),
            position: case.chunk.samples.position.ptr(),
            dl_dfeatures: dl_dfeatures.ptr(),
            phi: Ptr::NULL,
            count: case.chunk.samples.count.ptr_at(2),
            gradient: dl_dtable.ptr(),
            capacity: CAPACITY as u32,
        };
        let launches = [(scatter, LaunchDims::tiles(CAPACITY))];
        case.encoding().scatter(device, &launches, config.n_levels as usize).unwrap();
        let dl_dtable = to_f64(&dl_dtable.download().unwrap());

        let (name, upstream, mut random) = (case.name(), case.upstream(), Random::new(43));
        let reference = &mut case.reference;
        let z = reference.all_interpolated();
        let n_coefficients = reference.coefficients.len();
        let per_level = n_coefficients / config.n_levels as usize;
        let compare = |what: &str, places: &[usize], found: &[f64], expected: &[f64]| {
            let found: Vec<f64> = places.iter().map(|&place| found[place]).collect();
            assert_close(&format!("{what}: {name}"), &found, expected, 2.0 * tolerance(device));
        };

        let places = drawn(&mut random, n_coefficients);
        let of_coefficient = |place: &usize| {
            let level = Some(place / per_level);
            reference.derivative(&z, &upstream, |own| &mut own.coefficients, *place, level)
        };
        let expected: Vec<f64> = places.iter().map(of_coefficient).collect();
        compare("coefficients", &places, &dl_dparameters[..n_coefficients], &expected);

        let places = drawn(&mut random, reference.gates.len());
        let of_gate = |place: &usize| reference.derivative(&z, &upstream, |own| &mut own.gates, *place, None);
        let expected: Vec<f64> = places.iter().map(of_gate).collect();
        compare("gates", &places, &dl_dparameters[n_coefficients..], &expected);
        let used = n_coefficients + reference.gates.len();
        assert!(dl_dparameters[used..].iter().all(|&gradient| gradient == 0.0), "{name}: padding has no gradient");

        // Rows that are active at a sample.
        let n_features = reference.n_features();
        let drawn_nodes = (0..COMPARED).map(|_| random.below(reference.nodes.len())).collect::<Vec<_>>();
        let places: Vec<(usize, usize)> = drawn_nodes
            .into_iter()
            .map(|node| {
                let level = (node >> dimensions) % config.n_levels as usize;
                (reference.nodes[node].row * n_features + random.below(n_features), level)
            })
            .collect();
        let of_feature = |&(place, level): &(usize, usize)| {
            reference.derivative(&z, &upstream, |own| &mut own.table, place, Some(level))
        };
        let expected: Vec<f64> = places.iter().map(of_feature).collect();
        let places: Vec<usize> = places.iter().map(|&(place, _)| place).collect();
        compare("table", &places, &dl_dtable, &expected);
        let mut is_active = vec![false; dl_dtable.len() / n_features];
        reference.nodes.iter().for_each(|node| is_active[node.row] = true);
        let of_inactive = dl_dtable.chunks(n_features).zip(&is_active).filter(|&(_, is_active)| !is_active);
        assert!(of_inactive.flat_map(|(own, _)| own).all(|&gradient| gradient == 0.0), "{name}: inactive rows");
    }
}

/// Features of the samples at the start of a run, `[CAPACITY, n_in]`, with random numbers in the table.
fn features_at_the_start(device: &Device, config: &GridConfig, dimensions: u32) -> Vec<f32> {
    let mut random = Random::new(47);
    let model = ModelConfig { grid: config.clone(), ..ModelConfig::default() };
    let context = InitContext { seed: 5, unit_cube: UnitCube::new(1.0, [0.0; 3]), box_side: 1.0 };
    let mut field = Field::random(device, &model, Head::Values { dimensions, n_outputs: 1 }, &context).unwrap();
    let table = random.halves(field.table.len(), -1.0, 1.0);
    field.table.upload(0, &table).unwrap();
    field.refresh_copies(device).unwrap();
    let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: CAPACITY }).unwrap();
    chunk.samples.position.upload(0, &random.f32s(dimensions as usize * CAPACITY, 0.0, 1.0)).unwrap();
    chunk.samples.count.upload(0, &COUNT).unwrap();
    let n_in = field.decoder.layers[0].n_in;
    let features = ComputeBuffer::zeros(device, CAPACITY * n_in as usize).unwrap();
    let work = Encode {
        grid: field.grid.layout(),
        samples: chunk.samples.args(),
        table: field.table_ptr(),
        features: features.ptr(),
        saved_activations: Ptr::NULL,
        values: Ptr::NULL,
        n_in,
        round: 1,
    };
    match &field.encoding {
        Some(encoding) => encoding.encode(device, &work, CAPACITY).unwrap(),
        None => gridfield::encoding::encode_levels(device, &work, 0, CAPACITY).unwrap(),
    }
    features.download().unwrap()
}

fn every_member_starts_as_the_hash_grid(device: &Device) {
    use GridKernel::{Linear, Local, Smoothstep};
    for dimensions in [2, 3] {
        for (n_levels, n_features) in [(8, 4), (16, 2), (2, 1), (16, 8)] {
            for (index, kernel) in
                [(GridIndex::Hash, Linear), (GridIndex::Dense, Linear), (GridIndex::Hash, Smoothstep)]
            {
                let plain = grid(index, kernel, false, n_levels, n_features);
                let expected = features_at_the_start(device, &plain, dimensions);
                let mut members = vec![GridConfig { cascade: true, ..plain.clone() }];
                if kernel == Linear {
                    for cascade in [false, true] {
                        members.extend((0..=2).map(|k| local(k, grid(index, Local, cascade, n_levels, n_features))));
                    }
                }
                for member in members {
                    let found = features_at_the_start(device, &member, dimensions);
                    assert!(found.iter().any(|&feature| feature != 0.0));
                    assert!(found == expected, "{member:?} in {dimensions} dimensions");
                }
            }
        }
    }
}

/// Across a face the nodes change; φ is continuous since its window is zero there.
fn local_features_are_continuous_across_the_faces_of_cells(device: &Device) {
    /// Half the distance between the two points at a face, in cells.
    const AWAY: f64 = 5e-4;
    for dimensions in [2usize, 3] {
        let config = local(2, grid(GridIndex::Dense, GridKernel::Local, false, 1, 4));
        let mut case = Case::new(device, &config, dimensions as u32);
        let scale = f64::from(config.base_resolution) - 1.0;
        let mut random = Random::new(53);
        let mut x = random.f64s(dimensions * SAMPLES, 0.02, 0.98);
        for pair in 0..SAMPLES / 2 {
            let (first, axis) = (2 * pair * dimensions, pair % dimensions);
            x.copy_within(first..first + dimensions, first + dimensions);
            let face = (1 + random.below(config.base_resolution as usize - 1)) as f64;
            x[first + axis] = (face - AWAY - 0.5) / scale;
            x[first + dimensions + axis] = (face + AWAY - 0.5) / scale;
        }
        let positions: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        case.chunk.samples.position.upload(0, &positions).unwrap();
        case.reference.nodes = Reference::active(&config, dimensions, &x);
        let (features, _) = case.forward(device);
        let n_in = case.field.decoder.layers[0].n_in as usize;
        let features = to_f64(&features.download().unwrap());
        let largest = features.iter().fold(0.0f64, |largest, feature| largest.max(feature.abs()));
        let corners = 1 << dimensions;
        for pair in 0..SAMPLES / 2 {
            let rows = |sample: usize| -> Vec<usize> {
                case.reference.nodes[sample * corners..][..corners].iter().map(|node| node.row).collect()
            };
            assert_ne!(rows(2 * pair), rows(2 * pair + 1), "the points are in different cells");
            let [below, above] = [2 * pair, 2 * pair + 1].map(|sample| &features[sample * n_in..][..4]);
            // 2 · AWAY times the largest slope, which is of the order of 10 times the largest feature.
            assert_close("across a face", &scaled(below, largest), &scaled(above, largest), 1.0e-2);
        }
    }
}

/// The features relative to the largest of all, beside a 1 that `assert_close` compares with.
fn scaled(features: &[f64], largest: f64) -> Vec<f64> {
    features.iter().map(|feature| feature / largest).chain([1.0]).collect()
}

on_every_target!(
    features_are_those_of_the_formulas,
    gradients_are_the_central_differences_of_the_formulas,
    every_member_starts_as_the_hash_grid,
    local_features_are_continuous_across_the_faces_of_cells,
);
