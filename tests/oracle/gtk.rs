//! Tangent kernels against an independent float64 implementation (`vectors/gtk.json`): G, its eigenvalues, Δ and the
//! bound, and the outputs that Theorem 1 predicts, for four models in one dimension; and consistency checks in all
//! dimensions.

use crate::common::{Random, assert_close, flatten};
use crate::grid::arguments;
use gridfield::config::{GridConfig, GridKernel, MulfaConfig, MulfaVariant};
use gridfield::device::args::EncodeArgs;
use gridfield::device::{Device, LaunchDims, kernels};
use gridfield::encoding::Grid;
use gridfield::gtk::drift::{self, Training};
use gridfield::gtk::flow::{self, Law, ROUNDING};
use gridfield::gtk::jacobian::jacobian;
use gridfield::gtk::matrix::mean_diagonal;
use gridfield::gtk::tangent::{Field, Readout};
use gridfield::gtk::{Arrangement, Model, ModelSpec, Points, ThetaChoice, bound, spectrum};
use serde_json::Value;

/// Sums of a few products in f64; the oracle's numbers have 16 digits.
const TOLERANCE: f64 = 1e-12;
/// Central differences with a step of 1e-5: their error is the third derivative times 1e-10, about 1e-8 for waves of
/// the kernels' frequencies.
const DIFFERENCE_TOLERANCE: f64 = 1e-6;

on_every_target!(
    matrices_spectra_bounds_and_predictions_are_the_oracles,
    every_sample_has_its_own_gradient,
    theorem_1_holds_to_rounding,
    descent_through_the_encoding_follows_the_law,
    theorem_2_holds_while_phi_is_fixed_and_not_beyond,
    a_cascade_begins_as_its_levels_and_moves,
);

struct Case {
    model: Model,
    value: Value,
}

impl Case {
    fn numbers(&self, key: &str) -> Vec<f64> {
        flatten(&self.value[key])
    }
}

/// Returns θ in the order of the kernels: layer by layer, then the output.
fn flat_theta(theta: &Value) -> Vec<f64> {
    let depth = theta["W"].as_array().unwrap().len();
    let layers = (0..depth).flat_map(|l| ["W", "b", "Omega", "psi"].map(|part| flatten(&theta[part][l])));
    layers.chain(["w_out", "b_out"].map(|part| flatten(&theta[part]))).flatten().collect()
}

fn case(value: &Value) -> Case {
    let (name, theta) = (value["model"].as_str().unwrap(), &value["theta"]);
    let mulfa = match name.strip_prefix("mulfa_") {
        Some(variant) => MulfaConfig {
            variant: serde_json::from_value::<MulfaVariant>(variant.into()).unwrap(),
            n_frequencies: theta["m"].as_u64().unwrap() as u32,
            depth: theta["W"].as_array().unwrap().len() as u32,
            width: theta["w_out"].as_array().unwrap().len() as u32,
            ..MulfaConfig::default()
        },
        None => MulfaConfig::default(),
    };
    let config = GridConfig {
        n_levels: 1,
        n_features_per_level: 1,
        base_resolution: value["scale"].as_f64().unwrap() as u32 + 1,
        kernel: if theta.is_null() { GridKernel::Linear } else { GridKernel::Mulfa },
        mulfa,
        ..GridConfig::default()
    };
    let grid = Grid::new(&config, 1);
    let theta = if theta.is_null() { Vec::new() } else { flat_theta(theta) };
    Case { model: Model::of_grid(name, config, grid, theta), value: value.clone() }
}

fn cases() -> Vec<Case> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/gtk.json")).unwrap();
    let cases: Vec<Case> = vectors.as_array().unwrap().iter().map(case).collect();
    assert_eq!(cases.len(), 4);
    cases
}

