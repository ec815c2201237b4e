//! Coordinates at which kernels are analysed, and their labels. Coordinates are regular, random, or taken from data.

use std::collections::HashMap;
use std::path::Path;

use image::ImageReader;
use serde_json::Value;

use super::random::Random;
use crate::checkpoint::Checkpoint;
use crate::config::{Config, SceneConfig, TaskName};
use crate::geometry::cell_of_number;
use crate::names::{self, IMAGE_EXTENSIONS};
use crate::radiance::open_scene;
use crate::scene::{Image8, Scene};
use crate::train::{OUTPUT_DIR, Resolved};
use crate::{Error, Result, text};

/// Random stream for drawing points and for choosing among them.
const POINTS: u64 = 1;
/// Turns the seed of the points into that of the held-out points (by XOR).
const HELD_OUT: u64 = 1 << 63;

/// Arrangement of points that are not taken from data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Arrangement {
    /// Centres of equal cells; as many cells as the largest m^D that does not exceed n
    Regular,
    /// Uniform in the unit cube
    Random,
}

/// `n` points in `[0, 1]^D`.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// Number of dimensions `D`: 1, 2 or 3.
    pub dimensions: u32,
    /// Coordinates, `[n, D]`.
    pub x: Vec<f64>,
    /// Description of where the points come from.
    pub source: String,
    /// Labels, `[n]`; None if there is nothing to learn.
    pub labels: Option<Vec<f64>>,
    /// Points and labels from the same source, used only for measuring errors.
    pub held_out: Option<(Vec<f64>, Vec<f64>)>,
}

impl Points {
    /// Creates at most `n` points that are not taken from data.
    pub fn arranged(arrangement: Arrangement, n: usize, dimensions: u32, seed: u64) -> Self {
        let d = dimensions as usize;
        let (x, source) = match arrangement {
            Arrangement::Regular => {
                let m = per_axis(n, dimensions);
                let axis = |point: usize, axis: usize| ((point / m.pow(axis as u32) % m) as f64 + 0.5) / m as f64;
                let x = (0..m.pow(dimensions)).flat_map(|point| (0..d).map(move |k| axis(point, k))).collect();
                (x, format!("regular, {m} per axis"))
            }
            Arrangement::Random => {
                let mut random = Random::new(seed, POINTS);
                ((0..n * d).map(|_| random.unit()).collect(), format!("random, seed {seed}"))
            }
        };
        Points { dimensions, x, source, labels: None, held_out: None }
    }

    /// Takes points from data: a JSON list of coordinates; pixels of an image, or of the first training view of a
    /// scene, with their grey values as labels and the same number of pixels held out; or points in occupied cells of a
    /// run's checkpoint.
    ///
    /// # Errors
    /// Returns an error if the path is none of these or has too few points for `n`. A JSON list is always used as a
    /// whole.
    pub fn of_data(path: &Path, n: usize, seed: u64) -> Result<Self> {
        if path.is_dir() && Scene::is_at(path) {
            let scene = open_scene(&SceneConfig { path: path.to_path_buf(), ..SceneConfig::default() })?;
            let view = &scene.splits.train[0];
            return of_image(view.image_path(), &view.load(1)?, scene.background, n, seed);
        }
        match names::extension(path).as_str() {
            "json" => of_list(path),
            image if IMAGE_EXTENSIONS.contains(&image) => of_image(path, &decode(path)?, [1.0; 3], n, seed),
            _ if path.is_dir() || path.is_file() || path == Path::new("latest") => of_checkpoint(path, n, seed),
            _ => Err(Error::file(
                path,
                "there is no such data; give a list of points (.json), an image (.png, .jpg), a scene or a run",
            )),
        }
    }

    /// Returns the number of points.
    pub fn n(&self) -> usize {
        self.x.len() / self.dimensions as usize
    }

    /// Reads labels from a JSON list of numbers.
    ///
    /// # Errors
    /// Returns an error if the file is not such a list, or if it does not have exactly one number per point.
    pub fn read_labels(&mut self, path: &Path) -> Result<()> {
        let values = numbers(path, &read_json(path)?, "a list of numbers, one for each point")?;
        if values.len() != self.n() {
            return Err(Error::file(
                path,
                format!("holds {} labels, but there are {} points; give one for each", values.len(), self.n()),
            ));
        }
        self.labels = Some(values);
        self.held_out = None;
        Ok(())
    }

    /// Returns the first pair of identical points, if there is one.
    pub(super) fn duplicates(&self) -> Option<(usize, usize)> {
        let mut seen = HashMap::new();
        for (index, point) in self.x.chunks_exact(self.dimensions as usize).enumerate() {
            // Adding 0 turns −0 into 0, so that the two are equal.
            let bits: Vec<u64> = point.iter().map(|x| (x + 0.0).to_bits()).collect();
            if let Some(first) = seen.insert(bits, index) {
                return Some((first, index));
            }
        }
        None
    }

