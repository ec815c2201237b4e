//! Fields fitted to values, against a plain fp64 re-implementation: values, losses and all gradients.

use std::path::Path;

use crate::common::{Random, assert_close, to_f64};
use crate::skip::skipped;
use gridfield::config::{GridConfig, ModelConfig, NetworkConfig};
use gridfield::decoder::{Head, LayerShape};
use gridfield::device::{Device, Precision};
use gridfield::encoding::InitContext;
use gridfield::field::{ChunkGradients, Field, WorkerScratch};
use gridfield::fit::{FitChunk, FitLoss, Fitter, Predictor};
use gridfield::geometry::UnitCube;

/// One whole tile and an odd part of a second.
const SAMPLES: usize = 151;

/// The inputs of each layer, and the output values.
struct Passed {
    inputs: Vec<Vec<f64>>,
    values: Vec<f64>,
}

/// How a device computes: what it rounds the factors of products to, and how far its values and gradients may be from
/// the plain ones, relative to the largest.
#[derive(Clone, Copy)]
struct Arithmetic {
    round: fn(f64) -> f64,
    values: f64,
    weight_gradients: f64,
    feature_gradients: f64,
}

impl Arithmetic {
    fn of(device: &Device) -> Arithmetic {
        let (values, weight_gradients, feature_gradients) =
            if device.computes_in_fp16() { (4e-3, 3e-2, 0.2) } else { (2e-6, 1e-5, 1e-5) };
        Arithmetic { round: |factor| factor, values, weight_gradients, feature_gradients }
    }

    /// Products of factors rounded to bf16. A factor whose last bits in fp32 are not those in fp64 can be rounded to the
    /// neighbouring number, 2⁻⁸ away.
    fn bf16() -> Arithmetic {
        let round = |factor| half::bf16::from_f64(factor).to_f64();
        Arithmetic { round, values: 4e-3, weight_gradients: 4e-3, feature_gradients: 4e-3 }
    }
}

/// Computes y = W x, with a ReLU between layers.
fn pass(layers: &[LayerShape], weights: &[f64], features: Vec<f64>, n_outputs: usize, round: fn(f64) -> f64) -> Passed {
    let (mut inputs, mut x, mut first) = (Vec::new(), features, 0);
    for (number, layer) in layers.iter().enumerate() {
        let (n_in, n_out) = (layer.n_in as usize, layer.n_out as usize);
        x.resize(n_in, 0.0);
        let row = |o: usize| &weights[first + o * n_in..first + (o + 1) * n_in];
        let y = (0..n_out).map(|o| row(o).iter().zip(&x).map(|(&w, &x)| round(w) * round(x)).sum::<f64>());
        let y = y.map(|y| if number + 1 < layers.len() { y.max(0.0) } else { y }).collect();
        inputs.push(std::mem::replace(&mut x, y));
        first += n_in * n_out;
    }
    x.truncate(n_outputs);
    Passed { inputs, values: x }
}

/// Adds the gradients with respect to the weights to `sum`, and returns those with respect to the features.
fn pass_back(
    layers: &[LayerShape],
    weights: &[f64],
    passed: &Passed,
    dl_dvalues: &[f64],
    sum: &mut [f64],
    round: fn(f64) -> f64,
) -> Vec<f64> {
    let mut dy = dl_dvalues.to_vec();
    let mut end = weights.len();
    for (number, layer) in layers.iter().enumerate().rev() {
        let (n_in, n_out) = (layer.n_in as usize, layer.n_out as usize);
        dy.resize(n_out, 0.0);
        let first = end - n_in * n_out;
        let x = &passed.inputs[number];
        let mut dx = vec![0.0; n_in];
        for (o, i) in (0..n_out).flat_map(|o| (0..n_in).map(move |i| (o, i))) {
            sum[first + o * n_in + i] += round(dy[o]) * round(x[i]);
            // A closed ReLU passes no gradient on.
            if number == 0 || x[i] > 0.0 {
                dx[i] += round(dy[o]) * round(weights[first + o * n_in + i]);
            }
        }
        (dy, end) = (dx, first);
    }
    dy
}

