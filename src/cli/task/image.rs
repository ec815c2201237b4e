//! Evaluating and rendering fitted images.

use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoint;
use crate::cli::outcome::Outcome;
use crate::cli::print;
use crate::cli::render::Crop;
use crate::cli::trained::Trained;
use crate::fit::Predictor;
use crate::image_field::{Image, ImageReport, Part, Shape, compare, render as render_part, side_by_side, write_image};
use crate::media::{Pixels, write_png};
use crate::metrics::error_map;
use crate::{Error, Result, atomic, names};

/// Maximum width and height in pixels of each image in the side-by-side comparison.
const SHOWN_SIDE: u32 = 1024;

/// What to keep of an evaluation in addition to its figures.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    pub images: bool,
    pub error_maps: bool,
}

/// Reads the image that a checkpoint's field was fitted to.
///
/// # Errors
/// Returns an error if the file cannot be read, or if its size or number of channels has changed.
pub fn reopen_image(checkpoint: &Checkpoint) -> Result<Image> {
    let path = &checkpoint.header.config.image.path;
    let image = Image::read(path)?;
    let (found, expected) = (Shape::of(&image), Shape::from_checkpoint(checkpoint)?);
    if found != expected {
        let what = format!(
            "is {}, but the field was fitted to {}×{} pixels of {} channels; give the image of the run",
            image.describe(),
            expected.width,
            expected.height,
            expected.n_channels
        );
        return Err(Error::file(path, what));
    }
    Ok(image)
}

fn predictor(trained: &Trained) -> Result<(Shape, Predictor)> {
    let shape = Shape::from_checkpoint(&trained.checkpoint)?;
    Ok((shape, Predictor::from_checkpoint(&trained.device, &trained.checkpoint, shape.head())?))
}

/// Compares a fitted field with its image, writes the figures to `output` and an image with the truth, the fit and the
/// error side by side to the run's renders, and prints where they are.
pub fn eval(trained: &Trained, kept: Kept, output: &Path) -> anyhow::Result<Outcome> {
    let Trained { device, resolved, checkpoint } = trained;
    let image = reopen_image(checkpoint)?;
    let (shape, predictor) = predictor(trained)?;
    let comparison = compare(&predictor, &image)?;
    let n_parameters = predictor.n_parameters();
    let report = ImageReport::new(&checkpoint.header, &resolved.checkpoint, device, &image, &comparison, n_parameters);
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

/// Renders a fitted image, or the part `crop` of it, at the requested size; by default one pixel for each pixel of
/// the image.
pub fn render(
    trained: &Trained,
    crop: Option<Crop>,
    size: (Option<u32>, Option<u32>),
    output: Option<PathBuf>,
) -> anyhow::Result<Outcome> {
    let (shape, predictor) = predictor(trained)?;
    let part = part(&shape, crop, size)?;
    let path = match output {
        Some(folder) if names::is_folder(&folder.to_string_lossy()) => folder.join("image.png"),
        Some(path) => path,
        None => trained.resolved.renders_folder().join("image.png"),
    };
    atomic::make_folder_of(&path)?;
    let values = render_part(&predictor, &part)?;
    write_image(&path, (part.width, part.height), &values, shape.n_channels, shape.is_hdr)?;
    print::to_stdout(&path.to_string_lossy())?;
    Ok(Outcome::Done)
}

/// Colour around a fitted image in the viewer.
pub const AROUND: [f32; 3] = [0.09, 0.1, 0.12];

/// Returns the scene of a fitted image for the viewer: one without photographs.
pub fn viewed_scene(name: &str) -> crate::scene::Scene {
    let unit_cube = crate::geometry::UnitCube::new(1.0, [0.0; 3]);
    let scene = crate::scene::Scene::turntable(name, unit_cube, [0.0; 3], 1.0);
    crate::scene::Scene { splits: Default::default(), ..scene }
}

/// Opens a field for the viewer. Without the image that it was fitted to, there is nothing to compare with, but there is
/// a field.
#[cfg(feature = "viewer")]
pub fn viewable(trained: &Trained) -> Result<crate::cli::viewer::Viewable> {
    use std::sync::Arc;

    let original = reopen_image(&trained.checkpoint);
    if let Err(error) = &original {
        print::to_stderr(&format!("gridfield: note: the fit is shown without the original: {error}"));
    }
    let (shape, predictor) = predictor(trained)?;
    let scene = viewed_scene(&trained.checkpoint.header.scene);
    let renderer = Box::new(crate::image_field::ImagePlane::new(predictor, shape, original.ok().map(Arc::new)));
    let image = Some([shape.width, shape.height]);
    Ok(crate::cli::viewer::Viewable { renderer, scene, background: AROUND, image })
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
