use gridfield::*;
use std::time::Instant;
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let seconds: f64 = args[2].parse()?;
    let mut config = config::Config::default();
    config.train.batch_samples = 1 << 16;
    config.train.max_seconds = Some(seconds);
    config.train.max_steps = 1000000;
    for set in &args[3..] { config.set(set)?; }
    let device = device::Device::open(device::DeviceChoice::Cpu, 0)?;
    println!("{}", device.describe());
    let scene = scene::Scene::open(&args[1])?;
    let t = Instant::now();
    let photos = radiance::Photographs::load(&device, &scene.splits.train, config.scene.downscale, &scene.unit_cube, &|_, _| {})?;
    println!("loaded in {:.1}s", t.elapsed().as_secs_f64());
    let mut trainer = radiance::Trainer::new(&device, &config, photos)?;
    let mut last = Instant::now();
    while trainer.seconds < seconds && trainer.step < config.train.max_steps {
        trainer.step()?;
        if last.elapsed().as_secs_f64() > 5.0 || trainer.step == 1 {
            trainer.read_statistics()?;
            let r = trainer.report;
            println!("step {} loss {:.5} psnr {:.2} rays {} spr {:.1} dropped {} {:.3} M samples/s lr {:.5}", trainer.step, r.loss / r.rays as f64, r.psnr(), r.rays, r.samples as f64 / r.rays as f64, r.dropped, r.samples as f64 / last.elapsed().as_secs_f64() / 1e6, trainer.learning_rate());
            trainer.report = Default::default();
            last = Instant::now();
        }
    }
    Ok(())
}