    /// Checks that all points are distinct. Identical points have equal rows of Φ, which makes G singular for every
    /// model.
    ///
    /// # Errors
    /// Returns an error with the indices and coordinates of two identical points.
    pub fn require_distinct(&self) -> Result<()> {
        self.duplicates().map_or(Ok(()), |(first, second)| {
            let d = self.dimensions as usize;
            let place = &self.x[first * d..(first + 1) * d];
            Err(Error::config(format!(
                "points {first} and {second} are the same, {place:?}, so that G is singular; remove one of them"
            )))
        })
    }

    /// Sets labels from [`wave`] if there are none yet, and adds the same number of random held-out points.
    pub fn with_wave(mut self, seed: u64) -> Self {
        if self.labels.is_none() {
            let held_out = Points::arranged(Arrangement::Random, self.n(), self.dimensions, seed ^ HELD_OUT).x;
            let waves = |x: &[f64]| x.chunks_exact(self.dimensions as usize).map(wave).collect::<Vec<f64>>();
            let labels = waves(&self.x);
            self.held_out = Some((held_out.clone(), waves(&held_out)));
            self.labels = Some(labels);
        }
        self
    }
}

/// Evaluates the function to learn if no labels are given: along every axis, a slow wave plus one with five times its
/// frequency.
pub fn wave(point: &[f64]) -> f64 {
    use std::f64::consts::TAU;
    let sum: f64 = point.iter().map(|x| (TAU * x).sin() + 0.5 * (5.0 * TAU * x + 1.0).sin()).sum();
    sum / point.len() as f64
}

/// Returns the largest m with m^D ≤ n, but at least 1.
fn per_axis(n: usize, dimensions: u32) -> usize {
    let m = (n as f64).powf(1.0 / f64::from(dimensions)).round() as usize;
    if m.checked_pow(dimensions).is_some_and(|all| all <= n) { m.max(1) } else { (m - 1).max(1) }
}

/// Returns the name of a file in figures and reports: only the last part of its path, since the folders say more about
/// the machine than about the data.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn read_json(path: &Path) -> Result<Value> {
    let text = text::read(path).map_err(|e| Error::file(path, format!("cannot be read ({e}); check the path")))?;
    serde_json::from_str(&text).map_err(|e| Error::file(path, format!("not valid JSON ({e})")))
}

fn numbers(path: &Path, value: &Value, expected: &str) -> Result<Vec<f64>> {
    let list = value.as_array().map(|list| list.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>());
    list.flatten().ok_or_else(|| Error::file(path, format!("is not {expected}")))
}

/// Reads a list of points: `[0.1, 0.2, …]` in one dimension, `[[0.1, 0.2], …]` in one to three.
fn of_list(path: &Path) -> Result<Points> {
    let expected = "a list of points, each a number or a list of 1 to 3 numbers, all alike";
    let value = read_json(path)?;
    let list = value.as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Error::file(path, format!("is not {expected}")))?;
    let dimensions = list[0].as_array().map_or(1, Vec::len);
    let mut x = Vec::new();
    for (index, point) in list.iter().enumerate() {
        let point = if point.is_number() { Value::Array(vec![point.clone()]) } else { point.clone() };
        let point = numbers(path, &point, expected)?;
        if point.len() != dimensions || !(1..=3).contains(&dimensions) {
            return Err(Error::file(path, format!("is not {expected}: point {index} has {} numbers", point.len())));
        }
        if let Some(outside) = point.iter().find(|x| !(0.0..=1.0).contains(*x)) {
            let what = format!("point {index} has the coordinate {outside}, but grids cover 0 to 1; scale the points");
            return Err(Error::file(path, what));
        }
        x.extend(point);
    }
    let source = file_name(path);
    Ok(Points { dimensions: dimensions as u32, x, source, labels: None, held_out: None })
}

fn decode(path: &Path) -> Result<Image8> {
    let image = ImageReader::open(path)
        .and_then(ImageReader::with_guessed_format)
        .map_err(|e| Error::file(path, format!("the image cannot be read ({e}); check the path")))?
        .decode()
        .map_err(|e| Error::file(path, format!("the image cannot be decoded ({e}); give a PNG or JPEG")))?
        .into_rgba8();
    Ok(Image8 { width: image.width(), height: image.height(), rgba: image.into_raw() })
}