fn matrices_spectra_bounds_and_predictions_are_the_oracles(device: &Device) {
    for case in cases() {
        let (x, y, name) = (case.numbers("x"), case.numbers("y"), &case.model.label);
        let gram = jacobian(&case.model, device, &x).unwrap().gram();
        let rows: Vec<f64> = (0..x.len()).flat_map(|i| (0..x.len()).map(move |j| (i, j))).map(|at| gram[at]).collect();
        assert_close(&format!("{name}: G"), &rows, &case.numbers("G"), TOLERANCE);
        let eigen = spectrum::eigenvalues(&gram);
        assert_close(&format!("{name}: λ"), &eigen.values, &case.numbers("eigenvalues_ascending"), TOLERANCE);
        let points = Points { dimensions: 1, x, source: String::new(), labels: None, held_out: None };
        let bound = bound::bound(&case.model, device, &points, &y).unwrap();
        assert_close(&format!("{name}: Δ"), &[bound.as_it_is.delta], &case.numbers("delta"), TOLERANCE);
        let expected = case.numbers("bound_sqrt_2delta_over_n");
        assert_close(&format!("{name}: bound"), &[bound.as_it_is.bound], &expected, TOLERANCE);
        assert_close(
            &format!("{name}: Δ at trace n"),
            &[bound.at_trace_n.delta],
            &[bound.as_it_is.delta * mean_diagonal(&gram)],
            TOLERANCE,
        );
        let law = Law::of(&gram);
        let outputs: Vec<f64> =
            case.numbers("times").iter().flat_map(|&t| law.flow(&vec![0.0; y.len()], &y, t)).collect();
        assert_close(&format!("{name}: O(t)"), &outputs, &case.numbers("outputs_from_zero"), TOLERANCE);
    }
}

fn model(device: &Device, text: &str, dimensions: u32) -> Model {
    ModelSpec::parse(text, &[]).unwrap().build(device, dimensions, ThetaChoice::Random, 5).unwrap()
}

fn points(n: usize, dimensions: u32) -> Points {
    Points::arranged(Arrangement::Random, n, dimensions, 11).with_wave(0)
}

/// The parts of the full tangent kernel add up to J Jᵀ, with J by central differences with respect to every feature, θ
/// and weight.
fn every_sample_has_its_own_gradient(device: &Device) {
    let per_feature = "mulfa-modulated,base_resolution=3,n_levels=2,n_features_per_level=2,mulfa.per_feature=true";
    for (text, dimensions, readout) in [
        ("linear,base_resolution=4,n_features_per_level=2", 2, Readout::Mlp),
        ("mulfa-windowed,base_resolution=3,n_levels=2", 1, Readout::Linear),
        ("mulfa-paper,base_resolution=3", 2, Readout::Sum),
        ("points,points.resolution=3,points.k=3,n_features_per_level=2", 2, Readout::Mlp),
        ("points,points.resolution=5,points.k=2,n_features_per_level=1", 1, Readout::Linear),
        (per_feature, 2, Readout::Mlp),
        (
            "linear,kernel=local,base_resolution=3,n_levels=2,n_features_per_level=2,local.n_frequencies=2",
            2,
            Readout::Mlp,
        ),
        ("linear,kernel=local,base_resolution=3,local.n_frequencies=0", 3, Readout::Sum),
        ("linear,cascade=true,base_resolution=3,n_levels=3,n_features_per_level=2", 2, Readout::Mlp),
        ("linear,cascade=true,kernel=local,base_resolution=3,n_levels=3,n_features_per_level=2", 1, Readout::Linear),
    ] {
        let (model, points) = (model(device, text, dimensions), points(4, dimensions));
        let mut field = Field::new(&model, device, &points.x, readout, 3).unwrap();
        // Features of size 1, so that gradients with respect to θ are as large as those with respect to the features.
        let mut random = Random::new(4);
        field.features.iter_mut().for_each(|w| *w = random.between(-1.0, 1.0));
        let kernels = field.kernels(&field.jacobian().unwrap()).unwrap();
        let (n, n_parameters) = (field.n(), field.n_parameters());
        let full = kernels.sum();
        let mut expected = vec![0.0; n * n];
        for parameter in 0..n_parameters {
            let column = derivative(&mut field, parameter);
            for (k, sum) in expected.iter_mut().enumerate() {
                *sum += column[k / n] * column[k % n];
            }
        }
        let found: Vec<f64> = (0..n * n).map(|k| full[(k / n, k % n)]).collect();
        assert_close(text, &found, &expected, DIFFERENCE_TOLERANCE);
        assert_eq!(kernels.theta[(0, 0)] > 0.0, !field.theta.is_empty(), "{text}");
        assert_eq!(kernels.decoder[(0, 0)] > 0.0, readout != Readout::Sum, "{text}");
    }
}

