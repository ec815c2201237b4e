//! `gridfield render`: a video or frames from a trained field.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::Outcome;
use super::machine::MachineArgs;
use crate::{Error, Result};

/// What is drawn of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputArg {
    Rgb,
    Depth,
    Opacity,
    Normal,
}

/// The part of a job that is this process's: `index` of `count`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    pub index: u32,
    pub count: u32,
}

impl Shard {
    /// Whether frame `frame`, counted from 0, is this shard's: every `count`-th is.
    pub fn holds(self, frame: u32) -> bool {
        frame % self.count == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Shard> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, count)) if 1 <= index && index <= count => Ok(Shard { index, count }),
            _ => Err(Error::config("a shard is I/N with I from 1 to N, such as 2/8")),
        }
    }
}

#[derive(Debug, Args)]
pub struct RenderArgs {
    /// A run's folder, a checkpoint, or `latest`
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Where the camera goes: orbit, spiral, interpolate (through the training views), dataset (the test views), or a
    /// camera-path file of nerfstudio or instant-ngp
    #[arg(long, value_name = "PATH", default_value = "orbit", help_heading = "What to render")]
    pub path: String,

    /// What to draw, as in rgb,depth
    #[arg(
        long,
        value_enum,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "rgb",
        help_heading = "What to render"
    )]
    pub outputs: Vec<OutputArg>,

    /// In pixels [default: as the training images]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=16384), help_heading = "What to render")]
    pub width: Option<u32>,

    /// In pixels [default: as the training images]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=16384), help_heading = "What to render")]
    pub height: Option<u32>,

    /// Frames per second [default: the path file's, else 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=240), help_heading = "What to render")]
    pub fps: Option<u32>,

    /// Length of the video in seconds [default: the path file's, else 4]
    #[arg(long, value_name = "S", value_parser = super::seconds, help_heading = "What to render")]
    pub seconds: Option<f64>,

    /// A video such as orbit.mp4, or frames such as frames/%04d.png [default: a video in the run's renders/]
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    pub output: Option<PathBuf>,

    /// Render only frames I, I+N, I+2N, … that are not there yet, so that N processes share the work. Needs frames as
    /// --output
    #[arg(long, value_name = "I/N", help_heading = "Results")]
    pub shard: Option<Shard>,

    #[command(flatten)]
    pub machine: MachineArgs,
}

impl RenderArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        anyhow::bail!("rendering is not part of this build")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_all_frames_between_them() {
        let shards = ["1/3", "2/3", "3/3"].map(|text| text.parse::<Shard>().unwrap());
        for frame in 0..10 {
            assert_eq!(shards.iter().filter(|shard| shard.holds(frame)).count(), 1);
        }
        assert!(shards[1].holds(1));
    }

    #[test]
    fn shards_out_of_range_are_refused() {
        for text in ["0/3", "4/3", "1/0", "3", "a/b", "-1/2", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
