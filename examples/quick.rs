use gridfield::*;
use std::time::Instant;
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let seconds: f64 = args[2].parse()?;
    let mut config = config::Config::default();
    config.train.batch_samples = 1 << 16;
    config.train.max_seconds = Some(seconds);
    config.train.max_steps = 1000000;
    for set in &args[3..] {
        config.set(set)?;
    }
    let device = device::Device::open(device::DeviceChoice::Cpu, 0)?;
    println!("{}", device.describe());
    let profile = std::sync::Arc::new(device::Profile::default());
    let device = match device {
        device::Device::Cpu(cpu) => device::Device::Cpu(cpu.profiled(profile.clone())),
        other => other,
    };
    let scene = scene::Scene::open(&args[1])?;
    let t = Instant::now();
    let photos = radiance::Photographs::load(
        &device,
        &scene.splits.train,
        config.scene.downscale,
        &scene.unit_cube,
        &|_, _| {},
    )?;
    println!("loaded in {:.1}s", t.elapsed().as_secs_f64());
    let mut trainer = radiance::Trainer::new(&device, &config, &scene, photos)?;
    let mut last = Instant::now();
    while trainer.seconds < seconds && trainer.step < config.train.max_steps {
        trainer.step()?;
        if last.elapsed().as_secs_f64() > 10.0 || trainer.step == 1 {
            trainer.read_statistics()?;
            let r = std::mem::take(&mut trainer.report);
            println!(
                "step {} loss {:.5} psnr {:.2} rays {} spr {:.1} dropped {} {:.3} M samples/s lr {:.5}",
                trainer.step,
                r.loss / r.rays as f64,
                r.psnr(),
                r.rays,
                r.samples as f64 / r.rays as f64,
                r.dropped,
                r.samples as f64 / last.elapsed().as_secs_f64() / 1e6,
                trainer.learning_rate()
            );
            print_profile(&profile, r.samples);
            last = Instant::now();
        }
    }
    let renderer = trainer.renderer()?;
    let t = Instant::now();
    let scores: Vec<_> = scene.splits.test.iter().step_by(scene.splits.test.len().div_ceil(10))
        .map(|v| radiance::evaluate::compare(&renderer, v, config.scene.downscale, [1.0; 3]).map(|c| c.score)).collect::<Result<_>>()?;
    let s = radiance::evaluate::Summary::of(&scores);
    println!("RESULT {:?} steps {} seconds {:.1} psnr {:.3} ssim {:?} render {:.2} s/view", &args[3..], trainer.step, trainer.seconds, s.psnr, s.ssim, 1.0 / s.fps);
    let _ = t;
    Ok(())
}
fn print_profile(profile: &device::Profile, samples: u64) {
    let mut times: Vec<_> = profile.take().into_iter().collect();
    times.sort_by_key(|(_, t)| std::cmp::Reverse(t.time));
    for (name, t) in times.iter().take(12) {
        println!("    {name:24} {:8.1} ns/sample  {:6} calls", t.time.as_secs_f64() * 1e9 / samples as f64, t.calls);
    }
}
