//! Cost of a training step, stage by stage, compared with the peak throughput of the machine.
//!
//! `cargo bench` trains the hash grid and MulFAGrid for some steps on lego (or on the bundled scene if lego is
//! missing) with the preset of rendered objects, then profiles further steps: the CPU time of every kernel per sample,
//! and the throughput of whole steps with one thread and with all threads. `GRIDFIELD_DATA` names the folder that holds
//! `blender/lego`.
//!
//! `cargo bench -- [cuda] [json=FILE] [models=NAME,NAME] [KEY=VALUE ...]` measures a GPU, also writes the figures as
//! JSON, and measures other models of the family or another configuration.
//!
//! `cargo bench -- compare FIRST SECOND` trains with two configurations by turns in one process, and prints how many
//! times as fast the second is: see `compare.rs`.
//!
//! `cargo bench --features counters -- emulated [KEY=VALUE ...]` counts what a step on a GPU does: see `emulated.rs`.

#[path = "stages/compare.rs"]
mod compare;
#[cfg(feature = "counters")]
#[path = "stages/emulated.rs"]
mod emulated;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gridfield::config::{Config, Preset};
use gridfield::decoder::{Decoder, Head};
use gridfield::device::args::{ROOFLINE_CHAINS, RooflineArgs};
use gridfield::device::{Device, DeviceChoice, LaunchDims, Profile, kernels};
use gridfield::radiance::{Trainer, TrainingImages};
use gridfield::scene::Scene;
use gridfield::train::Task as _;
use gridfield::{Error, Result};

/// Training steps before the measurement, so that the occupancy grid has found the surfaces.
const WARM_UP: u64 = 500;
const MEASURED: u64 = 40;

fn main() {
    if let Err(error) = run() {
        eprintln!("stages: {error}");
        std::process::exit(2);
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let Some(first) = arguments.iter().position(|argument| argument == "compare") {
        return compare::run(&arguments[first + 1..], scene_folder());
    }
    if let Some(first) = arguments.iter().position(|argument| argument == "emulated") {
        #[cfg(feature = "counters")]
        return emulated::run(&arguments[first + 1..], scene_folder());
        #[cfg(not(feature = "counters"))]
        return Err(Error::config(format!("{} needs --features counters", arguments[first])));
    }
    let cuda = arguments.iter().any(|argument| argument == "cuda");
    let (base, choice) =
        if cuda { (Config::default(), DeviceChoice::Cuda) } else { (Config::on_cpu(), DeviceChoice::Cpu) };
    let base = Preset::Blender.over(base, None);
    let (mut json, mut models, mut settings) = (None, "hash,mulfagrid", Vec::new());
    for argument in arguments.iter().filter(|argument| *argument != "cuda") {
        match argument.split_once('=') {
            Some(("json", file)) => json = Some(PathBuf::from(file)),
            Some(("models", names)) => models = names,
            _ => settings.push(argument),
        }
    }
    let configured = |model: &str| -> Result<Config> {
        let mut config = base.clone();
        config.set(&format!("model.name={model}"))?;
        settings.iter().try_for_each(|setting| config.set(setting))?;
        config.validate()?;
        Ok(config)
    };
    let configs = models.split(',').map(configured).collect::<Result<Vec<Config>>>()?;
    let scene = Scene::open(scene_folder())?;
    let (one, all) = (Device::open(choice, 1)?, Device::open(choice, 0)?);
    println!("{} on {}, {} samples a step", all.describe(), scene.name, configs[0].train.batch_samples);
    let roofline = Roofline::measure(&one)?;
    println!(
        "roofline of {}: {:.0} GFLOP/s fused multiply-add in fp32, {:.1} GB/s copied, {:.0} M gathers/s of 16 bytes from \
         64 MiB",
        one.describe(),
        roofline.flops * 1e-9,
        roofline.bytes * 1e-9,
        roofline.gathers * 1e-6
    );
    let devices = if all.n_workers() > 1 { vec![one, all] } else { vec![one] };
    let mut measured = Vec::new();
    for config in &configs {
        let first = measured.len();
        for device in &devices {
            let profile = Arc::new(Profile::default());
            let device = device.profiled(profile.clone());
            let training_images = TrainingImages::load(
                &device,
                &scene.splits.train,
                config.scene.downscale,
                &scene.unit_cube,
                &|_, _| {},
            )?;
            let mut trainer = Trainer::new(&device, config, &scene, training_images)?;
            measured.push(measure(&mut trainer, &device, &profile, config, &roofline)?);
        }
        if let [one, all] = &measured[first..] {
            println!(
                "\n{} threads against 1: {:.2}x",
                devices[1].n_workers(),
                all.samples_per_second / one.samples_per_second
            );
        }
    }
    for of_model in measured.chunks(devices.len()).skip(1) {
        for (of_model, of_first) in of_model.iter().zip(&measured) {
            let ratio = of_first.samples_per_second / of_model.samples_per_second;
            println!("a sample of {} costs {ratio:.2} of {}, {}", of_model.model, of_first.model, of_first.device);
        }
    }
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&measured).expect("numbers and names");
        std::fs::write(&file, text).map_err(|error| Error::file(&file, error.to_string()))?;
    }
    Ok(())
}

