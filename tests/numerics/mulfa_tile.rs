//! The MulFAGrid kernels used in training (`kernels/encoding/mulfa_tile.cuh` and, for one and for several layers,
//! `mulfa_single_layer.cuh` and `mulfa_multi_layer.cuh`), with matrix products over a tile and gradients with respect
//! to the prepared parameters, against the kernel function evaluated point by point in fp64
//! (`kernels/encoding/mulfa.cuh`), which the oracle checks.

use crate::common::{Random, assert_close, mulfa_args, to_f64};
use gridfield::config::{GridConfig, GridKernel, ModelConfig, MulfaConfig, MulfaVariant};
use gridfield::decoder::Head;
use gridfield::device::args::{MulfaArgs, ScatterArgs};
use gridfield::device::{ComputeBuffer, Device, Kernel, LaunchDims, Ptr, kernels};
use gridfield::encoding::{Encode, Encoding as _, Grid, Theta};
use gridfield::field::Field;
use gridfield::radiance::{Chunk, ChunkSize};

/// Two whole tiles and part of a third, starting in the middle of a chunk's samples.
const ROUND: (usize, usize) = (30, 330);
const CAPACITY: usize = 400;

struct Case {
    model: ModelConfig,
    field: Field,
    chunk: Chunk,
    theta: Vec<f64>,
    table: Vec<f64>,
    /// Positions of all samples up to the end of the round.
    x: Vec<f64>,
    /// `[L, S, F]`
    dl_dfeatures: Vec<f32>,
}

fn cases() -> Vec<ModelConfig> {
    let mut cases = Vec::new();
    for variant in [MulfaVariant::Paper, MulfaVariant::Windowed, MulfaVariant::Modulated] {
        for (n_features, per_feature, depth) in [
            (1, false, 1),
            (2, true, 1),
            (4, false, 1),
            (4, true, 1),
            (8, true, 1),
            (8, false, 1),
            (2, false, 1),
            (1, false, 2),
            (2, true, 3),
            (4, false, 2),
            (8, true, 2),
            (4, true, 3),
        ] {
            let (width, shared) = if n_features == 2 { (32, true) } else { (16, false) };
            let mulfa = MulfaConfig {
                variant,
                depth,
                per_feature,
                width,
                shared,
                n_levels: if n_features == 8 { 2 } else { 32 },
                n_frequencies: if n_features == 1 { 10 } else { 4 },
                ..MulfaConfig::default()
            };
            let grid = GridConfig {
                n_levels: 3,
                n_features_per_level: n_features,
                log2_hashmap_size: 9,
                base_resolution: 4,
                per_level_scale: 2.0,
                kernel: GridKernel::Mulfa,
                mulfa,
                ..GridConfig::default()
            };
            cases.push(ModelConfig { grid, ..ModelConfig::default() });
        }
    }
    cases
}

impl Case {
    fn new(device: &Device, model: &ModelConfig, dimensions: u32) -> Self {
        let mut random = Random::new(7);
        let mut field = Field::zeros(device, model, Head::Values { dimensions, n_outputs: 1 }).unwrap();
        let table = random.halves(field.table.len(), -1.0, 1.0);
        field.table.upload(0, &table).unwrap();
        let mulfa = field.grid.mulfa.clone().unwrap();
        // Keep the denominators of `paper` far from zero, where rounding errors would dominate.
        let weights = if mulfa.config.variant == MulfaVariant::Paper { 0.02 } else { 0.1 };
        let theta: Vec<f32> = (0..mulfa.n_thetas)
            .flat_map(|_| mulfa.blocks())
            .flat_map(|part| match part.name.as_str() {
                "W_1" | "W_2" | "W_3" => random.halves(part.n_numbers(), -0.3, 0.3),
                "b_2" | "b_3" => random.halves(part.n_numbers(), -0.5, 0.5),
                "w_out" => random.halves(part.n_numbers(), -weights, weights),
                "b_out" => random.halves(part.n_numbers(), 0.8, 1.2),
                _ => random.halves(part.n_numbers(), -3.0, 3.0),
            })
            .collect();
        field.encoding_as_mut::<Theta>().unwrap().theta.upload(0, &theta).unwrap();
        field.refresh_copies(device).unwrap();
        let mut chunk = Chunk::new(device, ChunkSize { n_chunks: 1, rays: 1, samples: CAPACITY }).unwrap();
        let mut x = random.f32s(dimensions as usize * ROUND.1, 0.0, 1.0);
        x[90..96].copy_from_slice(&[0.0, 1.0, 0.5, 1.0, 1.0, 1.0]);
        chunk.samples.position.upload(0, &x).unwrap();
        chunk.samples.count.upload(0, &[0, ROUND.0 as u32, ROUND.1 as u32]).unwrap();
        let dl_dfeatures = random.halves(field.grid.n_features() as usize * CAPACITY, -1.0, 1.0);
        Case {
            model: model.clone(),
            field,
            chunk,
            theta: to_f64(&theta),
            table: to_f64(&table),
            x: to_f64(&x),
            dl_dfeatures,
        }
    }

