//! Renders an orbit video from a checkpoint, with depth beside colour.
//!
//! ```text
//! cargo run --release --example render_path -- outputs/orrery/hash/RUN/checkpoints/step-000006000.safetensors orbit.mp4
//! ```

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use gridfield::checkpoint::Checkpoint;
use gridfield::device::{Device, DeviceChoice};
use gridfield::radiance::{Renderer, plain_background, reopen_scene};
use gridfield::render::{Channel, Video};
use gridfield::scene::CameraPath;
use gridfield::scene::path::PathOptions;

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
    let usage = "usage: render_path CHECKPOINT OUTPUT [SCENE]";
    let (checkpoint, output) = (args.next().ok_or(usage)?, args.next().ok_or(usage)?);
    let moved_to = args.next();

    let device = Device::open(DeviceChoice::Auto, 0)?;
    let checkpoint = Checkpoint::read(Path::new(&checkpoint))?;
    let scene = reopen_scene(&checkpoint, moved_to.as_deref().map(Path::new))?;
    let renderer = Renderer::from_checkpoint(&device, &checkpoint)?;

    let options = PathOptions { size: Some((320, 240)), fps: Some(10.0), seconds: Some(1.0), ..PathOptions::default() };
    let path = CameraPath::orbit(&scene, &options)?;
    let background = plain_background(&checkpoint.header.config.train, &scene);
    let video = Video::new(&renderer, &path, background, &[Channel::Rgb, Channel::Depth])?;
    let destination = output.parse()?;
    video.write(&destination, None, &AtomicBool::new(false), &mut |done| println!("frame {done}"))?;
    for file in video.files(&destination) {
        println!("{}", file.display());
    }
    Ok(())
}
