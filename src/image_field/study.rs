//! Comparison of models on one image, at an equal number of parameters and equal training time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use super::compare::{Comparison, compare, write_row};
use super::data::ImageData;
use super::image::{Image, shown_rgb};
use super::shape::Shape;
use crate::Result;
use crate::config::{Config, ModelName, TaskName};
use crate::device::Device;
use crate::encoding::sized;
use crate::fit::FitTrainer;
use crate::media::plot::{Axis, Content, Panel, Series, Style, figure};
use crate::media::table::Table;
use crate::media::to_rgb8;
use crate::metrics::error_map;
use crate::train::session::train_until;
use crate::train::{Progress, Task as _};

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
    /// Steps of training for each model.
    pub max_steps: u64,
    /// Training time of each model, in seconds; no limit if there is none.
    pub max_seconds: Option<f64>,
}

/// Results of one model at one size with one seed.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The model.
    pub model: ModelName,
    /// Requested number of parameters per pixel of the image.
    pub share: f64,
    /// Seed of all random numbers.
    pub seed: u64,
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
        config.train.max_steps = self.max_steps;
        config.train.max_seconds = self.max_seconds;
        config.validate()?;
        Ok(config)
    }

    /// Trains one model with one seed. Returns None if `interrupted` was set during training.
    ///
    /// # Errors
    /// Returns an error if the configuration is invalid, the device fails or training diverges.
    pub fn train(&self, model: ModelName, share: f64, seed: u64, interrupted: &AtomicBool) -> Result<Option<Entry>> {
        let mut config = self.config_of(model, share)?;
        config.train.seed = seed;
        let data = ImageData::new(&self.device, &config, &self.name, self.image.clone())?;
        let mut trainer = FitTrainer::new(&self.device, &config, data)?;
        let mut course = Vec::new();
        train_until(&mut trainer, config.train.max_steps, config.train.max_seconds, interrupted, &mut |report| {
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
            seed,
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

/// Returns a table with one row per model and size. With several seeds, a row has means, and standard deviations over
/// the seeds.
pub fn table(entries: &[Entry]) -> Table {
    let row = |of_one: &[Entry]| {
        let first = &of_one[0];
        let column = |value: fn(&Entry) -> f64| of_one.iter().map(value).collect::<Vec<f64>>();
        let ssim: Option<Vec<f64>> = of_one.iter().map(|entry| entry.ssim).collect();
        vec![
            first.model.as_str().to_owned(),
            format!("{}", first.share),
            first.n_parameters.to_string(),
            format!("{:.0}", mean_and_deviation(&column(|entry| entry.steps as f64)).0),
            with_deviation(&column(|entry| entry.psnr), 2),
            ssim.map_or_else(|| "–".to_owned(), |ssim| with_deviation(&ssim, 4)),
        ]
    };
    let head = ["model", "parameters/pixel", "parameters", "steps", "PSNR (dB)", "SSIM"];
    Table::new(&head, entries.chunk_by(|a, b| (a.model, a.share) == (b.model, b.share)).map(row).collect())
}

/// Formats the mean of `values`, with their standard deviation if there are several.
fn with_deviation(values: &[f64], decimals: usize) -> String {
    match mean_and_deviation(values) {
        (mean, Some(deviation)) => format!("{mean:.decimals$} ± {deviation:.decimals$}"),
        (mean, None) => format!("{mean:.decimals$}"),
    }
}

/// Returns the mean of `values` and, if there are at least two, the sample standard deviation (with n − 1).
fn mean_and_deviation(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_means_and_deviations_over_seeds() {
        let entry = |model, seed, psnr| Entry {
            model,
            share: 1.0,
            seed,
            n_parameters: 7,
            steps: 10 + seed,
            seconds: 1.0,
            psnr,
            ssim: None,
            course: Vec::new(),
            error: Vec::new(),
        };
        let entries =
            [entry(ModelName::Hash, 0, 30.0), entry(ModelName::Hash, 2, 31.0), entry(ModelName::Dense, 0, 29.5)];
        let rows = table(&entries).rows;
        assert_eq!(rows, [["hash", "1", "7", "11", "30.50 ± 0.71", "–"], ["dense", "1", "7", "10", "29.50", "–"]]);
    }
}
