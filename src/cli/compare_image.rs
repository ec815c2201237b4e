//! `gridfield compare-image`: compare several models on one image.

use super::flags::above_zero;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::counter::Counter;
use super::machine::MachineArgs;
use super::outcome::Outcome;
use super::training_args::file_name;
use super::{interrupt, print};
use crate::config::{Config, ModelName, TrainConfig};
use crate::image_field::{Entry, Image, Study, courses, error_maps, table};
use crate::{COMMIT, Result, atomic};

/// Maximum width and height in pixels of each error map.
const MAP_SIDE: u32 = 512;

/// Seconds of training per model, if neither seconds nor steps are given.
const DEFAULT_SECONDS: f64 = 30.0;

/// Fits an image with several models of equal size for the same time each, and writes to a folder: compare.json (all
/// figures), compare.svg (PSNR over time) and errors-SIZE.png (the image and the error map of each model, in the order
/// given, with the first seed).
#[derive(Debug, Args)]
pub struct CompareImageArgs {
    /// A PNG, JPEG, WebP, TIFF, OpenEXR, BMP, TGA or GIF file
    #[arg(value_name = "IMAGE")]
    pub image: PathBuf,

    /// Models to compare [default: all; networks without a grid only at the sizes they support]
    #[arg(long, value_enum, value_name = "LIST", value_delimiter = ',')]
    pub models: Vec<ModelName>,

    /// Sizes: parameters per pixel of the image, counting the grid's, or all parameters of a network without a grid
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0.25,1,4", value_parser = above_zero)]
    pub parameters: Vec<f64>,

    /// Seconds of training per model [default: 30; no limit with --max-steps alone]
    #[arg(long, value_name = "S", value_parser = above_zero)]
    pub max_seconds: Option<f64>,

    /// Steps of training per model [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=TrainConfig::NO_STEP_LIMIT))]
    pub max_steps: Option<u64>,

    /// Random seeds; each model is trained once with each, and the table has means and standard deviations [default: 0]
    #[arg(long, visible_alias = "seed", value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32))]
    pub seeds: Vec<u32>,

    /// Any setting other than those of the grid's size, as in optimizer.learning_rate=0.005
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Folder for the results
    #[arg(long, value_name = "DIR", default_value = "compare")]
    pub output: PathBuf,

    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Content of `compare.json`.
#[derive(Serialize)]
struct Report<'a> {
    image: String,
    width: u32,
    height: u32,
    device: String,
    commit: &'static str,
    entries: &'a [Entry],
}

impl CompareImageArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let device = self.machine.open_device()?;
        let mut config = Config::of_image(device.is_host());
        self.set.iter().try_for_each(|assignment| config.set(assignment))?;
        let seeds = match self.seeds.is_empty() {
            true => vec![config.train.seed],
            false => self.seeds.iter().map(|&seed| u64::from(seed)).collect(),
        };
        let image = Arc::new(Image::read(&self.image)?);
        let name = file_name(&self.image, "image")?;
        let max_steps = self.max_steps.unwrap_or(TrainConfig::NO_STEP_LIMIT);
        let max_seconds = self.max_seconds.or(self.max_steps.is_none().then_some(DEFAULT_SECONDS));
        let study = Study { device, config, name, image, max_steps, max_seconds };
        let models = if self.models.is_empty() { ModelName::ALL.to_vec() } else { self.models.clone() };
        let mut all: Vec<(f64, ModelName)> =
            self.parameters.iter().flat_map(|&share| models.iter().map(move |&model| (share, model))).collect();
        let mut left_out = Vec::new();
        if self.models.is_empty() {
            all.retain(|&(share, model)| match study.config_of(model, share) {
                Err(error) if !model.grid().index.has_nodes() => {
                    left_out.push(format!("{} is left out at {share} numbers a pixel: {error}", model.as_str()));
                    false
                }
                _ => true,
            });
        }
        // Report an impossible size before the first model is trained.
        all.iter().try_for_each(|&(share, model)| study.config_of(model, share).map(drop))?;
        left_out.iter().for_each(|line| print::to_stderr(line));
        atomic::make_folder_of(&self.output.join("compare.json"))?;
        let interrupted = interrupt::watch("stopping after this step; nothing is written", false)?;
        let runs = all.iter().flat_map(|&(share, model)| seeds.iter().map(move |&seed| (share, model, seed)));
        let counter = Counter::new("runs", all.len() * seeds.len(), false);
        let mut entries = Vec::new();
        for (share, model, seed) in runs {
            match study.train(model, share, seed, interrupted)? {
                Some(entry) => entries.push(entry),
                None => return Ok(Outcome::Interrupted),
            }
            counter.add_one();
        }
        drop(counter);
        self.write(&study, &models, &entries)?;
        print::to_stdout(&table(&entries).text())?;
        print::to_stdout(&format!("figures, curves and error maps are in {}", self.output.display()))?;
        Ok(Outcome::Done)
    }

    fn write(&self, study: &Study, models: &[ModelName], entries: &[Entry]) -> Result<()> {
        let report = Report {
            image: study.name.clone(),
            width: study.image.width,
            height: study.image.height,
            device: study.device.describe(),
            commit: COMMIT,
            entries,
        };
        atomic::write_json(&self.output.join("compare.json"), &report)?;
        let title = format!("{}, {}", study.name, study.image.describe());
        let svg = courses(&title, entries, models, &self.parameters);
        atomic::write(&self.output.join("compare.svg"), |file| file.write_all(svg.as_bytes()))?;
        for &share in &self.parameters {
            let is_shown = |entry: &&Entry| entry.share == share && entry.seed == entries[0].seed;
            let own: Vec<&Entry> = entries.iter().filter(is_shown).collect();
            error_maps(&self.output.join(format!("errors-{share}.png")), &study.image, &own, MAP_SIDE)?;
        }
        Ok(())
    }
}
