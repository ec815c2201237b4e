//! Training by several ranks: sums in the order of the ranks, the same field on all of them, and the steps of a larger
//! batch, which batches that one rank accumulates give too.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::common::Random;
use crate::rank_threads::on_ranks;
use crate::shapes::torus;
use gridfield::checkpoint::Checkpoint;
use gridfield::config::Config;
use gridfield::device::{Device, DeviceChoice};
use gridfield::fit::FitTrainer;
use gridfield::image_field::{Image, ImageData};
use gridfield::radiance::{Trainer, TrainingImages, open_scene};
use gridfield::ranks::Ranks;
use gridfield::sdf::{DistanceData, Target};
use gridfield::train::event::TrainEvent;
use gridfield::train::session::train;
use gridfield::train::{Run, RunControl, Task, follow, lead};

const ORRERY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenes/orrery");
const STEPS: usize = 20;

fn device() -> Device {
    Device::open(DeviceChoice::Cpu, 1).unwrap()
}

#[test]
fn sums_are_in_the_order_of_the_ranks() {
    // More than is exchanged at a time, and no multiple of the number of ranks.
    let n = 2_500_003;
    for size in [2, 3, 4] {
        let own = |rank: usize| Random::new(rank as u64).f32s(n, -1.0, 1.0);
        let mut expected = own(0);
        for rank in 1..size {
            expected.iter_mut().zip(own(rank)).for_each(|(sum, value)| *sum += value);
        }
        let sums = on_ranks(size, |ranks| {
            let mut values = device().upload(&own(ranks.rank())).unwrap();
            ranks.sum(&mut values).unwrap();
            assert_eq!(ranks.bytes_sent(), ranks.bytes_of_sum(n));
            values.download().unwrap()
        });
        for (rank, sum) in sums.iter().enumerate() {
            let differs = sum.iter().zip(&expected).position(|(found, expected)| found.to_bits() != expected.to_bits());
            assert_eq!(differs, None, "rank {rank} of {size}");
        }
    }
}

#[test]
fn every_rank_gets_maxima_and_counts() {
    let found = on_ranks(3, |ranks| {
        let rank = ranks.rank();
        let mut values = device().upload(&[rank as f32, -(rank as f32), 0.5]).unwrap();
        ranks.max(&mut values).unwrap();
        (values.download().unwrap(), ranks.sum_counts([rank as u64, 1 << 40]), ranks.sum_numbers([0.5, -1.0]))
    });
    for of_rank in found {
        assert_eq!(of_rank, (vec![2.0, 0.0, 0.5], [3, 3 << 40], [1.5, -3.0]));
    }
}

#[test]
fn a_rank_alone_sends_nothing() {
    let found = on_ranks(1, |ranks| {
        let mut values = device().upload(&[1.5f32]).unwrap();
        ranks.sum(&mut values).unwrap();
        ranks.agree("configuration", &"one").unwrap();
        (values.download().unwrap(), ranks.bytes_sent(), ranks.is_alone())
    });
    assert_eq!(found, [(vec![1.5], 0, true)]);
}

#[test]
fn the_rank_that_differs_is_named_on_all_ranks() {
    let told = on_ranks(3, |ranks| {
        let version = if ranks.rank() == 2 { "0.3.0" } else { "0.2.0" };
        ranks.agree("seed", &7).unwrap();
        ranks.agree("version", &version).unwrap_err().to_string()
    });
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
    assert!(told[0].starts_with("rank 2 has another version than rank 0 (0.3.0 instead of 0.2.0);"), "{}", told[0]);
}

/// Settings that make a step of a radiance field take milliseconds.
const RADIANCE: [&str; 7] = [
    "scene.downscale=8",
    "train.batch_samples=2048",
    "model.grid.n_levels=4",
    "model.grid.log2_hashmap_size=12",
    "march.occupancy_resolution=32",
    "train.exposure=true",
    "train.refine_cameras=true",
];

fn radiance(settings: &[&str]) -> Config {
    let mut config = Config::on_cpu();
    config.set_value("scene.path", ORRERY).unwrap();
    RADIANCE.iter().chain(settings).try_for_each(|assignment| config.set(assignment)).unwrap();
    config.validate().unwrap();
    config
}

/// Returns a trainer of a radiance field, from its start or from a checkpoint.
fn trainer(config: &Config, ranks: &Ranks, checkpoint: Option<&Checkpoint>) -> gridfield::Result<Trainer> {
    let (device, scene) = (device(), open_scene(&config.scene).unwrap());
    let images = TrainingImages::of_scene(&device, &scene, config, &|_, _| {}).unwrap();
    let trainer = match checkpoint {
        Some(checkpoint) => Trainer::resume(&device, checkpoint, &scene, images)?,
        None => Trainer::new(&device, config, &scene, images)?,
    };
    trainer.among(ranks)
}

/// What a rank holds after each step, and at the end.
#[derive(Clone, Debug, PartialEq)]
struct Course {
    /// Hash of the parameters, after each step.
    digests: Vec<u64>,
    /// Loss of each step, the sum over all ranks.
    losses: Vec<f64>,
    /// Learned features at the end.
    features: Vec<f32>,
    /// Bytes sent in the steps.
    sent: u64,
}

