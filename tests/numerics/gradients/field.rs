//! Gradients of the field alone: of a weighted sum of the samples' densities and colours.

use super::{DIRECTIONS, Probe, TOLERANCE, check, grid, model};
use crate::common::{Random, host, to_f64};
use gridfield::config::{GridConfig, GridIndex, GridKernel, ModelConfig};
use gridfield::device::args::FieldArgs;
use gridfield::device::{LaunchDims, Ptr, kernels};
use gridfield::radiance::ChunkSize;

/// Two whole tiles and part of a third.
const N_SAMPLES: usize = 300;
const N_RAYS: usize = 20;

/// Places samples at random positions, including faces of the cube, on rays of random directions.
fn scatter_samples(probe: &mut Probe, random: &mut Random) {
    let mut positions: Vec<f32> = (0..3 * N_SAMPLES).map(|_| random.unit() as f32).collect();
    positions[..6].copy_from_slice(&[0.0, 1.0, 0.5, 1.0, 1.0, 1.0]);
    let rays: Vec<u32> = (0..N_SAMPLES).map(|_| random.below(N_RAYS) as u32).collect();
    let samples = &mut probe.chunk.samples;
    samples.position.upload(0, &positions).unwrap();
    samples.ray.upload(0, &rays).unwrap();
    samples.count.upload(0, &[0, N_SAMPLES as u32]).unwrap();
    let capacity = probe.chunk.rays.capacity;
    for ray in 0..N_RAYS {
        for (axis, value) in random.direction().into_iter().enumerate() {
            probe.chunk.rays.view.upload(axis * capacity + ray, &[value as f32]).unwrap();
        }
    }
}

fn field_args(probe: &Probe) -> FieldArgs<'_> {
    FieldArgs {
        grid: probe.field.grid.layout(),
        network: probe.field.decoder.layout(),
        table: probe.field.table_ptr(),
        weights: probe.field.weights_ptr(),
        features: Ptr::NULL,
        samples: probe.chunk.samples.args(),
        rays: probe.chunk.ray_args(),
        activations: probe.scratch.activations(),
        dl_dfeatures: probe.dl_dfeatures.ptr(),
        dl_dweights: probe.dl_dweights.ptr(),
        round: 0,
        density_only: 0,
        dl_dview: Ptr::NULL,
    }
}

/// Returns the densities and colours for the current parameters.
fn outputs(probe: &Probe) -> (Vec<f64>, Vec<f64>) {
    let wide = probe.field.decoder.width() > 64;
    let kernel = if wide { &kernels::FIELD_FORWARD_128 } else { &kernels::FIELD_FORWARD_64 };
    probe.field.prepare(&probe.device).unwrap();
    probe.device.launch_chunk(kernel, &field_args(probe), LaunchDims::tiles(N_SAMPLES)).unwrap();
    let samples = &probe.chunk.samples;
    let densities = to_f64(&samples.density.download().unwrap()[..N_SAMPLES]);
    (densities, to_f64(&samples.color.download().unwrap()[..3 * N_SAMPLES]))
}

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
}

fn check_field(model: &ModelConfig) {
    let mut random = Random::new(1);
    let size = ChunkSize { n_chunks: 1, rays: N_RAYS, samples: N_SAMPLES };
    let mut probe = Probe::new(&host(), model, size, &mut random);
    scatter_samples(&mut probe, &mut random);
    let (by_density, by_color) = (random.vector(N_SAMPLES, 1.0), random.vector(3 * N_SAMPLES, 4.0));
    // Through the output activations: d exp(x) = exp(x) dx, d logistic(x) = c (1 - c) dx.
    let (densities, colors) = outputs(&probe);
    let raw = |weights: &[f32], slopes: Vec<f64>| -> Vec<f32> {
        weights.iter().zip(slopes).map(|(&weight, slope)| (f64::from(weight) * slope) as f32).collect()
    };
    let samples = &mut probe.chunk.samples;
    samples.dl_ddensity.upload(0, &raw(&by_density, densities)).unwrap();
    samples.dl_dcolor.upload(0, &raw(&by_color, colors.iter().map(|c| c * (1.0 - c)).collect())).unwrap();
    let loss = |probe: &Probe| {
        let (densities, colors) = outputs(probe);
        dot(&densities, &by_density) + dot(&colors, &by_color)
    };
    let wide = probe.field.decoder.width() > 64;
    let kernel = if wide { &kernels::FIELD_BACKWARD_128 } else { &kernels::FIELD_BACKWARD_64 };
    probe.device.launch_chunk(kernel, &field_args(&probe), LaunchDims::tiles(N_SAMPLES)).unwrap();
    probe.scatter(1);
    let name = format!("{:?}, {:?}, {:?}", model.grid, model.density_network, model.color_network);
    check(&name, &mut probe, &mut random, TOLERANCE, loss);
}

