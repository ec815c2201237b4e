//! What a training step on a GPU does, counted on the emulated GPU: `cargo bench --features counters -- emulated`.
//!
//! A field is trained on the CPU with the settings of a GPU, and one step on the emulated GPU is counted, launch by
//! launch: bytes and sectors of global memory, atomic additions and how many of them meet, barriers, and how many lanes
//! of a warp work at a time. Further arguments are settings, `KEY=VALUE`, and `steps=N`, the number of steps on the CPU.
//! Caches are not modelled: a sector counts as often as requests of warps touch it, wherever it comes from.

use std::path::PathBuf;

use gridfield::config::{Config, Preset};
use gridfield::device::{Counts, Device, DeviceChoice, Order, counters};
use gridfield::radiance::{Trainer, TrainingImages};
use gridfield::scene::Scene;
use gridfield::train::Task as _;
use gridfield::{Error, Result};

/// Training steps on the CPU, so that the occupancy grid has found the surfaces.
const WARM_UP: u64 = 250;

/// Launches of one kernel.
struct Row {
    kernel: &'static str,
    launches: u64,
    counts: Counts,
}

/// Counts a step on a scene with the settings of the arguments.
pub fn run(arguments: &[String], scene: PathBuf) -> Result<()> {
    let mut config = Preset::Blender.over(Config::default(), None);
    let mut warm_up = WARM_UP;
    for argument in arguments {
        match argument.strip_prefix("steps=") {
            Some(steps) => {
                warm_up = steps.parse().map_err(|_| Error::config(format!("steps={steps} is not a number")))?;
            }
            None => config.set(argument)?,
        }
    }
    config.validate()?;
    let scene = Scene::open(scene)?;
    let load = |device: &Device| {
        TrainingImages::load(device, &scene.splits.train, config.scene.downscale, &scene.unit_cube, &|_, _| {})
    };
    let cpu = Device::open(DeviceChoice::Cpu, 0)?;
    let mut trained = Trainer::new(&cpu, &config, &scene, load(&cpu)?)?;
    for _ in 0..warm_up {
        trained.train_step()?;
    }
    let gpu = Device::emulated(Order::Forward);
    let mut trainer = Trainer::resume(&gpu, &trained.checkpoint()?, &scene, load(&gpu)?)?;
    drop(trained);
    trainer.train_step()?;
    trainer.read_statistics()?;
    trainer.report = Default::default();
    let (step, launches) = counters::count(|| trainer.train_step());
    step?;
    trainer.read_statistics()?;

    let report = &trainer.report;
    println!(
        "{}, {}: step {} on {}, {} rays, {} samples asked for, {:.2} to each composited",
        config.model.name.as_str(),
        scene.name,
        trainer.progress().step,
        gpu.describe(),
        report.rays,
        report.samples,
        report.asked_per_composited()
    );
    let mut rows: Vec<Row> = Vec::new();
    let mut all = Row { kernel: "all", launches: 0, counts: Counts::default() };
    for (kernel, counts) in launches {
        all.add(&counts);
        match rows.iter_mut().find(|row| row.kernel == kernel) {
            Some(row) => row.add(&counts),
            None => rows.push(Row { kernel, launches: 1, counts }),
        }
    }
    println!(
        "{:<24} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>8} {:>6} {:>6} {:>9} {:>6}",
        "kernel",
        "launches",
        "blocks",
        "read MB",
        "write MB",
        "read sec.",
        "write sec",
        "adds k",
        "warp",
        "block",
        "barriers",
        "lanes"
    );
    rows.iter().chain([&all]).for_each(Row::print);
    println!(
        "read, write: requested bytes; sec.: MB in sectors of 32 bytes; adds: atomic additions, and the shares of them to \
         an address that the same request of the warp, or the same block, has added to; barriers: of blocks; lanes: of \
         32, at work in a basic block of code"
    );
    Ok(())
}

impl Row {
    fn add(&mut self, counts: &Counts) {
        self.launches += 1;
        let sum = &mut self.counts;
        sum.blocks += counts.blocks;
        sum.bytes_read += counts.bytes_read;
        sum.bytes_written += counts.bytes_written;
        sum.bytes_added += counts.bytes_added;
        sum.sectors_read += counts.sectors_read;
        sum.sectors_written += counts.sectors_written;
        sum.additions += counts.additions;
        sum.collide_in_warp += counts.collide_in_warp;
        sum.collide_in_block += counts.collide_in_block;
        sum.block_barriers += counts.block_barriers;
        sum.warp_barriers += counts.warp_barriers;
        sum.warp_steps += counts.warp_steps;
        sum.lane_steps += counts.lane_steps;
    }

    fn print(&self) {
        let c = &self.counts;
        let mb = |bytes: u64| bytes as f64 * 1e-6;
        let share = |part: u64| 100.0 * part as f64 / c.additions.max(1) as f64;
        println!(
            "{:<24} {:>8} {:>8} {:>8.1} {:>8.1} {:>9.1} {:>9.1} {:>8.1} {:>5.0}% {:>5.0}% {:>9} {:>6.1}",
            self.kernel,
            self.launches,
            c.blocks,
            mb(c.bytes_read),
            mb(c.bytes_written),
            mb(32 * c.sectors_read),
            mb(32 * c.sectors_written),
            c.additions as f64 * 1e-3,
            share(c.collide_in_warp),
            share(c.collide_in_block),
            c.block_barriers,
            c.lane_steps as f64 / c.warp_steps.max(1) as f64
        );
    }
}
