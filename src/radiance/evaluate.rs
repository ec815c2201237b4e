//! Evaluation: compares rendered views with the ground-truth images.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::protocol::Protocol;
use super::renderer::Renderer;
use crate::media::{Pixels, to_rgb8, write_png};
use crate::metrics::{Lpips, error_map, psnr, ssim};
use crate::render::Frame;
use crate::scene::View;
use crate::{Result, atomic};

/// Scores of one view.
#[derive(Clone, Debug, Serialize)]
pub struct ViewScore {
    /// Name of the view.
    pub name: String,
    /// PSNR in dB, with peak 1, over all channels in sRGB. Infinite if the images are equal, which JSON represents as
    /// null.
    pub psnr: f64,
    /// SSIM; None if a side is shorter than the 11-pixel window.
    pub ssim: Option<f64>,
    /// LPIPS distance; None if it was not measured, or if a side is too short for the network.
    pub lpips: Option<f64>,
    /// Rendering time in seconds.
    pub seconds: f64,
    /// Width of the compared images in pixels.
    pub width: usize,
    /// Height of the compared images in pixels.
    pub height: usize,
}

/// A view's score and the images it was computed from, both as prepared by the protocol.
pub struct Compared {
    /// The scores.
    pub score: ViewScore,
    /// The rendered image.
    pub frame: Frame,
    /// The ground-truth image over the background, sRGB, `[h, w, 3]`.
    pub truth: Vec<f32>,
}

/// Renders a view's camera and compares it with the view's image according to `protocol`, both over `background`
/// (sRGB).
///
/// # Errors
/// Returns an error if the image cannot be read or the field cannot be rendered.
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
    /// Adds the LPIPS distance to the score.
    pub fn measure_lpips(&mut self, lpips: &Lpips) {
        self.score.lpips = lpips.distance(&self.frame.rgb, &self.truth, self.frame.width, self.frame.height);
    }
}

/// Selects which images of an evaluation are saved, and where.
#[derive(Clone, Debug)]
pub struct SavedImages {
    /// Folder that the images are written to.
    pub folder: PathBuf,
    /// Save the rendered image as `<view>.png`.
    pub images: bool,
    /// Save the [`error_map`] as `<view>-error.png`.
    pub error_maps: bool,
}

impl SavedImages {
    /// Writes the selected images of a view, with `/` and `\` in its name replaced by `_`.
    ///
    /// # Errors
    /// Returns an error if the folder or a file cannot be written.
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

/// Scores over all views.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Mean over views in dB; infinite if any view's is, which JSON represents as null.
    pub psnr: f64,
    /// Standard deviation over views; NaN if the mean is infinite, which JSON represents as null.
    pub psnr_std: f64,
    /// Mean SSIM over views; None if it was not measured.
    pub ssim: Option<f64>,
    /// Mean LPIPS over views; None if it was not measured.
    pub lpips: Option<f64>,
    /// Rays rendered per second.
    pub num_rays_per_sec: f64,
    /// Views rendered per second.
    pub fps: f64,
}

impl Summary {
    /// Summarizes the scores.
    ///
    /// # Panics
    /// Panics if `scores` is empty.
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
    fn an_equal_image_leaves_null_in_the_place_of_the_infinite() {
        let scores = [score(30.0), score(f64::INFINITY)];
        let summary = serde_json::to_value(Summary::of(&scores)).unwrap();
        assert!(summary["psnr"].is_null() && summary["psnr_std"].is_null(), "{summary}");
        assert_eq!(summary["ssim"], 1.0);
        assert!(serde_json::to_value(&scores[1]).unwrap()["psnr"].is_null());
        assert_eq!(serde_json::to_value(Summary::of(&scores[..1])).unwrap()["psnr"], 30.0);
    }
}
