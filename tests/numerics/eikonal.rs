//! The eikonal term of distance fields: stencils and their loss against a plain fp64 re-implementation, how a step's
//! samples are divided between targets and stencils, and the effect on training.

use std::time::Instant;

use crate::common::{Random, assert_close, to_f64};
use gridfield::config::Config;
use gridfield::device::Device;
use gridfield::field::Field;
use gridfield::fit::{Eikonal, FitChunk, FitTrainer};
use gridfield::mesh::Mesh;
use gridfield::sdf::{DistanceData, HEAD, Target, distances, eikonal_score};
use gridfield::train::Task;

on_every_target!(
    stencils_have_loss_and_gradient_as_written_down,
    a_step_is_shared_out_between_targets_and_stencils,
    the_reported_loss_is_that_of_both,
    a_heavy_term_leaves_the_field_finite,
);

/// The offsets k_c: corners of a tetrahedron.
const CORNERS: [[f64; 3]; 4] = [[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]];

/// Returns the configuration with settings that make a step take milliseconds.
fn configured(settings: &[&str]) -> Config {
    let small = ["model.grid.log2_hashmap_size=12", "model.grid.n_levels=6", "optimizer.schedule.warmup_steps=10"];
    let mut config = Config::of_sdf(true);
    small.iter().chain(settings).try_for_each(|assignment| config.set(assignment)).unwrap();
    config.validate().unwrap();
    config
}

fn trainer(device: &Device, config: &Config, mesh: Mesh) -> FitTrainer<DistanceData> {
    let target = Target::new(device, mesh).unwrap();
    FitTrainer::new(device, config, DistanceData::new(config, "shape", target)).unwrap()
}

/// Returns the loss of a stencil of values.
fn stencil_loss(f: &[f64], h: f64) -> f64 {
    let gradient = |k: usize| (0..4).map(|c| CORNERS[c][k] * f[c]).sum::<f64>() / (4.0 * h);
    let error = (0..3).map(|k| gradient(k).powi(2)).sum::<f64>().sqrt() - 1.0;
    if error <= 1.0 { error * error } else { 2.0 * error - 1.0 }
}

/// Returns the gradient of the stencil loss, by central differences.
fn stencil_gradient(f: &[f64], h: f64) -> [f64; 4] {
    let by = 1e-4 * h;
    std::array::from_fn(|c| {
        let moved = |by: f64| {
            let mut f = f.to_vec();
            f[c] += by;
            stencil_loss(&f, h)
        };
        (moved(by) - moved(-by)) / (2.0 * by)
    })
}

