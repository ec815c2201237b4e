//! `gridfield render`, which renders a video, frames or an image from a trained field: its flags, and rendering along
//! a camera path, which all fields in space share.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;

use clap::Args;

use super::counter::Counter;
use super::flags::{above_zero, refuse};
use super::machine::MachineArgs;
use super::outcome::Outcome;
use super::run_args::RunArgs;
use super::{interrupt, print};
use crate::ranks::Ranks;
use crate::render::{Channel, Destination, Render, Shard, Video};
use crate::scene::Scene;
use crate::scene::path::{FrameCamera, MAX_SIDE, PathChoice, PathOptions, PathTransforms};
use crate::train::Resolved;
use crate::{Error, Result, names};

#[derive(Debug, Args)]
pub struct RenderArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// Camera path: orbit, spiral, interpolate (through the training views), dataset (the test views, or else the
    /// training views), or a camera-path file of nerfstudio or instant-ngp [default: orbit]
    #[arg(long, value_name = "PATH", help_heading = "What to render")]
    pub path: Option<PathChoice>,

    /// Kind of the frames' cameras: 360° panoramas (equirectangular, twice as wide as high), or perspective [default:
    /// that of the path, else perspective]
    #[arg(long, value_enum, value_name = "KIND", help_heading = "What to render")]
    pub camera: Option<FrameCamera>,

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

    /// For a camera path of nerfstudio: its run's dataparser_transforms.json, which maps the path's frame to the scene, or
    /// none for a path in the scene's coordinates [default: the file beside the path, if there is one]
    #[arg(long, value_name = "FILE", help_heading = "What to render")]
    pub path_transforms: Option<PathTransforms>,

    /// Frames per second [default: the path file's, else 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=240), help_heading = "What to render")]
    pub fps: Option<u32>,

    /// Length of the video in seconds [default: the path file's, else 6 for an orbit and 12 for a spiral or flight]
    #[arg(long, value_name = "S", value_parser = above_zero, help_heading = "What to render")]
    pub seconds: Option<f64>,

    /// The scene's current folder, if it has moved since training; the camera path is derived from the scene
    #[arg(long, value_name = "DIR", help_heading = "What to render")]
    pub scene: Option<PathBuf>,

    /// A video such as orbit.mp4, frames such as frames/%04d.png, or a folder for frames such as frames/; frames such as
    /// frames/%04d.exr have all channels in one file, as linear floats; for a fitted image a .png or .exr [default: in the
    /// run's renders/]
    #[arg(long, value_name = "FILE|DIR/", value_parser = rendered_file, help_heading = "Results")]
    pub output: Option<PathBuf>,

    /// Render only every N-th frame, starting with the I-th, and skip frames that already exist, so that N processes
    /// can share the work: 1/3 renders frames 0, 3, 6, … Requires frames as --output
    #[arg(long, value_name = "I/N", help_heading = "Results")]
    pub shard: Option<Shard>,

    #[command(flatten)]
    pub machine: MachineArgs,
}

/// A part of a fitted image, written as `x,y,w,h` in its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// Left edge in pixels.
    pub x: u32,
    /// Upper edge in pixels.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl FromStr for Crop {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers: Option<Vec<u32>> = text.split(',').map(|word| word.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[x, y, width, height]) if width > 0 && height > 0 => Ok(Crop { x, y, width, height }),
            _ => Err("a part is x,y,width,height in pixels, as in 100,50,640,480".to_owned()),
        }
    }
}

/// Parses a folder, or a path with one of the extensions that runs can be rendered to; which of them a run accepts is
/// checked once its task is known.
fn rendered_file(text: &str) -> std::result::Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    match names::extension(&path).as_str() {
        _ if names::is_folder(text) => Ok(path),
        "mp4" | "png" | "exr" if path.file_stem().is_some() => Ok(path),
        _ => Err("expected a video such as orbit.mp4, frames such as frames/%04d.png, or a folder for frames such as \
                  frames/; of an image a .png or .exr"),
    }
}

fn destination(output: &Path) -> Result<Destination> {
    let what = |e: Error| Error::config(format!("--output {}: {e}", output.display()));
    output.to_string_lossy().parse().map_err(what)
}

impl RenderArgs {
    /// Opens the renderer and renders the field along the requested camera path, whose frames `ranks` share.
    pub(super) fn render_video<R: Render>(
        &self,
        resolved: &Resolved,
        scene: &Scene,
        downscale: u32,
        background: [f32; 3],
        ranks: &Ranks,
        open: impl FnOnce() -> Result<R>,
    ) -> anyhow::Result<Outcome> {
        refuse(&[("--crop", self.crop.is_some())], "is for fitted images, and this run is of another task")?;
        let choice = self.path.clone().unwrap_or(PathChoice::Orbit);
        let destination = match &self.output {
            Some(output) => destination(output)?,
            None => Destination::Video(resolved.renders_folder().join(format!("{}.mp4", choice.name()))),
        };
        let path = choice.build(scene, (self.width, self.height), downscale, self.options())?;
        if ranks.leads() {
            path.notes.iter().for_each(|note| print::to_stderr(&format!("gridfield: note: {note}")));
        }
        let renderer = open()?;
        let outputs = if self.outputs.is_empty() { vec![Channel::Rgb] } else { self.outputs.clone() };
        let video = Video::new(&renderer, &path, background, &outputs)?.among(ranks)?;
        self.write(&video, &destination, ranks)
    }

    /// Refuses the flags that only apply to a moving camera.
    pub(super) fn refuse_flags_of_paths(&self) -> Result<()> {
        let flags = [
            ("--path", self.path.is_some()),
            ("--camera", self.camera.is_some()),
            ("--path-transforms", self.path_transforms.is_some()),
            ("--outputs", !self.outputs.is_empty()),
            ("--fps", self.fps.is_some()),
            ("--seconds", self.seconds.is_some()),
            ("--shard", self.shard.is_some()),
            ("--scene", self.scene.is_some()),
        ];
        refuse(&flags, "is for fields in space, and this run is of an image")
    }

    fn options(&self) -> PathOptions {
        PathOptions {
            size: None,
            fps: self.fps.map(|fps| fps as f32),
            seconds: self.seconds.map(|s| s as f32),
            camera: self.camera,
            transforms: self.path_transforms.clone().unwrap_or_default(),
        }
    }

    fn write(&self, video: &Video, destination: &Destination, ranks: &Ranks) -> anyhow::Result<Outcome> {
        if !ranks.leads() {
            interrupt::leave_to_others()?;
            let done = video.write(destination, self.shard, &AtomicBool::new(false), &mut |_| ())?;
            return Ok(if done { Outcome::Done } else { Outcome::Interrupted });
        }
        let interrupted = interrupt::watch("stopping after this frame", false)?;
        if let Some(note) = video.note(destination) {
            print::to_stderr(&format!("gridfield: note: {note}"));
        }
        let counter = Counter::new("frames", video.n_frames(self.shard), false);
        let done = video.write(destination, self.shard, interrupted, &mut |done| counter.set(done));
        drop(counter);
        if !done? {
            return Ok(Outcome::Interrupted);
        }
        for file in video.files(destination) {
            print::to_stdout(&file.to_string_lossy())?;
        }
        Ok(Outcome::Done)
    }
}