/// Returns the derivative of the outputs with respect to one parameter.
fn derivative(field: &mut Field, parameter: usize) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut at = |step: f64| {
        *parameter_mut(field, parameter) += step;
        let output = field.jacobian().unwrap().output;
        *parameter_mut(field, parameter) -= step;
        output
    };
    let (above, below) = (at(STEP), at(-STEP));
    above.iter().zip(&below).map(|(above, below)| (above - below) / (2.0 * STEP)).collect()
}

fn parameter_mut<'f>(field: &'f mut Field, parameter: usize) -> &'f mut f64 {
    let weights = field.layers.iter_mut().flat_map(|layer| &mut layer.weight);
    field.features.iter_mut().chain(&mut field.theta).chain(weights).nth(parameter).unwrap()
}

fn theorem_1_holds_to_rounding(device: &Device) {
    for dimensions in 1..=3 {
        for text in [
            "linear,base_resolution=8",
            "smoothstep,n_levels=3,base_resolution=4",
            "mulfa-modulated,base_resolution=6",
            "linear,kernel=local,n_levels=2,base_resolution=6",
        ] {
            let (model, points) = (model(device, text, dimensions), points(30, dimensions));
            let labels = points.labels.as_deref().unwrap();
            let found = flow::flow(&model, device, &points.x, labels, 300, None, 1).unwrap();
            assert!(found.largest_deviation < ROUNDING, "{text}: {}", found.largest_deviation);
            assert!(found.loss.last() < found.loss.first(), "{text} learns");
            // Gradient flow follows a different law than gradient descent, so an agreement at rounding level is not a
            // coincidence.
            assert!(found.largest_deviation_flow > 1e-4, "{text}: {}", found.largest_deviation_flow);
            // The deviation of the flow is proportional to the learning rate.
            let finer = flow::flow(&model, device, &points.x, labels, 600, Some(0.5 * found.learning_rate), 1).unwrap();
            let ratio = found.largest_deviation_flow / finer.largest_deviation_flow;
            assert!((1.6..2.4).contains(&ratio), "{text}: {ratio}");
        }
    }
}

fn theorem_2_holds_while_phi_is_fixed_and_not_beyond(device: &Device) {
    let (model, points) = (model(device, "mulfa-windowed,base_resolution=6", 1), points(12, 1));
    let labels = points.labels.as_deref().unwrap();
    let training = |readout| Training { readout, steps: 40, learning_rate: 0.01, seed: 2 };
    let last = |values: &[f64]| *values.last().unwrap();
    let of = |readout| drift::drift(&model, device, &points.x, labels, training(readout)).unwrap();
    let summed = of(Readout::Sum);
    // φ is recomputed from the same numbers and has the same bits, and so does everything derived from it.
    assert_eq!(last(&summed.phi_fixed.grid), 0.0);
    let learned = summed.phi_learned.unwrap();
    assert!(last(&learned.grid) > 1e-3, "{learned:?}");
    assert!(last(&learned.full) > 1e-3, "{learned:?}");
    let decoded = of(Readout::Linear);
    assert_eq!(last(&decoded.phi_fixed.grid), 0.0);
    assert!(last(&decoded.phi_fixed.full) > 1e-3, "a decoder moves the full kernel");
    assert!(last(&decoded.phi_fixed.loss) < decoded.phi_fixed.loss[0]);
}

/// A cascade is a polynomial in its features: its kernel is that of a hash grid while the matrices are zero, and moves
/// in training otherwise, even with a linear readout and the matrices held.
fn a_cascade_begins_as_its_levels_and_moves(device: &Device) {
    let points = points(12, 2);
    let labels = points.labels.as_deref().unwrap();
    let gram = |text: &str, theta| {
        let model = ModelSpec::parse(text, &[]).unwrap().build(device, 2, theta, 5).unwrap();
        jacobian(&model, device, &points.x).unwrap().compacted().0.gram()
    };
    for kernel in ["linear", "local"] {
        let levels = format!("linear,kernel={kernel},n_levels=3,base_resolution=3,n_features_per_level=2");
        let cascade = format!("{levels},cascade=true");
        let [of_levels, initial] = [&levels, &cascade].map(|text| gram(text, ThetaChoice::Initial));
        assert_eq!(of_levels, initial, "{kernel}");
        assert!((gram(&cascade, ThetaChoice::Random) - &initial).norm_l2() > 0.1 * initial.norm_l2(), "{kernel}");
        let model = model(device, &cascade, 2);
        let training = Training { readout: Readout::Sum, steps: 40, learning_rate: 0.01, seed: 2 };
        let found = drift::drift(&model, device, &points.x, labels, training).unwrap();
        assert!(*found.phi_fixed.grid.last().unwrap() > 1e-3, "{found:?}");
        assert!(found.phi_learned.is_some(), "the matrices are learned");
        let found = flow::flow(&model, device, &points.x, labels, 300, None, 1).unwrap();
        assert!(found.largest_deviation > 1e-4, "{kernel}: {}", found.largest_deviation);
        assert!(found.loss.last() < found.loss.first(), "{kernel} learns");
        // The law is that of the gradients at the start: the first step differs by terms of second order in it.
        let first = |rate: f64| {
            let flow = flow::flow(&model, device, &points.x, labels, 1, Some(rate * found.learning_rate), 1).unwrap();
            flow.deviation[1]
        };
        let ratio = first(1e-2) / first(1e-3);
        assert!((80.0..120.0).contains(&ratio), "{kernel}: {ratio}");
    }
}