/// Takes some steps with a task that reads its loss after each.
fn course<T: Task>(task: &mut T, digest: impl Fn(&T) -> u64, ranks: &Ranks) -> Course {
    let before = ranks.bytes_sent();
    let (mut digests, mut losses, mut total) = (Vec::new(), Vec::new(), 0.0);
    for _ in 0..STEPS {
        task.advance().unwrap();
        digests.push(digest(task));
        losses.push(task.summed_loss() - total);
        total = task.summed_loss();
    }
    let sent = ranks.bytes_sent() - before;
    let checkpoint = task.checkpoint().unwrap();
    let features = checkpoint.tensors.iter().find(|tensor| tensor.name == "grid.features").unwrap();
    let gridfield::checkpoint::TensorData::F32(features) = &features.data else { panic!("features are fp32") };
    Course { digests, losses, features: features.to_vec(), sent }
}

fn radiance_course(config: &Config, ranks: &Ranks) -> Course {
    course(&mut trainer(config, ranks, None).unwrap(), |trainer| trainer.digest().unwrap(), ranks)
}

fn image_course(config: &Config, ranks: &Ranks) -> Course {
    let device = device();
    let image = Arc::new(Image::read(Path::new(&format!("{ORRERY}/test/r_0.png"))).unwrap());
    let data = ImageData::new(&device, config, "image", image).unwrap();
    let mut trainer = FitTrainer::new(&device, config, data).unwrap().among(ranks).unwrap();
    course(&mut trainer, |trainer| trainer.digest().unwrap(), ranks)
}

fn distance_course(config: &Config, ranks: &Ranks) -> Course {
    let device = device();
    let target = Target::new(&device, torus(24)).unwrap();
    let data = DistanceData::new(config, "torus", target);
    let mut trainer = FitTrainer::new(&device, config, data).unwrap().among(ranks).unwrap();
    course(&mut trainer, |trainer| trainer.digest().unwrap(), ranks)
}

/// Trains with several batches a step, on one rank or several, twice, and with one batch as large as these together.
/// `config` takes the samples of a batch.
fn assert_batches_are_a_larger_batch(
    name: &str,
    config: &(dyn Fn(u32) -> Config + Sync),
    train: &(dyn Fn(&Config, &Ranks) -> Course + Sync),
    within: Within,
) {
    const SAMPLES: u32 = 2048;
    for (size, accumulate) in [(2, 1), (4, 1), (1, 2), (2, 2)] {
        let name = format!("{name}, {size} ranks with {accumulate} batches");
        let mut several = config(SAMPLES);
        several.train.accumulate = accumulate;
        let together = || on_ranks(size, |ranks| train(&several, ranks));
        let [first, second] = [together(), together()];
        assert!(first == second, "{name}: other bits in the second run");
        for of_rank in &first {
            assert_eq!(of_rank.digests, first[0].digests, "{name}: ranks hold the same parameters after each step");
            assert_eq!(of_rank.losses, first[0].losses, "{name}: ranks know the same loss");
        }
        let whole = train(&config(size as u32 * accumulate * SAMPLES), &Ranks::alone());
        let found = &first[0];
        let far = |found: &[f64], expected: &[f64]| {
            let rms = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
            let difference = rms(&mut found.iter().zip(expected).map(|(found, expected)| found - expected));
            difference / rms(&mut expected.iter().copied())
        };
        let [found_features, features] =
            [found, &whole].map(|course| course.features.iter().map(|&x| f64::from(x)).collect::<Vec<_>>());
        let first = far(&found.losses[..FIRST], &whole.losses[..FIRST]);
        let (losses, features) = (far(&found.losses, &whole.losses), far(&found_features, &features));
        eprintln!("{name}: losses differ by {first:.1e} and {losses:.1e}, features by {features:.1e}");
        assert!(first < 1e-6, "{name}: the first losses differ by {first}");
        assert!(losses < within.losses, "{name}: losses differ by {losses}");
        assert!(features < within.features, "{name}: features differ by {features}");
    }
}

/// Losses of the first steps differ by rounding alone.
const FIRST: usize = 4;

/// How far losses and features may be from those of one rank after all steps, relative to their root mean square. Adam's
/// step has the sign of the gradient, whose last bits depend on the order of its sum.
#[derive(Clone, Copy)]
struct Within {
    losses: f64,
    features: f64,
}

const SMOOTH: Within = Within { losses: 1e-6, features: 2e-3 };
/// The gradient of |f - d| jumps where a value crosses its target, and such a jump does not stay small.
const WITH_JUMPS: Within = Within { losses: 5e-3, features: 1.0 };

#[test]
fn batches_are_a_larger_batch_on_radiance_fields() {
    let config = |samples| radiance(&[&format!("train.batch_samples={samples}")]);
    assert_batches_are_a_larger_batch("radiance", &config, &radiance_course, SMOOTH);
}

#[test]
fn batches_are_a_larger_batch_on_images() {
    let config = |samples| {
        let mut config = Config::of_image(true);
        config.model.grid.log2_hashmap_size = 10;
        config.train.batch_samples = samples;
        config
    };
    assert_batches_are_a_larger_batch("image", &config, &image_course, SMOOTH);
}

