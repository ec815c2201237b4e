//! `gridfield fit-image`: fit a field to an image. Also what `eval` and `render` do with such a field.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use super::machine::MachineArgs;
use super::training_args::{SettingsArgs, TrainingArgs, absolute_text};
use super::{Outcome, print};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, TaskName};
use crate::device::Device;
use crate::fit::{FitTrainer, Predictor};
use crate::image_field::{ImageData, ImageReport, Part, Picture, Shape, compare, render, side_by_side, write_image};
use crate::media::{Pixels, write_png};
use crate::metrics::error_map;
use crate::train::Run;
use crate::train::run::Resolved;
use crate::{Error, Result, atomic};

/// Maximum width and height in pixels of each picture in the side-by-side comparison.
const SHOWN_SIDE: u32 = 1024;

#[derive(Debug, Args)]
pub struct FitImageArgs {
    /// A PNG, JPEG, TIFF or OpenEXR file. With --resume: its current path, if it has moved
    #[arg(value_name = "IMAGE", required_unless_present = "resume")]
    pub image: Option<PathBuf>,

    #[command(flatten)]
    pub settings: SettingsArgs,

    /// Evaluate at the end, and write a per-pixel error map as PNG to renders/ in the run's folder
    #[arg(long)]
    pub save_error_map: bool,

    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

impl FitImageArgs {
    fn config(&self, base: Config) -> Result<Config> {
        let image = self.image.as_deref().map(|path| absolute_text(path, "the image")).transpose()?;
        self.training.config(base, &self.settings, TaskName::Image, [("image.path", image.map(Value::from))])
    }

    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let device = self.machine.open_device()?;
        let (outcome, run) = match &self.training.results.resume {
            None => self.begin(&device)?,
            Some(run) => self.resume(&device, run)?,
        };
        if self.save_error_map && outcome == Outcome::Done {
            let resolved = Run::resolve(run.folder(), Path::new(super::OUTPUT_DIR))?;
            let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
            let kept = Kept { images: false, error_maps: true };
            return eval(&device, &resolved, &checkpoint, kept, &resolved.eval_path());
        }
        Ok(outcome)
    }

    fn begin(&self, device: &Device) -> anyhow::Result<(Outcome, Run)> {
        let config = self.config(self.training.defaults(Config::of_image(device.is_host())))?;
        let picture = Arc::new(Picture::read(&config.image.path)?);
        let name = name_of(&config.image.path)?;
        let mut trainer = FitTrainer::new(device, &config, ImageData::new(device, &config, &name, picture)?)?;
        let run = self.training.create_run(&name, &config)?;
        Ok((self.training.train_new(&mut trainer, &run, &config)?, run))
    }

    fn resume(&self, device: &Device, run: &Path) -> anyhow::Result<(Outcome, Run)> {
        let (run, mut checkpoint) = self.training.resumed(run, TaskName::Image)?;
        let config = self.config(checkpoint.header.config.clone())?;
        self.training.refuse_an_end_behind(&config, checkpoint.header.step, checkpoint.header.seconds)?;
        checkpoint.header.config = config.clone();
        let picture = Arc::new(reopened(&checkpoint)?);
        let data = ImageData::new(device, &config, &checkpoint.header.scene, picture)?;
        let mut trainer = FitTrainer::resume(device, &checkpoint, data)?;
        drop(checkpoint);
        run.save_config(&config)?;
        Ok((self.training.train(&mut trainer, &run, &config)?, run))
    }
}

/// Returns the name under which results are stored: the file's name without its extension.
pub fn name_of(path: &Path) -> Result<String> {
    let name = path.file_stem().and_then(|stem| stem.to_str());
    name.map(str::to_owned).ok_or_else(|| Error::file(path, "the image's name is no text; rename the file"))
}

/// Reads the picture that a checkpoint's field was fitted to.
///
/// # Errors
/// Returns an error if the file cannot be read, or if its size or number of channels has changed.
fn reopened(checkpoint: &Checkpoint) -> Result<Picture> {
    let path = &checkpoint.header.config.image.path;
    let picture = Picture::read(path)?;
    let (found, expected) = (Shape::of(&picture), Shape::from_checkpoint(checkpoint)?);
    if found != expected {
        let what = format!(
            "is {}, but the field was fitted to {}×{} pixels of {} channels; give the image of the run",
            picture.describe(),
            expected.width,
            expected.height,
            expected.n_channels
        );
        return Err(Error::file(path, what));
    }
    Ok(picture)
}

fn predictor(device: &Device, checkpoint: &Checkpoint) -> Result<(Shape, Predictor)> {
    let shape = Shape::from_checkpoint(checkpoint)?;
    Ok((shape, Predictor::from_checkpoint(device, checkpoint, shape.head())?))
}

/// What to keep of an evaluation in addition to its figures.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub images: bool,
    pub error_maps: bool,
}