/// Gradient descent with the training kernels for encoding and scattering, in f64, follows the law that G predicts.
fn descent_through_the_encoding_follows_the_law(device: &Device) {
    for text in ["linear,n_levels=3,base_resolution=4,n_features_per_level=2", "smoothstep,n_features_per_level=2"] {
        let (model, points) = (model(device, text, 2), points(24, 2));
        let labels = points.labels.as_deref().unwrap();
        let law = Law::of(&jacobian(&model, device, &points.x).unwrap().gram());
        let rate = 0.5 / law.eigenvalues.last().unwrap();
        let mut random = Random::new(8);
        let mut table: Vec<f64> = (0..model.grid.n_parameters()).map(|_| random.between(-0.5, 0.5)).collect();
        let initial = encode(device, &model.grid, &points.x, &table);
        for _ in 0..100 {
            let output = encode(device, &model.grid, &points.x, &table);
            let residual: Vec<f64> = output.iter().zip(labels).map(|(o, y)| o - y).collect();
            let gradient = scatter(device, &model.grid, &points.x, &table, &residual);
            table.iter_mut().zip(&gradient).for_each(|(w, g)| *w -= rate * g);
        }
        let found = encode(device, &model.grid, &points.x, &table);
        assert_close(text, &found, &law.descent(&initial, labels, rate, 100), TOLERANCE);
    }
}

/// Returns `Σ_levels` of the first feature: the scalar model.
fn encode(device: &Device, grid: &Grid, x: &[f64], table: &[f64]) -> Vec<f64> {
    let n_features = grid.n_features() as usize;
    let (position, table) = (device.upload(x).unwrap(), device.upload(table).unwrap());
    let features = device.zeros::<f64>(x.len() / 2 * n_features).unwrap();
    let args = EncodeArgs {
        position: position.ptr().cast(),
        table: table.ptr().cast(),
        features: features.ptr().cast(),
        ..arguments(grid)
    };
    device.launch(&kernels::ENCODE_2D_F64, &args, LaunchDims::items(x.len() / 2)).unwrap();
    let features = features.download().unwrap();
    features.chunks_exact(n_features).map(|all| all.iter().step_by(2).sum()).collect()
}

/// Returns `Φᵀ r`, at the first feature of each entry.
fn scatter(device: &Device, grid: &Grid, x: &[f64], table: &[f64], r: &[f64]) -> Vec<f64> {
    let n_features = grid.n_features() as usize;
    let upstream: Vec<f64> =
        r.iter().flat_map(|&r| (0..n_features).map(move |f| if f % 2 == 0 { r } else { 0.0 })).collect();
    let (position, table) = (device.upload(x).unwrap(), device.upload(table).unwrap());
    let (upstream, dl_dtable) = (device.upload(&upstream).unwrap(), device.zeros::<f64>(table.len()).unwrap());
    let dl_dposition = device.zeros::<f64>(x.len()).unwrap();
    let args = EncodeArgs {
        position: position.ptr().cast(),
        table: table.ptr().cast(),
        dl_dfeatures: upstream.ptr().cast(),
        dl_dtable: dl_dtable.ptr().cast(),
        dl_dposition: dl_dposition.ptr().cast(),
        ..arguments(grid)
    };
    device.launch_chunk(&kernels::ENCODE_BACKWARD_2D_F64, &args, LaunchDims::items(x.len() / 2)).unwrap();
    dl_dtable.download().unwrap()
}

