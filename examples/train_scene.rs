//! Trains a radiance field with the library and measures it on the scene's test views.
//!
//! ```text
//! cargo run --release --example train_scene -- scenes/orrery 500
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use gridfield::config::Config;
use gridfield::device::{Device, DeviceChoice};
use gridfield::radiance::evaluate::{Summary, compare};
use gridfield::radiance::{Protocol, Trainer, TrainingImages, open_scene, plain_background, preset_for};
use gridfield::train::Task as _;
use gridfield::train::session::train_until;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "scenes/orrery".to_owned());
    let steps = args.next().unwrap_or_else(|| "500".to_owned());
    let steps: u64 = steps.parse().map_err(|_| format!("STEPS is {steps}, but must be a whole number"))?;

    // The defaults for this device and for this kind of scene, and what the example changes.
    let device = Device::open(DeviceChoice::Auto, 0)?;
    let mut config = if device.is_host() { Config::on_cpu() } else { Config::default() };
    config.set_value("scene.path", path.as_str())?;
    let scene = open_scene(&config.scene)?;
    let mut config = preset_for(config.scene.preset, &scene).over(config, scene.capture.aabb_scale);
    config.set("scene.downscale=4")?;
    config.train.max_steps = steps;
    config.validate()?;

    let downscale = config.scene.downscale;
    let images = TrainingImages::load(&device, &scene.splits.train, downscale, &scene.unit_cube, &|_, _| {})?;
    let mut trainer = Trainer::new(&device, &config, &scene, images)?;
    train_until(&mut trainer, steps, None, &AtomicBool::new(false), &mut |report| {
        println!("step {}: loss {:.2e}", report.step, report.loss);
        Ok(())
    })?;

    let renderer = trainer.renderer()?;
    let background = plain_background(&config.train, &scene);
    let mut scores = Vec::new();
    for view in scene.splits.test.iter().take(5) {
        scores.push(compare(&renderer, view, downscale, background, Protocol::Unrounded)?.score);
    }
    println!(
        "{} after {} steps: {:.2} dB on {} views",
        scene.name,
        trainer.progress().step,
        Summary::of(&scores).psnr,
        scores.len()
    );
    Ok(())
}