fn stencils_have_loss_and_gradient_as_written_down(device: &Device) {
    let (n, n_with_target) = (163, 123);
    let n_stencils = (n - n_with_target) / 4;
    // A weight small enough that gradients stay unscaled, and one so large that they are scaled down.
    for (eikonal, is_scaled) in
        [(Eikonal { weight: 0.05, step: 0.02 }, false), (Eikonal { weight: 2.0, step: 0.002 }, true)]
    {
        let field = Field::zeros(device, &configured(&[]).model, HEAD).unwrap();
        let mut chunk = FitChunk::new(device, n + 10, HEAD, &field, true).unwrap();
        chunk.set_lens(n, n_with_target).unwrap();
        let mut random = Random::new(81);
        let h = f64::from(eikonal.step);
        // From flat to four times the slope of a distance field.
        let mut output = random.f32s(n, -0.5, 0.5);
        for s in 0..n_stencils {
            let middle = n_with_target + 4 * s;
            let steepness = s as f64 / (n_stencils - 1) as f64 * 4.0;
            let direction = random.direction();
            for (c, corner) in CORNERS.iter().enumerate() {
                let slope: f64 = (0..3).map(|k| direction[k] * corner[k]).sum();
                output[middle + c] = (0.3 + h * steepness * slope) as f32;
            }
        }
        chunk.output.upload(0, &output).unwrap();
        let before = vec![7.0f32; n + 10];
        for buffer in [&mut chunk.dl_doutput, &mut chunk.loss, &mut chunk.squared_error] {
            buffer.upload(0, &before).unwrap();
        }
        eikonal.loss(device, &chunk).unwrap();

        let [found, losses, squared] =
            [&chunk.dl_doutput, &chunk.loss, &chunk.squared_error].map(|buffer| buffer.download().unwrap());
        for (name, values) in [("gradient", &found), ("loss", &losses), ("squared error", &squared)] {
            let others = values[..n_with_target].iter().chain(&values[n..]);
            assert!(
                others.into_iter().all(|&value| value == 7.0),
                "{name}: samples that are no stencil corners are unchanged"
            );
        }
        assert!(squared[n_with_target..n].iter().all(|&value| value == 0.0));
        let scale = f64::from(eikonal.gradient_scale());
        assert_eq!(scale < 1.0, is_scaled, "{scale}");
        // There is one stencil per twelve samples with a target.
        let weight = 12.0 * f64::from(eikonal.weight);
        let (mut expected, mut expected_losses) = (Vec::new(), Vec::new());
        for f in to_f64(&output[n_with_target..n]).chunks(4) {
            expected_losses.extend([0.25 * weight * stencil_loss(f, h); 4]);
            let is_flat = f.iter().all(|&value| value == f[0]);
            let gradient = if is_flat { [0.0; 4] } else { stencil_gradient(f, h) };
            expected.extend(gradient.map(|by_value| scale * weight * by_value));
        }
        assert!(expected[..4].iter().all(|&value| value == 0.0), "the first stencil is flat");
        assert_close("losses", &to_f64(&losses[n_with_target..n]), &expected_losses, 1e-5);
        assert_close("dL/dvalues", &to_f64(&found[n_with_target..n]), &expected, 1e-5);
        // fp16 can represent the gradients of MAPE, up to 100.
        let largest = found[n_with_target..n].iter().fold(0.0f32, |most, value| most.max(value.abs()));
        assert!(largest <= 100.0 && (!is_scaled || largest > 50.0), "{largest}");
    }
}

/// The points of a step and of its chunks, on a sphere, whose distances are known.
fn a_step_is_shared_out_between_targets_and_stencils(device: &Device) {
    for (batch, weight) in [(128, 0.1), (143, 0.1), (1000, 0.1), (2605, 0.1), (2605, 0.0)] {
        let step = 0.02f32;
        let config = configured(&[
            &format!("train.batch_samples={batch}"),
            &format!("sdf.eikonal_weight={weight}"),
            &format!("sdf.eikonal_step={step}"),
        ]);
        let mut trainer = trainer(device, &config, crate::shapes::sphere(8));
        trainer.advance().unwrap();
        let (mut n, mut n_with_target, mut in_cube) = (0, 0, Vec::new());
        for chunk in trainer.chunks() {
            let n_stencils = if weight > 0.0 { chunk.n / 16 } else { 0 };
            assert_eq!(chunk.n_with_target + 4 * n_stencils, chunk.n, "{batch}");
            assert_eq!(chunk.count.download().unwrap(), [0, chunk.n as u32, chunk.n_with_target as u32]);
            let position = chunk.position.download().unwrap();
            let points: Vec<[f32; 3]> = position.as_chunks().0[..chunk.n].to_vec();
            assert!(points.as_flattened().iter().all(|x| (0.0..=1.0).contains(x)), "all points are in the cube");

            // Of the first k points with a target, k / 2 are on the surface and 3 k / 8 near it.
            let share = |of: fn(usize) -> usize| of(n_with_target + chunk.n_with_target) - of(n_with_target);
            let (on, near) = (share(|k| k / 2), share(|k| k * 3 / 8));
            let target = chunk.target.download().unwrap();
            assert!(target[..on].iter().all(|&distance| distance == 0.0), "{batch}: on the surface");
            assert!(target[on..chunk.n_with_target].iter().all(|&distance| distance != 0.0), "{batch}: off it");
            in_cube.extend_from_slice(&points[on + near..chunk.n_with_target]);
            assert!(target[chunk.n_with_target..].iter().all(|&distance| distance == 0.0), "corners have no target");

            for s in 0..n_stencils {
                let corners = &points[chunk.n_with_target + 4 * s..][..4];
                let middle = points[s * chunk.n_with_target / n_stencils].map(|x| f64::from(x.clamp(step, 1.0 - step)));
                for (corner, signs) in corners.iter().zip(CORNERS) {
                    for k in 0..3 {
                        let off = f64::from(corner[k]) - middle[k] - f64::from(step) * signs[k];
                        assert!(off.abs() < 2e-7, "{batch}: corner of {s} is {off} off");
                    }
                }
            }
            let about_points_on_the_surface = (0..n_stencils).filter(|s| s * chunk.n_with_target / n_stencils < on);
            let expected = n_stencils as f64 / 2.0;
            assert!(
                (about_points_on_the_surface.count() as f64 - expected).abs() <= 1.0,
                "stencils are centred on points of all kinds"
            );
            (n, n_with_target) = (n + chunk.n, n_with_target + chunk.n_with_target);
        }
        assert_eq!(n, batch);
        // Together the chunks' points fill the cube evenly, with equal counts in every octant.
        let mut counts = [0i32; 8];
        in_cube.iter().for_each(|point| counts[(0..3).map(|k| usize::from(point[k] >= 0.5) << k).sum::<usize>()] += 1);
        let each = in_cube.len() as i32 / 8;
        assert!(counts.iter().all(|count| (count - each).abs() <= 2), "{batch}: {counts:?}");
    }
}