/// `S(f)` is a mean of squares of the Fourier transforms of every node's φ along the line.
#[test]
fn the_profiles_transform_is_that_of_phi() {
    let device = crate::common::host();
    let model = model(&device, "mulfa-modulated,base_resolution=8", 2);
    let profile = spectrum::profile(&model, &device).unwrap();
    let n = spectrum::PROFILE_POINTS;
    let x: Vec<f64> = (0..n).flat_map(|i| [(i as f64 + 0.5) / n as f64, 0.47]).collect();
    let rows = jacobian(&model, &device, &x).unwrap();
    let square = |f: f64| {
        let (mut re, mut im) = (vec![0.0; rows.n_columns], vec![0.0; rows.n_columns]);
        let angle = |i: usize| std::f64::consts::TAU * f * x[2 * i];
        rows.add_transposed_times(1.0 / n as f64, &(0..n).map(|i| angle(i).cos()).collect::<Vec<_>>(), &mut re);
        rows.add_transposed_times(1.0 / n as f64, &(0..n).map(|i| angle(i).sin()).collect::<Vec<_>>(), &mut im);
        re.iter().chain(&im).map(|v| v * v).sum::<f64>() / mean_diagonal(&rows.gram())
    };
    let expected: Vec<f64> = [0, 1, 7, 100, 511].map(|f| square(f as f64)).to_vec();
    let found: Vec<f64> = [0, 1, 7, 100, 511].map(|f| profile.transform[f]).to_vec();
    assert_close("S(f)", &found, &expected, TOLERANCE);
}

/// The field at the end of gradient flow interpolates the labels, and its error elsewhere is the one that `bound`
/// reports.
#[test]
fn the_test_error_is_that_of_the_trained_field() {
    let device = crate::common::host();
    let (model, points) = (model(&device, "linear,base_resolution=8", 2), points(20, 2));
    let labels = points.labels.clone().unwrap();
    let found = bound::bound(&model, &device, &points, &labels).unwrap();
    let rows = jacobian(&model, &device, &points.x).unwrap();
    let mut features = vec![0.0; rows.n_columns];
    let rate = 1.0 / spectrum::eigenvalues(&rows.gram()).values.last().unwrap();
    for _ in 0..20_000 {
        let residual: Vec<f64> = rows.times(&features).iter().zip(&labels).map(|(o, y)| o - y).collect();
        rows.add_transposed_times(-rate, &residual, &mut features);
    }
    let (x, expected) = points.held_out.unwrap();
    let outputs = jacobian(&model, &device, &x).unwrap().times(&features);
    let squared: f64 = outputs.iter().zip(&expected).map(|(o, y)| (o - y).powi(2)).sum();
    let error = (squared / expected.len() as f64).sqrt();
    // The remainder after the descent's steps is e^{-20000 λ_min / λ_max} of the labels.
    assert_close("test error", &[found.test_error.unwrap()], &[error], 1e-6);
}

/// Scaling φ up without changing its shape lowers Δ as it is, but not Δ at trace n.
#[test]
fn loudness_wins_nothing_at_trace_n() {
    let device = crate::common::host();
    let points = points(10, 1);
    let labels = points.labels.clone().unwrap();
    let quiet = model(&device, "mulfa-modulated,base_resolution=32", 1);
    let of = |factor: f64| {
        // With w_out = 0, φ = B (1 + v) is a multiple of B, and b_out sets the scale alone.
        let mut model = quiet.clone();
        let mulfa = model.grid.mulfa.clone().unwrap();
        for part in mulfa.blocks().iter().filter(|part| part.name.ends_with("_out")) {
            let value = if part.name == "b_out" { factor - 1.0 } else { 0.0 };
            model.theta[part.first..part.first + part.n_numbers()].fill(value);
        }
        bound::bound(&model, &device, &points, &labels).unwrap()
    };
    let (quiet, loud) = (of(1.0), of(3.0));
    assert_close("Δ", &[loud.as_it_is.delta], &[quiet.as_it_is.delta / 9.0], 1e-10);
    assert_close("Δ at trace n", &[loud.at_trace_n.delta], &[quiet.at_trace_n.delta], 1e-10);
}