    fn grid(&self) -> &Grid {
        &self.field.grid
    }

    fn kernels(&self) -> (&'static Kernel<MulfaArgs<'static>>, &'static Kernel<MulfaArgs<'static>>) {
        self.grid().mulfa.as_ref().unwrap().kernels()
    }

    fn args(&self) -> MulfaArgs<'_> {
        mulfa_args(&self.field, &self.chunk, 1)
    }

    /// Runs the forward pass over rounds; returns the features and q.
    fn forward(&self, device: &Device, rounds: &[u32]) -> (ComputeBuffer, ComputeBuffer) {
        let args = self.args();
        let features = ComputeBuffer::zeros(device, CAPACITY * args.n_in as usize).unwrap();
        let n_saved_activations = self.grid().mulfa.as_ref().unwrap().n_saved_activations();
        let query = ComputeBuffer::zeros(device, CAPACITY * n_saved_activations).unwrap();
        for &round in rounds {
            let work = Encode {
                grid: args.grid,
                samples: args.samples,
                table: args.table,
                features: features.ptr(),
                saved_activations: query.ptr(),
                values: Ptr::NULL,
                n_in: args.n_in,
                round,
            };
            self.field.encoding_as::<Theta>().unwrap().encode(device, &work, CAPACITY).unwrap();
        }
        (features, query)
    }

    /// Returns the features `[n, L F]` of the samples, from φ in fp64.
    fn expected_features(&self, phi: &[f64], entry: &[u32]) -> Vec<f64> {
        let (f, k, corners) = (self.n_features(), self.grid().n_outputs(), self.grid().n_corners());
        let mut features = Vec::new();
        for (nodes, phi) in entry.chunks(corners).zip(phi.chunks(corners * k)) {
            for feature in 0..f {
                let own = if k == 1 { 0 } else { feature };
                let term = |c: usize| phi[c * k + own] * self.table[nodes[c] as usize * f + feature];
                features.push((0..corners).map(term).sum());
            }
        }
        features
    }

    fn n_features(&self) -> usize {
        self.grid().n_features_per_level as usize
    }

    /// Returns the gradient with respect to feature `feature` of level `level` at a sample.
    fn upstream(&self, sample: usize, level: usize, feature: usize) -> f64 {
        f64::from(self.dl_dfeatures[(level * CAPACITY + sample) * self.n_features() + feature])
    }
}

/// fp32: phases of up to 10 radians have errors of 1e-6, `paper` divides by sums near 8, and hundreds of such errors
/// add up.
/// fp16: gamma, q, the products and v are each rounded by a relative 2^-12.
fn tolerance(device: &Device) -> f64 {
    if device.computes_in_fp16() { 4e-3 } else { 2e-5 }
}

fn features_are_those_of_the_kernel_function(device: &Device) {
    for (model, dimensions) in cases().into_iter().flat_map(|model| [(model.clone(), 2), (model, 3)]) {
        let case = Case::new(device, &model, dimensions);
        let n_in = case.args().n_in as usize;
        let (features, _) = case.forward(device, &[1]);
        let nodes = case.grid().active_nodes(device, &case.x, &case.theta).unwrap();
        let expected = case.expected_features(&nodes.phi, &nodes.entry);
        let found = features.download().unwrap();
        let used = case.grid().n_features() as usize;
        let of_round: Vec<f64> = (ROUND.0..ROUND.1)
            .flat_map(|sample| found[sample * n_in..sample * n_in + used].iter().map(|&value| f64::from(value)))
            .collect();
        assert_close(&format!("{:?}", model.grid), &of_round, &expected[ROUND.0 * used..], tolerance(device));
        let outside = found[..ROUND.0 * n_in].iter().chain(&found[ROUND.1 * n_in..]);
        assert!(outside.clone().all(|&value| value == 0.0), "samples of other rounds are unchanged");
    }
}

