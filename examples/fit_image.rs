//! Fits a field to an image with the library, and writes the fitted image.
//!
//! ```text
//! cargo run --release --example fit_image -- photo.jpg fitted.png 500
//! ```

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gridfield::config::Config;
use gridfield::device::{Device, DeviceChoice};
use gridfield::fit::FitTrainer;
use gridfield::image_field::{Image, ImageData, Part, compare, render, write_image};
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
    let usage = "usage: fit_image IMAGE OUTPUT [STEPS]";
    let (image, output) = (args.next().ok_or(usage)?, args.next().ok_or(usage)?);
    let steps = args.next().unwrap_or_else(|| "500".to_owned());
    let steps: u64 = steps.parse().map_err(|_| format!("STEPS is {steps}, but must be a whole number"))?;

    let device = Device::open(DeviceChoice::Auto, 0)?;
    let mut config = Config::of_image(device.is_host());
    config.train.max_steps = steps;
    config.validate()?;

    let image = Arc::new(Image::read(Path::new(&image))?);
    let data = ImageData::new(&device, &config, "image", image.clone())?;
    let mut trainer = FitTrainer::new(&device, &config, data)?;
    train_until(&mut trainer, steps, None, &AtomicBool::new(false), &mut |_| Ok(()))?;

    let predictor = trainer.predictor()?;
    println!("{:.2} dB", compare(&predictor, &image)?.psnr);
    let (width, height) = (image.width, image.height);
    let values = render(&predictor, &Part::whole(width, height))?;
    write_image(Path::new(&output), (width, height), &values, image.n_channels, image.is_hdr())?;
    Ok(())
}