/// Measurements of one model on one device.
#[derive(serde::Serialize)]
struct Measured {
    model: &'static str,
    device: String,
    samples_per_second: f64,
    samples_per_step: f64,
    milliseconds_per_step: f64,
    /// Number of samples at which the field was evaluated, per composited sample.
    asked_per_composited: f64,
    /// Keyed by stage.
    nanoseconds_per_sample: BTreeMap<&'static str, f64>,
}

fn scene_folder() -> PathBuf {
    // Cargo runs benchmarks in the project's folder; a packaged one finds the scene in its own folder.
    let project = PathBuf::from(".");
    let data = std::env::var_os("GRIDFIELD_DATA").map_or_else(|| project.join("../shared/data"), PathBuf::from);
    let lego = data.join("blender/lego");
    if lego.is_dir() { lego } else { project.join("scenes/orrery") }
}

/// Trains, prints the cost of each stage and returns the measurements.
fn measure(
    trainer: &mut Trainer,
    device: &Device,
    profile: &Profile,
    config: &Config,
    roofline: &Roofline,
) -> Result<Measured> {
    for _ in 0..WARM_UP {
        trainer.train_step()?;
    }
    trainer.read_statistics()?;
    trainer.report = Default::default();
    profile.take()?;
    let begun = device.record_event()?;
    for _ in 0..MEASURED {
        trainer.train_step()?;
    }
    let seconds = device.record_event()?.seconds_since(&begun)?;
    trainer.read_statistics()?;
    let samples = trainer.report.samples as f64;
    let times = profile.take()?;
    let ns = |kernel: &str| times.get(kernel).map_or(0.0, |time| time.time.as_secs_f64() * 1e9 / samples);
    let per_step = samples / MEASURED as f64;
    trainer.encode_again()?;
    // On the host, a grid with a fixed kernel function is encoded inside the field's kernel, so the encoding is timed
    // by running it once more on its own.
    let fused =
        profile.take()?.get("encode_samples").map_or(Duration::ZERO, |time| time.time).as_secs_f64() * 1e9 / per_step;

    let grid = gridfield::encoding::Grid::new(&config.model.grid, 3);
    let learned = grid.mulfa.as_ref().map(|mulfa| {
        let of = |way: &str| {
            times.keys().filter(|name| name.starts_with("mulfa_") && name.contains(way)).map(|n| ns(n)).sum()
        };
        let (forward, backward): (f64, f64) = (of("encode"), of("backward"));
        (forward, backward, mulfa.flops())
    });
    let encode = fused + ns("encode_levels") + learned.map_or(0.0, |(forward, ..)| forward);
    let (forward_flops, step_flops) = Decoder::new(&config.model, Head::Radiance, grid.n_features()).flops();
    let corners = (8 * grid.levels.len()) as f64;
    let suffix = if ns("field_forward_64") > 0.0 { "64" } else { "128" };
    let (forward, backward) = (ns(&format!("field_forward_{suffix}")), ns(&format!("field_backward_{suffix}")));
    let network = (forward - fused).max(1e-3);
    let total: f64 = times.values().map(|time| time.time.as_secs_f64() * 1e9 / samples).sum();
    let n_parameters = grid.n_parameters() as f64;

    println!(
        "\n{}, {}: {:.3} M samples/s in whole steps of {per_step:.0} samples, {:.2} ms each",
        config.model.name.as_str(),
        device.describe(),
        samples / seconds * 1e-6,
        1e3 * seconds / MEASURED as f64
    );
    let asked = trainer.report.asked_per_composited();
    println!("{:.1} samples a ray asked for, {asked:.2} to each composited", samples / trainer.report.rays as f64);
    println!("{:<24} {:>12} {:>7}   against the ceiling", "stage", "ns/sample", "share");
    let mut stages = BTreeMap::new();
    let mut row = |stage: &'static str, ns: f64, ceiling: String| {
        println!("{stage:<24} {ns:>12.3} {:>6.1}%   {ceiling}", 100.0 * ns / total);
        stages.insert(stage, ns);
    };
    let share =
        |rate: f64, of: f64, unit: &str, scale: f64| format!("{:.1} {unit}, {:.0}%", rate * scale, 100.0 * rate / of);
    row("draw rays", ns("draw_rays"), String::new());
    row("march", ns("march_rays"), String::new());
    row("encode", encode, share(corners / encode * 1e9, roofline.gathers, "M gathers/s", 1e-6));
    row("networks forward", network, share(forward_flops as f64 / network * 1e9, roofline.flops, "GFLOP/s", 1e-9));
    row("composite", ns("composite_rays"), String::new());
    row("loss and composite back", ns("composite_backward"), String::new());
    let backward_flops = (step_flops - forward_flops) as f64;
    row("networks backward", backward, share(backward_flops / backward * 1e9, roofline.flops, "GFLOP/s", 1e-9));
    let both = network + backward;
    row("  both ways", both, share(step_flops as f64 / both * 1e9, roofline.flops, "GFLOP/s", 1e-9));
    if let Some((forward, backward, (forward_flops, step_flops))) = learned {
        let rate = |flops: usize, ns: f64| share(flops as f64 / ns * 1e9, roofline.flops, "GFLOP/s", 1e-9);
        row("  kernel function", forward, rate(forward_flops, forward));
        row("kernel function back", backward, rate(step_flops - forward_flops, backward));
    }
    let scatter = ns("grid_scatter");
    row("scatter", scatter, share(corners / scatter * 1e9, roofline.gathers, "M adds/s", 1e-6));
    // The value, the gradient and both moments are read and written.
    let adam = ns("adam");
    row("Adam", adam, share(8.0 * 4.0 * n_parameters / per_step / adam * 1e9, roofline.bytes, "GB/s if all", 1e-9));
    let occupancy: f64 = times.keys().filter(|name| name.starts_with("occupancy")).map(|name| ns(name)).sum();
    row("occupancy", occupancy, String::new());
    row("all kernels", total, String::new());
    Ok(Measured {
        model: config.model.name.as_str(),
        device: device.describe(),
        samples_per_second: samples / seconds,
        samples_per_step: per_step,
        milliseconds_per_step: 1e3 * seconds / MEASURED as f64,
        asked_per_composited: asked,
        nanoseconds_per_sample: stages,
    })
}