#[test]
fn batches_are_a_larger_batch_on_distances() {
    for weight in ["0", "0.1"] {
        let config = |samples| {
            let mut config = Config::of_sdf(true);
            config.set(&format!("sdf.eikonal_weight={weight}")).unwrap();
            config.model.grid.log2_hashmap_size = 10;
            config.train.batch_samples = samples;
            config
        };
        assert_batches_are_a_larger_batch("distances", &config, &distance_course, WITH_JUMPS);
    }
}

/// The formula of docs/distributed.md.
#[test]
fn traffic_is_as_documented() {
    let n_cells = 32usize.pow(3);
    let config = radiance(&["model.name=mulfagrid", "train.refine_cameras=false"]);
    let scene = open_scene(&config.scene).unwrap();
    for size in [2, 3] {
        let courses = on_ranks(size, |ranks| {
            let mut trainer = trainer(&config, ranks, None).unwrap();
            // Both numbers change with the encoding: what is learned, and what its gradients are summed as.
            let sizes = trainer.summed_numbers();
            (course(&mut trainer, |_| 0, ranks).sent, sizes)
        });
        for (sent, gradients) in courses {
            let padded = (6 * scene.splits.train.len()).next_multiple_of(16);
            assert_eq!(gradients[gradients.len() - 1..], [padded], "exposures");
            let sum = |n: usize| 8 * (size as u64 - 1) * n.div_ceil(size) as u64;
            // Statistics after every step: two fp64 and four counts. The occupancy grid is updated at each of the
            // first steps, and rays are counted once more.
            let small = 8 * (size as u64 - 1);
            let step = gradients.iter().map(|&n| sum(n)).sum::<u64>() + 6 * small;
            let update = sum(n_cells) + small + 6 * small;
            assert_eq!(sent, STEPS as u64 * (step + update), "{size} ranks");
        }
    }
}

/// Trains until `stop_after` in the run's folder, from its newest checkpoint on, and returns that of the end.
fn run_to(config: &Config, folder: &Path, stop_after: u64, resumed: Option<&Path>) -> PathBuf {
    let paths = on_ranks(2, |ranks| {
        let checkpoint = resumed.map(|path| Checkpoint::read(path).unwrap());
        let mut trainer = trainer(config, ranks, checkpoint.as_ref()).unwrap();
        if !ranks.leads() {
            follow(&mut trainer, ranks).unwrap();
            return None;
        }
        let run = match resumed {
            Some(_) => Run::open(&folder.join("orrery/hash/run")).unwrap(),
            None => Run::create(folder, "orrery", Some("run"), config).unwrap(),
        };
        let control = RunControl { stop_after: Some(stop_after), interrupted: &AtomicBool::new(false) };
        let mut nobody = |_: &TrainEvent| Ok(());
        let ended = lead(&mut trainer, ranks, |task| train(task, &run, &config.train, &control, &mut nobody)).unwrap();
        Some(ended.checkpoint)
    });
    paths.into_iter().flatten().next().unwrap()
}

#[test]
fn ranks_resume_with_the_same_bits() {
    let config = radiance(&["train.max_steps=60", "train.save_every=20", "train.accumulate=2"]);
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let whole = run_to(&config, whole.path(), 60, None);
    // Between two updates of the occupancy grid, which are three steps apart by then.
    let stopped = run_to(&config, parts.path(), 52, None);
    let resumed = run_to(&config, parts.path(), 60, Some(&stopped));
    let [expected, found] = [&whole, &resumed].map(|path| Checkpoint::read(path).unwrap());
    assert_eq!(found.header.trainer, expected.header.trainer);
    for (found, expected) in found.tensors.iter().zip(&expected.tensors) {
        assert!(found == expected, "{} differs", found.name);
    }
    assert_eq!(found.tensors.len(), expected.tensors.len());
}

#[test]
fn ranks_that_differ_do_not_begin() {
    let refused = |different: &[&str], what: &str| {
        let told = on_ranks(3, |ranks| {
            let config = radiance(if ranks.rank() == 1 { different } else { &[] });
            trainer(&config, ranks, None).err().expect("ranks differ").to_string()
        });
        for text in told {
            assert!(text.starts_with(&format!("rank 1 has another {what} than rank 0")), "{text}");
        }
    };
    refused(&["train.seed=1"], "`train.seed`");
    refused(&["scene.downscale=4"], "`scene.downscale`");
    let checkpoint = tempfile::tempdir().unwrap();
    let config = radiance(&["train.max_steps=3"]);
    let checkpoint = run_to(&config, checkpoint.path(), 3, None);
    let checkpoint = Checkpoint::read(&checkpoint).unwrap();
    let told = on_ranks(2, |ranks| {
        let from = (ranks.rank() == 0).then_some(&checkpoint);
        trainer(&config, ranks, from).err().expect("ranks differ").to_string()
    });
    assert!(told[0].starts_with("rank 1 has another starting point than rank 0 (step 0,"), "{}", told[0]);
}