/// Returns the loss of a value and its derivative.
fn loss_of(loss: FitLoss, y: f64, t: f64) -> (f64, f64) {
    let scale = match loss {
        FitLoss::L2 => 1.0,
        FitLoss::RelativeL2 => 1.0 / (y * y + 0.01),
        FitLoss::Mape => return ((y - t).abs() / (t.abs() + 0.01), (y - t).signum() / (t.abs() + 0.01)),
    };
    (scale * (y - t).powi(2), 2.0 * scale * (y - t))
}

fn fields_give_values_and_gradients_as_written_down(device: &Device) {
    check_fields(device, 32, Arithmetic::of(device));
}

#[test]
fn products_in_bf16_are_those_of_rounded_factors() {
    let host = crate::common::host();
    if let Err(error) = host.with_precision(Precision::Bf16) {
        return skipped("products_in_bf16_are_those_of_rounded_factors", error);
    }
    let Device::Cpu(cpu) = host else { unreachable!("this is the host") };
    for cpu in cpu.at_every_level(true) {
        for n_neurons in [16, 32, 64, 128] {
            check_fields(&Device::Cpu(cpu.clone()), n_neurons, Arithmetic::bf16());
        }
    }
}

#[test]
fn gpus_refuse_bf16_and_compute_as_they_do() {
    let device = crate::common::emulated();
    let error = device.with_precision(Precision::Bf16).err().unwrap().to_string();
    assert!(error.contains("train.precision is bf16") && error.contains(&device.describe()), "{error}");
    for precision in [Precision::Fp32, Precision::Auto] {
        assert_eq!(device.with_precision(precision).unwrap().describe(), device.describe());
    }
}

