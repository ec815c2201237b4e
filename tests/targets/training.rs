//! Whole training steps: host code and kernels together, as they run on a GPU.

use std::path::Path;

use gridfield::config::{Config, GridConfig};
use gridfield::device::Device;
use gridfield::encoding::Grid;
use gridfield::radiance::{Statistics, Trainer, TrainingImages};
use gridfield::scene::Scene;
use gridfield::train::Task as _;

use crate::common::{cuda, emulated, host};

const STEPS: u64 = 30;

/// Initial features are within ±1e-4; a feature beyond this value has learned.
const LEARNED: f32 = 1e-3;

/// Trains a small field on small training images; returns the statistics of the last ten steps, and the share of the
/// features that have learned.
fn train(device: &Device) -> (Statistics, f64) {
    let scene = Scene::open(Path::new("scenes/orrery")).unwrap();
    let mut config = Config::default();
    config.model.grid = GridConfig { n_levels: 4, log2_hashmap_size: 12, ..GridConfig::default() };
    config.march.occupancy_resolution = 32;
    config.march.max_samples_per_ray = 128;
    config.train.batch_samples = 2048;
    config.train.max_steps = STEPS;
    let training_images = TrainingImages::load(device, &scene.splits.train, 8, &scene.unit_cube, &|_, _| {}).unwrap();
    let mut trainer = Trainer::new(device, &config, &scene, training_images).unwrap();
    for step in 0..STEPS {
        if step == STEPS - 10 {
            trainer.read_statistics().unwrap();
            trainer.report = Statistics::default();
        }
        trainer.train_step().unwrap();
    }
    trainer.read_statistics().unwrap();
    let report = std::mem::take(&mut trainer.report);
    let checkpoint = trainer.checkpoint().unwrap();
    let grid = Grid::new(&config.model.grid, 3);
    let shape = [grid.n_entries(), grid.n_features_per_level as usize];
    let features: &[f32] = checkpoint.get("grid.features", &shape).unwrap();
    let learned = features.iter().filter(|feature| feature.abs() > LEARNED).count();
    (report, learned as f64 / features.len() as f64)
}

/// Targets draw the same rays but round differently; over tens of steps the results diverge slightly, and the loss
/// stays close.
#[test]
fn training_goes_the_same_way_on_every_target() {
    let reference = train(&host());
    assert!(reference.0.psnr() > 12.0, "the field takes shape: {} dB", reference.0.psnr());
    assert!(reference.1 > 0.3, "the grid learns: {} of its features", reference.1);
    compare("emulated", &train(&emulated()), &reference);
    if let Some(device) = cuda() {
        compare("cuda", &train(device), &reference);
    }
}

fn compare(target: &str, (found, learned): &(Statistics, f64), (reference, expected): &(Statistics, f64)) {
    eprintln!(
        "{target}: {found:?}, {} dB, {learned}; host: {reference:?}, {} dB, {expected}",
        found.psnr(),
        reference.psnr()
    );
    assert!((learned / expected - 1.0).abs() < 0.1, "the share of features that have learned differs");
    assert!((found.psnr() - reference.psnr()).abs() < 0.3);
    assert!((found.samples as f64 / reference.samples as f64 - 1.0).abs() < 0.1);
}
