//! Evaluation: compares rendered views with the ground-truth images.

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use super::protocol::Protocol;
use super::renderer::Renderer;
use crate::media::{Pixels, content_of_png, to_rgb8};
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

/// Number of figures of a [`ViewScore`].
const N_FIGURES: usize = 6;

impl ViewScore {
    /// Returns the figures as bytes, without the name; [`ViewScore::from_figures`] reads them.
    pub fn figures(&self) -> Vec<u8> {
        // A missing figure is a NaN that no computation gives.
        let optional = |figure: Option<f64>| figure.map_or(u64::MAX, f64::to_bits);
        let figures: [u64; N_FIGURES] = [
            self.psnr.to_bits(),
            optional(self.ssim),
            optional(self.lpips),
            self.seconds.to_bits(),
            self.width as u64,
            self.height as u64,
        ];
        bytemuck::cast_slice(&figures).to_vec()
    }

    /// Returns the score of the view `name`, whose [figures](ViewScore::figures) may have come from another rank.
    ///
    /// # Panics
    /// Panics if the bytes are not as many as those of all figures.
    pub fn from_figures(name: &str, figures: &[u8]) -> ViewScore {
        let [psnr, ssim, lpips, seconds, width, height]: [u64; N_FIGURES] = bytemuck::pod_read_unaligned(figures);
        let optional = |bits: u64| (bits != u64::MAX).then(|| f64::from_bits(bits));
        ViewScore {
            name: name.to_owned(),
            psnr: f64::from_bits(psnr),
            ssim: optional(ssim),
            lpips: optional(lpips),
            seconds: f64::from_bits(seconds),
            width: width as usize,
            height: height as usize,
        }
    }
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
    /// Returns the files of the selected images of the view `name`, with `/` and `\` in it replaced by `_`.
    fn files(&self, name: &str) -> Vec<PathBuf> {
        let name = name.replace(['/', '\\'], "_");
        let image = self.images.then(|| self.folder.join(format!("{name}.png")));
        let error_map = self.error_maps.then(|| self.folder.join(format!("{name}-error.png")));
        image.into_iter().chain(error_map).collect()
    }

    /// Returns the selected images of a view as the contents of PNG files.
    ///
    /// # Errors
    /// Returns an error if the images have no pixels.
    pub fn encode(&self, compared: &Compared) -> Result<Vec<Vec<u8>>> {
        let image = self.images.then(|| to_rgb8(&compared.frame.rgb));
        let error_map = self.error_maps.then(|| error_map(&compared.truth, &compared.frame.rgb));
        let (width, height) = (compared.score.width as u32, compared.score.height as u32);
        let encode = |(rgb8, file): (Vec<u8>, PathBuf)| content_of_png(&file, width, height, Pixels::Rgb8(&rgb8));
        image.into_iter().chain(error_map).zip(self.files(&compared.score.name)).map(encode).collect()
    }

    /// Writes the `contents` that [`SavedImages::encode`] returned for the view `name`.
    ///
    /// # Errors
    /// Returns an error if the folder or a file cannot be written.
    pub fn write(&self, name: &str, contents: &[Vec<u8>]) -> Result<()> {
        self.files(name).iter().zip(contents).try_for_each(|(file, content)| {
            atomic::make_folder_of(file)?;
            atomic::write(file, |file| file.write_all(content))
        })
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
    fn figures_are_the_same_behind_bytes() {
        for (psnr, ssim) in [(30.1, None), (f64::INFINITY, Some(f64::NAN)), (-0.3, Some(0.1))] {
            let score = ViewScore { psnr, ssim, lpips: Some(0.7), name: "a/b".to_owned(), width: 7, ..score(0.0) };
            let found = ViewScore::from_figures("a/b", &score.figures());
            assert_eq!(format!("{found:?}"), format!("{score:?}"));
        }
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