fn the_reported_loss_is_that_of_both(device: &Device) {
    let settings = ["train.batch_samples=512", "sdf.eikonal_weight=0.3", "sdf.eikonal_step=0.01"];
    let mut trainer = trainer(device, &configured(&settings), crate::shapes::torus(12));
    let begun = Instant::now();
    trainer.advance().unwrap();
    let [mut by_targets, mut by_stencils] = [0.0, 0.0];
    for chunk in trainer.chunks() {
        let output = to_f64(&chunk.output.download().unwrap());
        let target = to_f64(&chunk.target.download().unwrap());
        let mape = |s: usize| (output[s] - target[s]).abs() / (target[s].abs() + 0.01);
        by_targets += (0..chunk.n_with_target).map(mape).sum::<f64>() / 384.0;
        let stencils = output[chunk.n_with_target..chunk.n].chunks(4);
        by_stencils += stencils.map(|f| stencil_loss(f, 0.01)).sum::<f64>() / 32.0;
    }
    assert!((0.9..=1.0).contains(&by_stencils), "a new field is almost flat: {by_stencils}");
    let report = trainer.report(begun).unwrap().unwrap();
    assert_close("loss", &[report.loss], &[by_targets + 0.3 * by_stencils], 1e-5);
}

/// Here gradients with respect to the values would be in the thousands, and fp16 could not represent a scaled one.
fn a_heavy_term_leaves_the_field_finite(device: &Device) {
    let settings = ["train.batch_samples=256", "sdf.eikonal_weight=100"];
    let mut trainer = trainer(device, &configured(&settings), crate::shapes::torus(12));
    for _ in 0..10 {
        trainer.advance().unwrap();
    }
    assert!(distances(&trainer.predictor().unwrap(), &[[0.5; 3], [0.1, 0.2, 0.3]]).is_ok());
}

/// Returns the mean | |∇f| − 1 | on a cube's faces after a short training of a dense grid with this weight.
fn error_with(weight: f64) -> f64 {
    let settings =
        ["model.name=dense", "model.grid.base_resolution=32", "train.batch_samples=4096", "train.max_steps=300"];
    let mut config = Config::of_sdf(true);
    settings.iter().try_for_each(|assignment| config.set(assignment)).unwrap();
    config.sdf.eikonal_weight = weight;
    let mut trainer = trainer(&crate::common::host(), &config, crate::shapes::cube(2));
    for _ in 0..config.train.max_steps {
        trainer.advance().unwrap();
    }
    let score = eikonal_score(&trainer.predictor().unwrap(), &trainer.data().target).unwrap();
    score.eikonal_error_on_surface
}

#[test]
fn gradients_come_closer_to_length_1() {
    let [without, with] = [0.0, 0.3].map(error_with);
    println!("off by {without:.4} without the term and by {with:.4} with it");
    assert!(with < 0.4 * without, "it was 0.088 with the term and 0.400 without");
}