fn check_fields(device: &Device, n_neurons: u32, arithmetic: Arithmetic) {
    let round = arithmetic.round;
    let cases = [
        (2, 3, 2, FitLoss::L2),
        (2, 1, 2, FitLoss::RelativeL2),
        (3, 1, 2, FitLoss::Mape),
        (3, 4, 2, FitLoss::L2),
        (2, 3, 0, FitLoss::L2),
    ];
    for (dimensions, n_outputs, n_hidden_layers, loss) in cases {
        let head = Head::Values { dimensions, n_outputs };
        let model = ModelConfig {
            grid: GridConfig {
                n_levels: 3,
                n_features_per_level: 2,
                log2_hashmap_size: 8,
                base_resolution: 5,
                ..GridConfig::default()
            },
            network: NetworkConfig { n_neurons, n_hidden_layers },
            ..ModelConfig::default()
        };
        let mut random = Random::new(61);
        let mut field = Field::zeros(device, &model, head).unwrap();
        let table = random.halves(field.table.len(), -1.0, 1.0);
        let weights = random.halves(field.weights.len(), -0.4, 0.4);
        field.table.upload(0, &table).unwrap();
        field.weights.upload(0, &weights).unwrap();
        field.refresh_copies(device).unwrap();
        let mut chunk = FitChunk::new(device, SAMPLES + 20, head, &field, true).unwrap();
        chunk.set_len(SAMPLES).unwrap();
        let x = random.f32s(dimensions as usize * SAMPLES, 0.0, 1.0);
        let target = random.f32s(n_outputs as usize * SAMPLES, -2.0, 2.0);
        chunk.position.upload(0, &x).unwrap();
        chunk.target.upload(0, &target).unwrap();
        let scratch = WorkerScratch::all(device, SAMPLES + 20, &field, true).unwrap().swap_remove(0);
        let dl_dweights = device.zeros::<f32>(weights.len()).unwrap();
        let gradients = ChunkGradients { dl_dweights: dl_dweights.ptr(), dl_dparameters: gridfield::device::Ptr::NULL };
        let fitter = Fitter { device, field: &field, n_outputs };
        fitter.forward(&chunk, &scratch).unwrap();
        let given = to_f64(&chunk.output.download().unwrap());
        fitter.losses(&chunk, loss, None).unwrap();
        fitter.backward(&chunk, &scratch, &gradients).unwrap();

        let (table, weights, layers) = (to_f64(&table), to_f64(&weights), &field.decoder.layers);
        let nodes = field.grid.active_nodes(device, &to_f64(&x), &[]).unwrap();
        let (n, corners, levels) = (n_outputs as usize, 1usize << dimensions, 3);
        let (mut values, mut losses, mut of_features) = (Vec::new(), [0.0; 2], vec![0.0; 2 * levels * SAMPLES]);
        let mut of_weights = vec![0.0; weights.len()];
        for s in 0..SAMPLES {
            let feature = |k: usize| -> f64 {
                let node = (s * levels + k / 2) * corners;
                (node..node + corners).map(|c| nodes.phi[c] * table[nodes.entry[c] as usize * 2 + k % 2]).sum()
            };
            let passed = pass(layers, &weights, (0..2 * levels).map(feature).collect(), n, round);
            // In fp16, values can end up on the other side of a kink of the loss or of a ReLU, so the loss gradients
            // are computed at the kernel's own values.
            let own = &given[s * n..(s + 1) * n];
            let of_values: Vec<(f64, f64)> =
                own.iter().zip(&target[s * n..]).map(|(&y, &t)| loss_of(loss, y, f64::from(t))).collect();
            let dl_dvalues: Vec<f64> = of_values.iter().map(|(_, derivative)| derivative / n as f64).collect();
            losses[0] += of_values.iter().map(|(loss, _)| loss / n as f64).sum::<f64>();
            losses[1] +=
                own.iter().zip(&target[s * n..]).map(|(y, &t)| (y - f64::from(t)).powi(2) / n as f64).sum::<f64>();
            let dl_dfeatures = pass_back(layers, &weights, &passed, &dl_dvalues, &mut of_weights, round);
            for k in 0..2 * levels {
                of_features[(k / 2 * SAMPLES + s) * 2 + k % 2] = dl_dfeatures[k];
            }
            values.extend(passed.values);
        }
        let Arithmetic { values: forward, weight_gradients: backward, .. } = arithmetic;
        assert_close("values", &given[..n * SAMPLES], &values, forward);
        assert!(given[n * SAMPLES..].iter().all(|&value| value == 0.0), "values past the last sample stay zero");
        assert_close("losses", &to_f64(&chunk.sums.download().unwrap()), &losses, 1e-5);
        assert_close("dL/dweights", &to_f64(&dl_dweights.download().unwrap()), &of_weights, backward);
        let found = to_f64(&chunk.dl_dfeatures.download().unwrap());
        let found: Vec<f64> =
            (0..levels).flat_map(|l| found[2 * l * (SAMPLES + 20)..][..2 * SAMPLES].to_vec()).collect();
        assert_close("dL/dfeatures", &found, &of_features, arithmetic.feature_gradients);
    }
}

/// Features of zero, which the fp16 copy holds until it is first written, close every ReLU after them; such a field
/// would never learn.
fn a_new_field_begins_with_its_features(device: &Device) {
    let head = Head::Values { dimensions: 3, n_outputs: 2 };
    let values = |device: &Device| {
        let config = GridConfig { n_levels: 4, log2_hashmap_size: 10, ..GridConfig::default() };
        let model = ModelConfig { grid: config, ..ModelConfig::default() };
        let context = InitContext { seed: 3, unit_cube: UnitCube::new(1.0, [0.0; 3]), box_side: 1.0 };
        let field = Field::random(device, &model, head, &context).unwrap();
        let predictor = Predictor::new(device, head, field, Path::new("new")).unwrap();
        let points = Random::new(62).f32s(3 * SAMPLES, 0.0, 1.0);
        let place = |chunk: &mut FitChunk, first: usize| chunk.position.upload(0, &points[3 * first..][..3 * chunk.n]);
        to_f64(&predictor.predict(SAMPLES, place).unwrap())
    };
    let host = values(&crate::common::host());
    assert!(host.iter().all(|&value| value != 0.0));
    // Below 6e-5, fp16 loses precision as numbers get smaller.
    assert_close("values", &values(device), &host, if device.computes_in_fp16() { 2e-2 } else { 0.0 });
}

on_every_target!(fields_give_values_and_gradients_as_written_down, a_new_field_begins_with_its_features);
