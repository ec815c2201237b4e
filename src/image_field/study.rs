//! Comparison of models on one image, at an equal number of parameters and equal training time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::compare::{Comparison, compare, write_row};
use super::data::{ImageData, Shape};
use super::image::{Image, shown_rgb};
use crate::Result;
use crate::config::{Config, ModelName, TaskName, TrainConfig};
use crate::device::Device;
use crate::encoding::sized;
use crate::fit::FitTrainer;
use crate::media::plot::{Axis, Content, Panel, Series, Style, figure};
use crate::media::table::Table;
use crate::media::to_rgb8;
use crate::metrics::error_map;
use crate::train::Progress;
use crate::train::session::{Task as _, train_until};

/// Settings of a comparison.
pub struct Study {
    /// Device that trains all models.
    pub device: Device,
    /// Configuration from which those of the models are derived.
    pub config: Config,
    /// Name of the image.
    pub name: String,
    /// The image to fit.
    pub image: Arc<Image>,
    /// Training time of each model, in seconds.
    pub seconds: f64,
}

/// Results of one model at one size.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The model.
    pub model: ModelName,
    /// Requested number of parameters per pixel of the image.
    pub share: f64,
    /// Number of learned parameters.
    pub n_parameters: usize,
    /// Number of training steps.
    pub steps: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// PSNR over the whole image after training, in dB.
    pub psnr: f64,
    /// SSIM over the whole image, where it is defined.
    pub ssim: Option<f64>,
    /// Training curve: seconds of training, and PSNR in dB over the pixels trained on since the previous point.
    pub course: Vec<(f64, f64)>,
    /// Map of the errors, for the figure.
    #[serde(skip)]
    pub error: Vec<u8>,
}

impl Study {
    /// Returns the model's configuration with about `share` parameters per pixel.
    ///
    /// # Errors
    /// Returns an error if this size needs values outside the ranges that the configuration allows.
    pub fn config_of(&self, model: ModelName, share: f64) -> Result<Config> {
        let mut config = self.config.clone();
        config.model.name = model;
        let n_parameters = (share * self.image.n_pixels() as f64).round() as usize;
        config.model.grid = sized(&model.grid_of(TaskName::Image), Shape::of(&self.image).head(), n_parameters);
        config.train.max_steps = TrainConfig::NO_STEP_LIMIT;
        config.train.max_seconds = Some(self.seconds);
        config.validate()?;
        Ok(config)
    }

    /// Trains one model. Returns None if `interrupted` was set during training.
    ///
    /// # Errors
    /// Returns an error if the configuration is invalid, the device fails or training diverges.
    pub fn train(&self, model: ModelName, share: f64, interrupted: &AtomicBool) -> Result<Option<Entry>> {
        let config = self.config_of(model, share)?;
        let data = ImageData::new(&self.device, &config, &self.name, self.image.clone())?;
        let mut trainer = FitTrainer::new(&self.device, &config, data)?;
        let mut course = Vec::new();
        train_until(&mut trainer, u64::MAX, config.train.max_seconds, interrupted, &mut |report| {
            course.extend(report.psnr.map(|psnr| (report.seconds, psnr)));
            Ok(())
        })?;
        if interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let predictor = trainer.predictor()?;
        let Comparison { psnr, ssim, truth, fitted, .. } = compare(&predictor, &self.image)?;
        let Progress { step: steps, seconds } = trainer.progress();
        Ok(Some(Entry {
            model,
            share,
            n_parameters: predictor.n_parameters(),
            steps,
            seconds,
            psnr,
            ssim,
            course,
            error: error_map(&truth, &fitted),
        }))
    }
}

/// Returns a table with one row per entry.
pub fn table(entries: &[Entry]) -> Table {
    let row = |entry: &Entry| {
        vec![
            entry.model.as_str().to_owned(),
            format!("{}", entry.share),
            entry.n_parameters.to_string(),
            entry.steps.to_string(),
            format!("{:.2}", entry.psnr),
            entry.ssim.map_or_else(|| "–".to_owned(), |ssim| format!("{ssim:.4}")),
        ]
    };
    let head = ["model", "parameters/pixel", "parameters", "steps", "PSNR (dB)", "SSIM"];
    Table::new(&head, entries.iter().map(row).collect())
}

/// Plots PSNR against training time as SVG, with one panel per size.
pub fn courses(title: &str, entries: &[Entry], models: &[ModelName], shares: &[f64]) -> String {
    let legend: Vec<String> = models.iter().map(|model| model.as_str().to_owned()).collect();
    let series = |share: f64| {
        let own = entries.iter().filter(move |entry| entry.share == share);
        own.map(|entry| Series {
            legend: models.iter().position(|&model| model == entry.model).unwrap_or(0),
            points: entry.course.clone(),
            style: Style::Line,
        })
        .collect()
    };
    let panel = |&share: &f64| Panel {
        title: format!("{share} parameters a pixel"),
        x: Axis::linear("seconds of training"),
        y: Axis::linear("PSNR over the pixels trained on (dB)"),
        content: Content::Series(series(share)),
    };
    figure(title, &legend, &shares.iter().map(panel).collect::<Vec<_>>(), 2)
}

/// Writes the image and the error maps of entries of one size side by side.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn error_maps(path: &Path, image: &Image, entries: &[&Entry], most: u32) -> Result<()> {
    let truth = to_rgb8(&shown_rgb(&image.values(), image.n_channels, image.is_hdr()));
    let images: Vec<Vec<u8>> = std::iter::once(truth).chain(entries.iter().map(|entry| entry.error.clone())).collect();
    write_row(path, &images, image.width, image.height, most)
}