/// Chooses `n` pixels, and another `n` that are held out. Points are the pixel centres, and labels the grey values
/// minus their mean.
fn of_image(path: &Path, image: &Image8, background: [f32; 3], n: usize, seed: u64) -> Result<Points> {
    let (width, n_pixels) = (image.width as usize, image.width as usize * image.height as usize);
    if 2 * n > n_pixels {
        let what = format!("has {n_pixels} pixels, but {n} to learn from and {n} to test on are asked for; lower -n");
        return Err(Error::file(path, what));
    }
    let rgb = image.over(background);
    // The same pixel coordinates as in image fields.
    let size = [image.width, image.height].map(f64::from);
    let place = |pixel: usize| [((pixel % width) as f64 + 0.5) / size[0], ((pixel / width) as f64 + 0.5) / size[1]];
    // ITU-R BT.709 luma, computed directly from sRGB values.
    let grey = |pixel: usize| {
        let c = &rgb[3 * pixel..3 * pixel + 3];
        0.2126 * f64::from(c[0]) + 0.7152 * f64::from(c[1]) + 0.0722 * f64::from(c[2])
    };
    let chosen = Random::new(seed, POINTS).choose(2 * n, n_pixels);
    let mean = chosen[..n].iter().map(|&pixel| grey(pixel)).sum::<f64>() / n as f64;
    let labels = |pixels: &[usize]| pixels.iter().map(|&pixel| grey(pixel) - mean).collect::<Vec<f64>>();
    let places = |pixels: &[usize]| pixels.iter().flat_map(|&pixel| place(pixel)).collect::<Vec<f64>>();
    Ok(Points {
        dimensions: 2,
        x: places(&chosen[..n]),
        source: format!("pixels of {}, seed {seed}", file_name(path)),
        labels: Some(labels(&chosen[..n])),
        held_out: Some((places(&chosen[n..]), labels(&chosen[n..]))),
    })
}

/// Takes points from a checkpoint: for an image field, pixels of the image; for a radiance field, one random point in
/// each of `n` occupied cells of the finest cascade of its occupancy grid, where the field is sampled most densely.
fn of_checkpoint(path: &Path, n: usize, seed: u64) -> Result<Points> {
    let resolved = Resolved::find(path, Path::new(OUTPUT_DIR))?;
    let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
    let Config { task, image, march, .. } = &checkpoint.header.config;
    match task {
        TaskName::Radiance => {}
        TaskName::Image => return of_image(&image.path, &decode(&image.path)?, [1.0; 3], n, seed),
        TaskName::Sdf => {
            return Err(Error::file(path, "is a distance field, which knows no occupied cells; give points"));
        }
    }
    let resolution = march.occupancy_resolution as usize;
    let shape = [march.cascades as usize, resolution.pow(3) / 8];
    let bits: &[u8] = checkpoint.get("occupancy.bits", &shape)?;
    let occupied: Vec<usize> = (0..resolution.pow(3)).filter(|&cell| bits[cell / 8] >> (cell % 8) & 1 == 1).collect();
    if occupied.len() < n {
        let what = format!("has {} occupied cells, but {n} points are asked for; lower -n", occupied.len());
        return Err(Error::file(path, what));
    }
    let mut random = Random::new(seed, POINTS);
    let chosen = random.choose(n, occupied.len());
    let corners = chosen.into_iter().flat_map(|k| cell_of_number(occupied[k], resolution));
    let x = corners.map(|corner| (corner as f64 + random.unit()) / resolution as f64).collect();
    let source = format!("occupied cells of {}, seed {seed}", file_name(&resolved.checkpoint));
    Ok(Points { dimensions: 3, x, source, labels: None, held_out: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_points_are_centres_of_cells() {
        let line = Points::arranged(Arrangement::Regular, 4, 1, 0);
        assert_eq!(line.x, [0.125, 0.375, 0.625, 0.875]);
        let plane = Points::arranged(Arrangement::Regular, 10, 2, 0);
        assert_eq!((plane.n(), &plane.x[..4]), (9, &[0.5 / 3.0, 0.5 / 3.0, 1.5 / 3.0, 0.5 / 3.0][..]));
    }

    #[test]
    fn powers_below_a_number_are_found_without_rounding_up() {
        assert_eq!(
            [per_axis(1, 3), per_axis(26, 3), per_axis(27, 3), per_axis(4096, 3), per_axis(4095, 3)],
            [1, 2, 3, 16, 15]
        );
    }

    #[test]
    fn points_that_are_the_same_are_found() {
        let mut points = Points::arranged(Arrangement::Random, 50, 2, 1);
        assert_eq!(points.duplicates(), None);
        points.x.copy_within(6..8, 80);
        assert_eq!(points.duplicates(), Some((3, 40)));
    }
}
