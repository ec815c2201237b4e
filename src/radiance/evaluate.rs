//! Evaluation: rendered views against the training images.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::frame::Frame;
use super::protocol::Protocol;
use super::renderer::Renderer;
use crate::media::{Pixels, to_rgb8, write_png};
use crate::metrics::{Lpips, error_map, psnr, ssim};
use crate::scene::View;
use crate::{Result, atomic};

/// How one view came out.
#[derive(Clone, Debug, Serialize)]
pub struct ViewScore {
    pub name: String,
    /// dB, peak 1, over all channels in sRGB. Infinite, which JSON has as null, where the pictures are equal.
    pub psnr: f64,
    /// None where a side is shorter than the 11 pixels of its window.
    pub ssim: Option<f64>,
    /// None where it was not measured, and where a side is too short for the network.
    pub lpips: Option<f64>,
    /// Of rendering.
    pub seconds: f64,
    pub width: usize,
    pub height: usize,
}

/// A view's score with the pictures it comes from, both as the protocol compares them.
pub struct Compared {
    pub score: ViewScore,
    pub frame: Frame,
    /// `[h, w, 3]` the training image over the background.
    pub truth: Vec<f32>,
}

/// Renders a view's camera and compares it with the view's training image by `protocol`, both over `background` (sRGB).
///
/// # Errors
/// Where the training image cannot be read or the field cannot be rendered.
pub fn compare(
    renderer: &Renderer,
    view: &View,
    downscale: u32,
    background: [f32; 3],
    protocol: Protocol,
) -> Result<Compared> {
    let mut truth = view.load(downscale)?.over(background);
    let begun = Instant::now();
    let mut frame = renderer.render(&view.camera_at(downscale), background)?;
    let seconds = begun.elapsed().as_secs_f64();
    protocol.prepare(&mut truth);
    protocol.prepare(&mut frame.rgb);
    let score = ViewScore {
        name: view.name.clone(),
        psnr: psnr(&frame.rgb, &truth),
        ssim: ssim(&frame.rgb, &truth, frame.width, frame.height),
        lpips: None,
        seconds,
        width: frame.width,
        height: frame.height,
    };
    Ok(Compared { score, frame, truth })
}

impl Compared {
    /// Compares by LPIPS as well.
    pub fn measure_lpips(&mut self, lpips: &Lpips) {
        self.score.lpips = lpips.distance(&self.frame.rgb, &self.truth, self.frame.width, self.frame.height);
    }
}

/// Which pictures of an evaluation are kept, and where.
#[derive(Clone, Debug)]
pub struct Pictures {
    pub folder: PathBuf,
    /// `<view>.png`, what was rendered.
    pub images: bool,
    /// `<view>-error.png`, see [`error_map`].
    pub error_maps: bool,
}

impl Pictures {
    /// Writes what is wanted of a view, with `/` in its name replaced by `_`.
    ///
    /// # Errors
    /// Where the folder or a file cannot be written.
    pub fn save(&self, compared: &Compared) -> Result<()> {
        let name = compared.score.name.replace(['/', '\\'], "_");
        if self.images {
            self.write(&format!("{name}.png"), compared, &to_rgb8(&compared.frame.rgb))?;
        }
        if self.error_maps {
            self.write(&format!("{name}-error.png"), compared, &error_map(&compared.truth, &compared.frame.rgb))?;
        }
        Ok(())
    }

    fn write(&self, name: &str, compared: &Compared, rgb8: &[u8]) -> Result<()> {
        let path = self.folder.join(name);
        atomic::make_folder_of(&path)?;
        write_png(path, compared.score.width as u32, compared.score.height as u32, Pixels::Rgb8(rgb8))
    }
}

/// Figures over all views.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// dB, the mean over views; infinite where a view's is, which JSON has as null.
    pub psnr: f64,
    /// Standard deviation over views; NaN, in JSON null, where the mean is infinite.
    pub psnr_std: f64,
    pub ssim: Option<f64>,
    pub lpips: Option<f64>,
    pub num_rays_per_sec: f64,
    pub fps: f64,
}

impl Summary {
    /// # Panics
    /// Where there is no view.
    pub fn of(scores: &[ViewScore]) -> Self {
        assert!(!scores.is_empty(), "a summary needs views");
        let n = scores.len() as f64;
        let mean = |value: &dyn Fn(&ViewScore) -> f64| scores.iter().map(value).sum::<f64>() / n;
        let psnr = mean(&|score| score.psnr);
        let seconds = mean(&|score| score.seconds) * n;
        let mean_of_all = |value: &dyn Fn(&ViewScore) -> Option<f64>| {
            let values: Option<Vec<f64>> = scores.iter().map(value).collect();
            values.map(|values| values.iter().sum::<f64>() / n)
        };
        Summary {
            psnr,
            psnr_std: mean(&|score| (score.psnr - psnr).powi(2)).sqrt(),
            ssim: mean_of_all(&|score| score.ssim),
            lpips: mean_of_all(&|score| score.lpips),
            num_rays_per_sec: mean(&|score| (score.width * score.height) as f64) * n / seconds,
            fps: n / seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(psnr: f64) -> ViewScore {
        ViewScore { name: String::new(), psnr, ssim: Some(1.0), lpips: None, seconds: 1.0, width: 1, height: 1 }
    }

    #[test]
    fn an_equal_picture_leaves_null_in_the_place_of_the_infinite() {
        let scores = [score(30.0), score(f64::INFINITY)];
        let summary = serde_json::to_value(Summary::of(&scores)).unwrap();
        assert!(summary["psnr"].is_null() && summary["psnr_std"].is_null(), "{summary}");
        assert_eq!(summary["ssim"], 1.0);
        assert!(serde_json::to_value(&scores[1]).unwrap()["psnr"].is_null());
        assert_eq!(serde_json::to_value(Summary::of(&scores[..1])).unwrap()["psnr"], 30.0);
    }
}