/// Compares a fitted field with its image, writes the figures to `output` and a picture with the truth, the fit and the
/// error side by side to the run's renders, and prints where they are.
pub fn eval(
    device: &Device,
    resolved: &Resolved,
    checkpoint: &Checkpoint,
    kept: Kept,
    output: &Path,
) -> anyhow::Result<Outcome> {
    let picture = reopened(checkpoint)?;
    let (shape, predictor) = predictor(device, checkpoint)?;
    let comparison = compare(&predictor, &picture)?;
    let n_parameters = predictor.n_parameters();
    let report =
        ImageReport::new(&checkpoint.header, &resolved.checkpoint, device, &picture, &comparison, n_parameters);
    atomic::make_folder_of(output)?;
    atomic::write_json(output, &report)?;
    print::to_stdout(&table(&report))?;
    let renders = resolved.renders_folder();
    let beside = renders.join("comparison.png");
    atomic::make_folder_of(&beside)?;
    side_by_side(&beside, &comparison, shape.width, shape.height, SHOWN_SIDE)?;
    if kept.images {
        let size = (shape.width, shape.height);
        write_image(&renders.join("fitted.png"), size, &comparison.values, shape.n_channels, shape.is_hdr)?;
    }
    if kept.error_maps {
        let map = error_map(&comparison.truth, &comparison.fitted);
        write_png(renders.join("error.png"), shape.width, shape.height, Pixels::Rgb8(&map))?;
    }
    print::to_stdout(&format!("the image, the fit and the error beside each other are {}", beside.display()))?;
    print::to_stdout(&format!("figures are in {}", output.display()))?;
    Ok(Outcome::Done)
}

/// Returns the figures as one line below its column headings.
fn table(report: &ImageReport) -> String {
    let results = &report.results;
    let mut columns = vec![
        ("image", report.experiment.experiment_name.clone()),
        ("model", report.experiment.method_name.clone()),
        ("step", print::grouped(report.origin.step)),
        ("parameters", print::grouped(results.n_parameters as u64)),
        ("compression", format!("{:.2}", results.compression_ratio)),
        ("PSNR", print::decibels(results.psnr)),
        ("SSIM", results.ssim.map_or_else(|| "–".to_owned(), |ssim| format!("{ssim:.4}"))),
    ];
    columns.extend(results.relative_mse.map(|error| ("relative MSE", format!("{error:.2e}"))));
    print::table_line(&columns)
}

/// A part of the picture, written as `x,y,w,h` in pixels of the fitted image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

impl std::str::FromStr for Crop {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers: Option<Vec<u32>> = text.split(',').map(|word| word.trim().parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[x, y, width, height]) if width > 0 && height > 0 => Ok(Crop { x, y, width, height }),
            _ => Err("a part is x,y,width,height in pixels, as in 100,50,640,480".to_owned()),
        }
    }
}

/// Renders a fitted picture, or the part `crop` of it, at the requested size; by default one pixel for each pixel of
/// the image.
pub fn render_picture(
    device: &Device,
    resolved: &Resolved,
    checkpoint: &Checkpoint,
    crop: Option<Crop>,
    size: (Option<u32>, Option<u32>),
    output: Option<PathBuf>,
) -> anyhow::Result<Outcome> {
    let (shape, predictor) = predictor(device, checkpoint)?;
    let part = part(&shape, crop, size)?;
    let path = output.unwrap_or_else(|| resolved.renders_folder().join("image.png"));
    atomic::make_folder_of(&path)?;
    let values = render(&predictor, &part)?;
    write_image(&path, (part.width, part.height), &values, shape.n_channels, shape.is_hdr)?;
    print::to_stdout(&path.to_string_lossy())?;
    Ok(Outcome::Done)
}

fn part(shape: &Shape, crop: Option<Crop>, (width, height): (Option<u32>, Option<u32>)) -> Result<Part> {
    let crop = crop.unwrap_or(Crop { x: 0, y: 0, width: shape.width, height: shape.height });
    let inside = |first: u32, n: u32, all: u32| first.checked_add(n).is_some_and(|end| end <= all);
    if !inside(crop.x, crop.width, shape.width) || !inside(crop.y, crop.height, shape.height) {
        return Err(Error::config(format!(
            "--crop {},{},{},{} reaches out of the image, which has {}×{} pixels",
            crop.x, crop.y, crop.width, crop.height, shape.width, shape.height
        )));
    }
    // If only one side is given, the other one follows from the aspect ratio.
    let scaled = |n: u32, by: u32, of: u32| ((f64::from(n) * f64::from(by) / f64::from(of)).round() as u32).max(1);
    let (width, height) = match (width, height) {
        (None, None) => (crop.width, crop.height),
        (Some(width), None) => (width, scaled(crop.height, width, crop.width)),
        (None, Some(height)) => (scaled(crop.width, height, crop.height), height),
        (Some(width), Some(height)) => (width, height),
    };
    let (w, h) = (shape.width as f32, shape.height as f32);
    Ok(Part {
        origin: [crop.x as f32 / w, crop.y as f32 / h],
        extent: [crop.width as f32 / w, crop.height as f32 / h],
        width,
        height,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_shape_where_one_side_is_given() {
        let shape = Shape { width: 400, height: 200, n_channels: 3, is_hdr: false };
        let sized = |crop, size| part(&shape, crop, size).map(|part| (part.width, part.height));
        assert_eq!(sized(None, (Some(100), None)).unwrap(), (100, 50));
        assert_eq!(sized(Some("0,0,40,80".parse().unwrap()), (None, Some(160))).unwrap(), (80, 160));
        let corner = part(&shape, Some("300,150,100,50".parse().unwrap()), (None, None)).unwrap();
        assert_eq!((corner.origin, corner.extent), ([0.75, 0.75], [0.25, 0.25]));
        assert!(part(&shape, Some("301,0,100,50".parse().unwrap()), (None, None)).is_err());
        assert!("1,2,0,4".parse::<Crop>().is_err() && "1,2,3".parse::<Crop>().is_err());
    }
}
