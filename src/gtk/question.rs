//! What is measured: models by their names, and the points at which they are compared.

use std::path::PathBuf;

use super::{Arrangement, Finding, ModelSpec, Points, Study, ThetaChoice, memory, study};
use crate::device::Device;
use crate::{Error, Result};

/// The kernels with one level, and a cascade of two levels beside the same levels without it.
const MODELS: [&str; 8] = [
    "linear",
    "smoothstep",
    "mulfa-paper",
    "mulfa-windowed",
    "mulfa-modulated",
    "linear,kernel=local,label=local",
    "linear,n_levels=2,base_resolution=16,label=linear 16–32",
    "linear,n_levels=2,base_resolution=16,cascade=true,label=cascade 16–32",
];
/// Models for comparing bounds with errors on data: enough of them for a meaningful rank correlation, and each with a
/// level fine enough to resolve a few hundred pixels.
const DATA_MODELS: [&str; 12] = [
    "linear,base_resolution=64,label=linear 64",
    "linear,base_resolution=96,label=linear 96",
    "linear,base_resolution=8,n_levels=4,label=linear 8–64",
    "linear,base_resolution=8,n_levels=5,label=linear 8–128",
    "linear,base_resolution=4,n_levels=6,label=linear 4–128",
    "smoothstep,base_resolution=64,label=smoothstep 64",
    "smoothstep,base_resolution=8,n_levels=4,label=smoothstep 8–64",
    "smoothstep,base_resolution=4,n_levels=6,label=smoothstep 4–128",
    "mulfa-paper,base_resolution=8,n_levels=4,label=mulfa-paper 8–64",
    "mulfa-windowed,base_resolution=8,n_levels=4,label=mulfa-windowed 8–64",
    "mulfa-windowed,base_resolution=4,n_levels=6,label=mulfa-windowed 4–128",
    "mulfa-modulated,base_resolution=8,n_levels=4,label=mulfa-modulated 8–64",
];

/// Models and points, as a user names them.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The models, as [`ModelSpec::parse`] reads them; if there are none, a choice that suits the points.
    pub models: Vec<String>,
    /// Assignments of keys of `model.grid` for all models, as in `base_resolution=64`.
    pub set: Vec<String>,
    /// Parameters of learned kernel functions, unless a checkpoint has them.
    pub theta: ThetaChoice,
    /// Number of dimensions, from 1 to 3; None for that of the data or the checkpoint, or else 1.
    pub dimensions: Option<u32>,
    /// Largest number of points.
    pub n: usize,
    /// Arrangement of the points, if they are not taken from data.
    pub arrangement: Arrangement,
    /// Where to take the points from; see [`Points::of_data`].
    pub data: Option<PathBuf>,
    /// JSON list of the labels to learn; None for those of the data, or else a sum of two waves.
    pub labels: Option<PathBuf>,
    /// Seed of random points, features and parameters.
    pub seed: u64,
}

impl Default for Question {
    fn default() -> Self {
        Question {
            models: Vec::new(),
            set: Vec::new(),
            theta: ThetaChoice::Random,
            dimensions: None,
            n: 256,
            arrangement: Arrangement::Regular,
            data: None,
            labels: None,
            seed: 0,
        }
    }
}

impl Question {
    /// Builds the models and the points, and measures. `progress` is called after each model.
    ///
    /// # Errors
    /// Returns an error if a model or the points are not as they should be, if there is not enough memory, and the errors
    /// of `measure`.
    pub fn measure(
        &self,
        device: &Device,
        progress: &dyn Fn(),
        measure: impl Fn(&Study) -> Result<Finding>,
    ) -> Result<Finding> {
        let specs = self.specs()?;
        let points = self.points(&specs)?;
        let build = |spec: ModelSpec| spec.build(device, points.dimensions, self.theta, self.seed);
        let mut models = specs.into_iter().map(build).collect::<Result<Vec<_>>>()?;
        study::tell_apart(&mut models);
        measure(&Study { device, models, points, seed: self.seed, progress })
    }

    /// Checks the models and the points without measuring anything.
    ///
    /// # Errors
    /// As for [`Question::measure`].
    pub fn check(&self) -> Result<()> {
        self.points(&self.specs()?).map(drop)
    }

    /// Returns the number of models.
    pub fn n_models(&self) -> usize {
        self.names().len()
    }

    fn names(&self) -> Vec<&str> {
        let default: &[&str] = if self.data.is_some() { &DATA_MODELS } else { &MODELS };
        if self.models.is_empty() { default.to_vec() } else { self.models.iter().map(String::as_str).collect() }
    }

    fn specs(&self) -> Result<Vec<ModelSpec>> {
        self.names().into_iter().map(|text| ModelSpec::parse(text, &self.set)).collect()
    }

    /// Returns the points and their labels.
    ///
    /// # Errors
    /// Returns an error if there is not enough memory or if two points coincide, among others.
    fn points(&self, specs: &[ModelSpec]) -> Result<Points> {
        memory::require(self.n, 0.0)?;
        let mut points = match &self.data {
            Some(path) => Points::of_data(path, self.n, self.seed)?,
            None => {
                let dimensions = self.dimensions.or_else(|| specs.iter().find_map(ModelSpec::dimensions)).unwrap_or(1);
                Points::arranged(self.arrangement, self.n, dimensions, self.seed)
            }
        };
        if let Some(dim) = self.dimensions.filter(|&dim| dim != points.dimensions) {
            return Err(Error::config(format!("--dim is {dim}, but the data have {} dimensions", points.dimensions)));
        }
        memory::require(points.n(), 0.0)?;
        points.require_distinct()?;
        if let Some(path) = &self.labels {
            points.read_labels(path)?;
        }
        Ok(points.with_wave(self.seed))
    }
}