#[test]
fn field_gradients_are_right_for_every_number_of_features_and_kernel() {
    for kernel in [GridKernel::Linear, GridKernel::Smoothstep] {
        for n_features in [1, 2, 4, 8] {
            check_field(&model(grid(n_features, kernel), (64, 1), (64, 2)));
        }
    }
}

#[test]
fn field_gradients_are_right_for_dense_levels_and_for_averaged_bands() {
    for n_features in [2, 8] {
        let hash = grid(n_features, GridKernel::Linear);
        check_field(&model(GridConfig { index: GridIndex::Dense, ..hash.clone() }, (64, 1), (64, 2)));
        let fourier = GridConfig { index: GridIndex::Fourier, base_resolution: 8, per_level_scale: 1.0, ..hash };
        check_field(&model(fourier, (64, 1), (64, 2)));
    }
}

/// The directions have little effect compared with the density network's outputs, and the rounding error of the loss is
/// divided by the step. The step is therefore large, and the quadratic error term of the difference is extrapolated
/// away, and that of degree 4 as well. The polynomials are of degree 5 and have no higher terms.
const VIEW_STEP: f64 = 0.1;

/// Gradients of the colours with respect to the view directions.
#[test]
fn view_gradients_are_right_for_every_degree() {
    for sh_degree in 1..=6 {
        let mut random = Random::new(9);
        let model = ModelConfig { sh_degree, ..model(grid(4, GridKernel::Linear), (64, 1), (64, 2)) };
        let size = ChunkSize { n_chunks: 1, rays: N_RAYS, samples: N_SAMPLES };
        let mut probe = Probe::new(&host(), &model, size, &mut random);
        scatter_samples(&mut probe, &mut random);
        let by_color = random.vector(3 * N_SAMPLES, 4.0);
        let (_, colors) = outputs(&probe);
        let raw: Vec<f32> = by_color.iter().zip(&colors).map(|(&w, &c)| w * (c * (1.0 - c)) as f32).collect();
        probe.chunk.samples.dl_dcolor.upload(0, &raw).unwrap();
        let dl_dview = probe.device.zeros::<f32>(3 * N_SAMPLES).unwrap();
        let args = FieldArgs { dl_dview: dl_dview.ptr(), ..field_args(&probe) };
        probe.device.launch_chunk(&kernels::FIELD_BACKWARD_64, &args, LaunchDims::tiles(N_SAMPLES)).unwrap();
        let (rays, found) = (probe.chunk.samples.ray.download().unwrap(), to_f64(&dl_dview.download().unwrap()));
        let norm = found.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert_eq!(norm > 0.0, sh_degree > 1, "degree 1 is the same in all directions");
        let views = probe.chunk.rays.view.download().unwrap();
        for _ in 0..DIRECTIONS {
            // Displaces each ray's direction; the polynomials do not need unit length.
            let push: Vec<f64> = (0..3 * N_RAYS).map(|_| random.sign()).collect();
            let mut moved = |step: f64| {
                let moved: Vec<f32> =
                    views.iter().zip(&push).map(|(&v, &sign)| (f64::from(v) + step * sign) as f32).collect();
                probe.chunk.rays.view.upload(0, &moved).unwrap();
                dot(&outputs(&probe).1, &by_color)
            };
            let mut central = |step: f64| (moved(step) - moved(-step)) / (2.0 * step);
            let difference = 1.5 * central(VIEW_STEP) - 0.6 * central(2.0 * VIEW_STEP) + 0.1 * central(3.0 * VIEW_STEP);
            let along = |s: usize| (0..3).map(|k| found[3 * s + k] * push[k * N_RAYS + rays[s] as usize]).sum::<f64>();
            let derivative: f64 = (0..N_SAMPLES).map(along).sum();
            let error = (difference - derivative).abs();
            assert!(error <= TOLERANCE * norm, "degree {sh_degree}: {difference}, {derivative}, norm {norm}");
        }
    }
}

#[test]
fn field_gradients_are_right_for_every_width() {
    for width in [16, 32, 64, 128] {
        check_field(&model(grid(2, GridKernel::Linear), (width, 1), (width, 2)));
    }
    check_field(&model(grid(2, GridKernel::Linear), (16, 1), (128, 1)));
}

#[test]
fn field_gradients_are_right_for_every_depth() {
    for (density, color) in [(0, 0), (0, 3), (1, 1), (2, 0), (3, 3)] {
        check_field(&model(grid(4, GridKernel::Linear), (32, density), (64, color)));
    }
}

#[test]
fn features_past_a_multiple_of_16_are_padding() {
    let grid = GridConfig { n_levels: 5, ..grid(4, GridKernel::Linear) };
    check_field(&model(grid, (32, 1), (32, 1)));
}
