//! `gridfield render`: render a video, frames or a picture from a trained field.

use std::path::{Path, PathBuf};

use clap::Args;

use super::fit_image::{self, Crop};
use super::fit_sdf;
use super::machine::MachineArgs;
use super::progress::counter;
use super::{OUTPUT_DIR, Outcome, interrupt, print, refuse};
use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::config::TaskName;
use crate::device::Device;
use crate::radiance::{Renderer, plain_background, reopen_scene, scene_without_views};
use crate::render::{Channel, Destination, Render, Shard, Video};
use crate::scene::Scene;
use crate::scene::path::{MAX_SIDE, PathChoice, PathOptions};
use crate::sdf::turntable_scene;
use crate::train::Run;
use crate::train::run::Resolved;

#[derive(Debug, Args)]
pub struct RenderArgs {
    /// A run's folder, a checkpoint, or `latest`
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Camera path: orbit, spiral, interpolate (through the training views), dataset (the test views, or else the
    /// training views), or a camera-path file of nerfstudio or instant-ngp [default: orbit]
    #[arg(long, value_name = "PATH", help_heading = "What to render")]
    pub path: Option<PathChoice>,

    /// Channels to render, as in rgb,depth [default: rgb]
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',', help_heading = "What to render")]
    pub outputs: Vec<Channel>,

    /// For a fitted image: the part to render, as x,y,width,height in pixels of the image
    #[arg(long, value_name = "X,Y,W,H", help_heading = "What to render")]
    pub crop: Option<Crop>,

    /// Width in pixels [default: as the training images]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SIDE)), help_heading = "What to render")]
    pub width: Option<u32>,

    /// Height in pixels [default: as the training images]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SIDE)), help_heading = "What to render")]
    pub height: Option<u32>,

    /// Frames per second [default: the path file's, else 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=240), help_heading = "What to render")]
    pub fps: Option<u32>,

    /// Length of the video in seconds [default: the path file's, else 6 for an orbit and 12 for a spiral or flight]
    #[arg(long, value_name = "S", value_parser = super::above_zero, help_heading = "What to render")]
    pub seconds: Option<f64>,

    /// The scene's current folder, if it has moved since training; the camera path is derived from the scene
    #[arg(long, value_name = "DIR", help_heading = "What to render")]
    pub scene: Option<PathBuf>,

    /// A video such as orbit.mp4, or frames such as frames/%04d.png; for a fitted image a .png or .exr [default: in the
    /// run's renders/]
    #[arg(long, value_name = "FILE", value_parser = rendered_file, help_heading = "Results")]
    pub output: Option<PathBuf>,

    /// Render only every N-th frame, starting with the I-th, and skip frames that already exist, so that N processes
    /// can share the work: 1/3 renders frames 0, 3, 6, … Requires frames as --output
    #[arg(long, value_name = "I/N", help_heading = "Results")]
    pub shard: Option<Shard>,

    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Parses a path with one of the extensions that runs can be rendered to; which of them a run accepts is checked once
/// its task is known.
fn rendered_file(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("mp4" | "png" | "exr") if path.file_stem().is_some() => Ok(path),
        _ => Err("expected a video such as orbit.mp4, or frames such as frames/%04d.png; of an image a .png or .exr"),
    }
}

fn destination(output: &Path) -> crate::Result<Destination> {
    let what = |e: Error| Error::config(format!("--output {}: {e}", output.display()));
    output.to_string_lossy().parse().map_err(what)
}

