//! Two configurations by turns: `cargo bench -- compare FIRST SECOND`.
//!
//! FIRST and SECOND are `default`, or settings separated by commas: `KEY=VALUE` of the configuration, `level=NAME` for
//! an instruction set level of the CPU (`v3`, `v4`, `v4_bf16`, `v4_amx_bf16`) and `threads=N`. Other programs on the machine slow down both alike
//! if the turns are short, so each turn gives a ratio, and the median over the turns is the result. The time of kernels
//! is the CPU time of all threads, which does not advance while another program has the core. Both configurations start
//! from the preset of rendered objects.

use std::path::PathBuf;
use std::sync::Arc;

use gridfield::config::{Config, Preset};
use gridfield::device::{Device, DeviceChoice, Profile};
use gridfield::radiance::{Trainer, TrainingImages};
use gridfield::scene::Scene;
use gridfield::train::Task as _;
use gridfield::{Error, Result};

/// Training steps before the first turn, so that the occupancy grid has found the surfaces.
const WARM_UP: u64 = 500;
const TURNS: usize = 15;
const STEPS_PER_TURN: u64 = 10;

/// A configuration in training.
struct Side {
    name: String,
    description: String,
    trainer: Trainer,
    device: Device,
    profile: Arc<Profile>,
}

/// Time of a turn per sample, in ns.
struct Turn {
    whole: f64,
    kernels: f64,
}

/// Compares the two configurations of the arguments on a scene.
pub fn run(arguments: &[String], scene: PathBuf) -> Result<()> {
    let [first, second] = arguments else {
        return Err(Error::config("compare takes two configurations, such as `default train.precision=bf16`"));
    };
    let scene = Scene::open(scene)?;
    let mut sides = [Side::new(first, &scene)?, Side::new(second, &scene)?];
    for side in &mut sides {
        println!("{}: {}", side.name, side.description);
        for _ in 0..WARM_UP {
            side.trainer.train_step()?;
        }
        side.turn()?;
    }
    let mut turns: [Vec<Turn>; 2] = Default::default();
    for _ in 0..TURNS {
        for (side, turns) in sides.iter_mut().zip(&mut turns) {
            turns.push(side.turn()?);
        }
    }
    println!("on {}, {TURNS} turns of {STEPS_PER_TURN} steps; median (least to most) over the turns", scene.name);
    let [first, second] = &turns;
    let row = |what: &str, of: fn(&Turn) -> f64| {
        for (side, turns) in sides.iter().zip(&turns) {
            println!("{what}, ns a sample, {}: {}", side.name, Spread::of(turns.iter().map(of)));
        }
        let ratios = first.iter().zip(second).map(|(first, second)| of(first) / of(second));
        println!("{what}, speed-up of {} over {}: {}", sides[1].name, sides[0].name, Spread::of(ratios));
    };
    row("whole steps", |turn| turn.whole);
    row("kernels", |turn| turn.kernels);
    Ok(())
}

impl Side {
    fn new(settings: &str, scene: &Scene) -> Result<Self> {
        let mut config = Preset::Blender.over(Config::on_cpu(), None);
        let (mut level, mut threads) = (None, 0);
        for setting in settings.split(',').filter(|&setting| setting != "default") {
            match setting.split_once('=') {
                Some(("level", name)) => level = Some(name),
                Some(("threads", n)) => {
                    threads = n.parse().map_err(|_| Error::config(format!("threads={n} is not a number")))?;
                }
                _ => config.set(setting)?,
            }
        }
        config.train.max_steps = WARM_UP + (TURNS as u64 + 1) * STEPS_PER_TURN;
        config.validate()?;
        let device = match (Device::open(DeviceChoice::Cpu, threads)?, level) {
            (Device::Cpu(cpu), Some(level)) => {
                let levels = [false, true].map(|bf16| cpu.at_every_level(bf16));
                let at_level = levels.into_iter().flatten().find(|cpu| cpu.level() == level);
                Device::Cpu(at_level.ok_or_else(|| Error::config(format!("this CPU has no level {level}")))?)
            }
            (device, _) => device,
        };
        let profile = Arc::new(Profile::default());
        let device = device.profiled(profile.clone());
        let images =
            TrainingImages::load(&device, &scene.splits.train, config.scene.downscale, &scene.unit_cube, &|_, _| {})?;
        let trainer = Trainer::new(&device, &config, scene, images)?;
        let description = device.with_precision(config.train.precision)?.describe();
        Ok(Side { name: settings.to_owned(), description, trainer, device, profile })
    }

    fn turn(&mut self) -> Result<Turn> {
        self.trainer.read_statistics()?;
        self.trainer.report = Default::default();
        self.profile.take()?;
        let begun = self.device.record_event()?;
        for _ in 0..STEPS_PER_TURN {
            self.trainer.train_step()?;
        }
        let seconds = self.device.record_event()?.seconds_since(&begun)?;
        self.trainer.read_statistics()?;
        let samples = self.trainer.report.samples as f64;
        let kernels: f64 = self.profile.take()?.values().map(|time| time.time.as_secs_f64()).sum();
        Ok(Turn { whole: seconds * 1e9 / samples, kernels: kernels * 1e9 / samples })
    }
}

/// Median and range of some numbers.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        Spread { median: numbers[numbers.len() / 2], least: numbers[0], most: numbers[numbers.len() - 1] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decimals = if self.median < 10.0 { 2 } else { 0 };
        write!(f, "{:.decimals$} ({:.decimals$} to {:.decimals$})", self.median, self.least, self.most)
    }
}