/// Peak throughput of one thread, or of a GPU.
struct Roofline {
    /// Floating-point operations per second.
    flops: f64,
    /// Bytes copied per second, counting both reads and writes.
    bytes: f64,
    /// Gathers per second.
    gathers: f64,
}

impl Roofline {
    fn measure(device: &Device) -> Result<Self> {
        let n_groups = 1 << 22;
        let input = device.upload(&vec![0.5f32; 4 * n_groups])?;
        let (output, lanes) = (device.zeros::<f32>(4 * n_groups)?, device.zeros::<u32>(1)?);
        let args = |turns: usize| RooflineArgs {
            input: input.ptr(),
            output: output.ptr(),
            lanes: lanes.ptr(),
            turns: turns as u32,
            n_groups: n_groups as u32,
        };
        let best = |work: &dyn Fn() -> Result<()>| -> Result<f64> {
            let mut best = f64::INFINITY;
            for _ in 0..7 {
                let begun = device.record_event()?;
                work()?;
                best = best.min(device.record_event()?.seconds_since(&begun)?);
            }
            Ok(best)
        };
        // Enough work to fill the device: a GPU runs some hundred thousand threads at a time.
        let (items, turns, gathers) = if device.is_host() { (1000, 10_000, 5000) } else { (1 << 20, 1000, 1 << 20) };
        let fma = best(&|| device.launch(&kernels::ROOFLINE_FMA, &args(turns), LaunchDims::items(items)))?;
        let width = f64::from(lanes.download()?[0].max(1));
        let copy = best(&|| device.launch(&kernels::ROOFLINE_COPY, &args(0), LaunchDims::items(n_groups)))?;
        let gather = best(&|| device.launch(&kernels::ROOFLINE_GATHER, &args(1000), LaunchDims::items(gathers)))?;
        Ok(Roofline {
            flops: 2.0 * width * (ROOFLINE_CHAINS * items * turns) as f64 / fma,
            bytes: 2.0 * 16.0 * n_groups as f64 / copy,
            gathers: 1e3 * gathers as f64 / gather,
        })
    }
}