impl RenderArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let resolved = Run::resolve(&self.run, Path::new(OUTPUT_DIR))?;
        let device = self.machine.open_device()?;
        let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
        match checkpoint.header.config.task {
            TaskName::Radiance => self.render_path(&device, &resolved, &checkpoint),
            TaskName::Sdf => self.render_surface(&device, &resolved, &checkpoint),
            TaskName::Image => {
                self.refuse_flags_of_paths()?;
                let size = (self.width, self.height);
                fit_image::render_picture(&device, &resolved, &checkpoint, self.crop, size, self.output)
            }
        }
    }

    fn render_path(&self, device: &Device, resolved: &Resolved, checkpoint: &Checkpoint) -> anyhow::Result<Outcome> {
        let config = &checkpoint.header.config;
        let scene = self.open_scene(checkpoint, &self.choice())?;
        let background = plain_background(&config.train, &scene);
        let open = || Renderer::from_checkpoint(device, checkpoint);
        self.render_video(resolved, &scene, config.scene.downscale, background, open)
    }

    /// Renders a distance field. It has no cameras of its own, so camera paths go around it.
    fn render_surface(&self, device: &Device, resolved: &Resolved, checkpoint: &Checkpoint) -> anyhow::Result<Outcome> {
        refuse(&[("--scene", self.scene.is_some())], "is for radiance fields, and this run is of a mesh")?;
        let scene = turntable_scene(checkpoint)?;
        self.render_video(resolved, &scene, 1, scene.background, || fit_sdf::tracer(device, checkpoint))
    }

    /// Opens the renderer and renders the field along the requested camera path.
    fn render_video<R: Render>(
        &self,
        resolved: &Resolved,
        scene: &Scene,
        downscale: u32,
        background: [f32; 3],
        open: impl FnOnce() -> crate::Result<R>,
    ) -> anyhow::Result<Outcome> {
        refuse(&[("--crop", self.crop.is_some())], "is for fitted images, and this run is of another task")?;
        let choice = self.choice();
        let destination = match &self.output {
            Some(output) => destination(output)?,
            None => Destination::Video(resolved.renders_folder().join(format!("{}.mp4", choice.name()))),
        };
        let path = choice.build(scene, (self.width, self.height), downscale, self.options())?;
        let renderer = open()?;
        let outputs = if self.outputs.is_empty() { vec![Channel::Rgb] } else { self.outputs.clone() };
        let video = Video::new(&renderer, &path, background, &outputs)?;
        self.write(&video, &destination)
    }

    fn choice(&self) -> PathChoice {
        self.path.clone().unwrap_or(PathChoice::Orbit)
    }

    /// Refuses the flags that only apply to a moving camera.
    fn refuse_flags_of_paths(&self) -> crate::Result<()> {
        let flags = [
            ("--path", self.path.is_some()),
            ("--outputs", !self.outputs.is_empty()),
            ("--fps", self.fps.is_some()),
            ("--seconds", self.seconds.is_some()),
            ("--shard", self.shard.is_some()),
            ("--scene", self.scene.is_some()),
        ];
        refuse(&flags, "is for fields in space, and this run is of an image")
    }

    /// Opens the scene. A camera-path file has cameras of its own, so a scene that is missing or has changed is no
    /// obstacle then.
    fn open_scene(&self, checkpoint: &Checkpoint, path: &PathChoice) -> crate::Result<Scene> {
        match reopen_scene(checkpoint, self.scene.as_deref()) {
            Err(_) if path.is_file() && self.scene.is_none() => Ok(scene_without_views(checkpoint)),
            opened => opened,
        }
    }

    fn options(&self) -> PathOptions {
        PathOptions { size: None, fps: self.fps.map(|fps| fps as f32), seconds: self.seconds.map(|s| s as f32) }
    }

    fn write(&self, video: &Video, destination: &Destination) -> anyhow::Result<Outcome> {
        let interrupted = interrupt::watch("stopping after this frame", false)?;
        let bar = counter("frames", video.n_frames(self.shard), false);
        let done = video.write(destination, self.shard, interrupted, &mut |done| bar.set_position(done as u64));
        bar.finish_and_clear();
        if !done? {
            return Ok(Outcome::Interrupted);
        }
        for file in video.files(destination) {
            print::to_stdout(&file.to_string_lossy())?;
        }
        Ok(Outcome::Done)
    }
}