fn gradients_are_those_of_the_kernel_function(device: &Device) {
    for (model, dimensions) in cases().into_iter().flat_map(|model| [(model.clone(), 2), (model, 3)]) {
        let case = Case::new(device, &model, dimensions);
        let grid = case.grid();
        let mulfa = grid.mulfa.as_ref().unwrap();
        let (k, corners, levels) = (grid.n_outputs(), grid.n_corners(), grid.levels.len());
        let (phi, dl_dfeatures) =
            (device.zeros(levels * CAPACITY * corners * k).unwrap(), device.upload(&case.dl_dfeatures).unwrap());
        let dl_dprepared = device.zeros(mulfa.n_prepared().1).unwrap();
        let (_, query) = case.forward(device, &[0, 1]);
        let args = MulfaArgs {
            query: query.ptr(),
            dl_dfeatures: dl_dfeatures.ptr(),
            phi: phi.ptr(),
            dl_dprepared: dl_dprepared.ptr(),
            ..case.args()
        };
        device.launch_chunk(case.kernels().1, &args, LaunchDims::tiles(CAPACITY)).unwrap();

        // φ of all samples up to the end of the round.
        let nodes = grid.active_nodes(device, &case.x, &case.theta).unwrap();
        let found = phi.download().unwrap();
        let row = corners * k;
        for level in 0..levels.min(model.grid.mulfa.n_levels as usize) {
            let own = &found[level * CAPACITY * row..(level * CAPACITY + ROUND.1) * row];
            let expected: Vec<f64> =
                (0..ROUND.1).flat_map(|s| &nodes.phi[(s * levels + level) * row..][..row]).copied().collect();
            assert_close(&format!("phi: {:?}", model.grid), &to_f64(own), &expected, tolerance(device));
        }

        // θ, from dL/dφ = sum over features of dL/dfeature times the node's feature.
        let f = case.n_features();
        let mut dl_dphi = vec![0.0; nodes.phi.len()];
        for (node, &entry) in nodes.entry.iter().enumerate() {
            let (sample, level) = (node / corners / levels, node / corners % levels);
            for feature in 0..f {
                let slot = node * k + if k == 1 { 0 } else { feature };
                dl_dphi[slot] += case.upstream(sample, level, feature) * case.table[entry as usize * f + feature];
            }
        }
        let expected = grid.active_nodes_backward(device, &case.x, &case.theta, &dl_dphi, false).unwrap().theta;
        let dl_dtheta = device.zeros(case.theta.len()).unwrap();
        let kernel = case.field.encoding_as::<Theta>().unwrap();
        kernel.gradient(device, grid, dl_dprepared.ptr(), dl_dtheta.ptr()).unwrap();
        let found = to_f64(&dl_dtheta.download().unwrap());
        // Each part is compared relative to its own largest gradient. The gradient of b_out is a sum that may cancel,
        // so it is grouped with that of w_out.
        let mut ends: Vec<usize> = mulfa.blocks().iter().map(|part| part.first).skip(1).collect();
        *ends.last_mut().unwrap() = mulfa.n_theta();
        for theta in 0..mulfa.n_thetas {
            let mut first = theta * mulfa.n_theta();
            for (part, end) in mulfa.blocks().iter().zip(&ends) {
                let range = first..theta * mulfa.n_theta() + end;
                first = range.end;
                let name = format!("dL/d {} of θ {theta}: {:?}", part.name, case.model.grid);
                assert_close(&name, &found[range.clone()], &expected[range], 5.0 * tolerance(device));
            }
        }

        // The table, with the stored φ.
        let gradient = device.zeros(case.table.len()).unwrap();
        let args = ScatterArgs {
            grid: grid.layout(),
            position: case.chunk.samples.position.ptr(),
            dl_dfeatures: dl_dfeatures.ptr(),
            phi: phi.ptr(),
            count: case.chunk.samples.count.ptr_at(2),
            gradient: gradient.ptr(),
            capacity: CAPACITY as u32,
        };
        device.launch_rows(&kernels::GRID_SCATTER, &[(args, LaunchDims::tiles(CAPACITY))], levels).unwrap();
        let mut expected = vec![0.0; case.table.len()];
        for (node, &entry) in nodes.entry.iter().enumerate() {
            let (sample, level) = (node / corners / levels, node / corners % levels);
            for feature in 0..f {
                let phi = nodes.phi[node * k + if k == 1 { 0 } else { feature }];
                expected[entry as usize * f + feature] += phi * case.upstream(sample, level, feature);
            }
        }
        assert_close("dL/dtable", &to_f64(&gradient.download().unwrap()), &expected, tolerance(device));
    }
}

on_every_target!(features_are_those_of_the_kernel_function, gradients_are_those_of_the_kernel_function);
