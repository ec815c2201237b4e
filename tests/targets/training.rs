//! Whole training steps: host code and kernels together, as a GPU runs them.

use std::path::Path;

use gridfield::config::{Config, GridConfig};
use gridfield::device::Device;
use gridfield::radiance::{Photographs, Statistics, Trainer};
use gridfield::scene::Scene;

use crate::common::{cuda, emulated, host};

const STEPS: u64 = 30;

/// A small field in training on small photographs; statistics of the last ten steps.
fn train(device: &Device) -> Statistics {
    let scene = Scene::open(Path::new("scenes/orrery")).unwrap();
    let mut config = Config::default();
    config.model.grid = GridConfig { n_levels: 4, log2_hashmap_size: 12, ..GridConfig::default() };
    config.march.occupancy_resolution = 32;
    config.march.max_samples_per_ray = 128;
    config.train.batch_samples = 2048;
    config.train.max_steps = STEPS;
    let photographs = Photographs::load(device, &scene.splits.train, 8, &scene.unit_cube, &|_, _| {}).unwrap();
    let mut trainer = Trainer::new(device, &config, &scene, photographs).unwrap();
    for step in 0..STEPS {
        if step == STEPS - 10 {
            trainer.read_statistics().unwrap();
            trainer.report = Statistics::default();
        }
        trainer.step().unwrap();
    }
    trainer.read_statistics().unwrap();
    trainer.report
}

/// Targets draw the same rays, but round otherwise and end their rays' rounds elsewhere; over tens of steps the ways part
/// a little, and the loss stays close.
#[test]
fn training_goes_the_same_way_on_every_target() {
    let reference = train(&host());
    assert!(reference.psnr() > 12.0, "the field takes shape: {} dB", reference.psnr());
    compare("emulated", &train(&emulated()), &reference);
    if let Some(device) = cuda() {
        compare("cuda", &train(device), &reference);
    }
}

fn compare(target: &str, found: &Statistics, reference: &Statistics) {
    eprintln!("{target}: {found:?}, {} dB; host: {reference:?}, {} dB", found.psnr(), reference.psnr());
    assert!((found.psnr() - reference.psnr()).abs() < 0.3);
    assert!((found.samples as f64 / reference.samples as f64 - 1.0).abs() < 0.1);
}
