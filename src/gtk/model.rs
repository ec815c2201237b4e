//! The analysed model: a grid with its θ, specified by a text such as `linear`, `mulfagrid,n_levels=1` or
//! `outputs/lego/hash/latest`.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use super::cascade::Cascade;
use super::theta::{ThetaChoice, coefficients_of, theta_of, trained_coefficients, trained_theta};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, GridConfig, GridIndex, ModelName, TaskName};
use crate::decoder::{Decoder, Head};
use crate::device::Device;
use crate::encoding::{self, ActiveNodes, Encoding, Grid, Init, InitContext, PointCloud};
use crate::field::layer_name;
use crate::geometry::UnitCube;
use crate::train::{OUTPUT_DIR, Resolved};
use crate::{Error, Result, names};

/// Models for analysis: a single level, small enough to be understood, with the same geometry for all.
const ALIASES: [(&str, &[&str]); 5] = [
    ("linear", &["kernel=linear"]),
    ("smoothstep", &["kernel=smoothstep"]),
    ("mulfa-paper", &["kernel=mulfa", "mulfa.variant=paper"]),
    ("mulfa-windowed", &["kernel=mulfa", "mulfa.variant=windowed"]),
    ("mulfa-modulated", &["kernel=mulfa", "mulfa.variant=modulated"]),
];
/// Settings that the aliases have in common. A table of 2^22 entries holds every node, so nothing is hashed.
const ALIAS_GRID: [&str; 4] = ["n_levels=1", "n_features_per_level=1", "base_resolution=32", "log2_hashmap_size=22"];
const FEATURES: &str = "grid.features";
/// A model as requested by the user.
#[derive(Clone, Debug)]
pub struct ModelSpec {
    /// Name of the model in figures and tables.
    pub label: String,
    config: Config,
    theta: Option<ThetaChoice>,
    checkpoint: Option<Box<Checkpoint<'static>>>,
}

/// The features and the network of a trained model.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Features, `[n_entries, n_features_per_level]`.
    pub features: Vec<f32>,
    /// Layers of the network behind the grid (for radiance fields, the density network): `(n_out, n_in, weights)` with
    /// weights `[n_out, n_in]`.
    pub layers: Vec<(usize, usize, Vec<f32>)>,
}

/// A grid with a fixed kernel function.
#[derive(Clone)]
pub struct Model {
    /// Name of the model in figures and tables.
    pub label: String,
    /// Configuration of the grid.
    pub config: GridConfig,
    /// Levels and sizes of the grid.
    pub grid: Grid,
    /// The [`PointCloud`], if the nodes are points instead of grid nodes.
    cloud: Option<Arc<dyn Encoding>>,
    /// Parameters of the kernel function, `[n_thetas · n_theta]` (`local`: `[L, D, 1 + 2 K, F]`); empty if it has none.
    pub theta: Vec<f64>,
    /// The cascade of the levels, if they form one.
    pub cascade: Option<Cascade>,
    /// Learned features and network, if the model comes from a checkpoint.
    pub trained: Option<Trained>,
}

impl ModelSpec {
    /// Parses `NAME[,key=value]…`. NAME is one of [`ModelSpec::names`], a JSON config file, a run's folder, a
    /// checkpoint or `latest`. Keys are those of `model.grid`, `label` and `theta`. `common` holds assignments for all
    /// models, which override a model's defaults but not its own keys.
    ///
    /// # Errors
    /// Returns an error if the name, a key or a value is invalid.
    pub fn parse(text: &str, common: &[String]) -> Result<Self> {
        let mut words = text.split(',').map(str::trim);
        let name = words.next().unwrap_or_default();
        let mut spec = ModelSpec::named(name)?;
        let own: Vec<&str> = words.collect();
        for assignment in common.iter().map(String::as_str).chain(own.iter().copied()) {
            spec.set(assignment)?;
        }
        if !own.iter().any(|word| word.starts_with("label=")) && !own.is_empty() {
            spec.label = format!("{} {}", spec.label, own.join(" "));
        }
        spec.config.validate()?;
        Ok(spec)
    }

    /// Returns the names that need no file: the aliases for analysis and the models with a tangent kernel.
    pub fn names() -> Vec<String> {
        let encodings = encodings().map(ModelName::as_str);
        ALIASES.iter().map(|(name, _)| *name).chain(encodings).map(str::to_owned).collect()
    }

    /// Returns the number of dimensions of the checkpoint, if there is one.
    pub fn dimensions(&self) -> Option<u32> {
        self.checkpoint.as_ref().map(|checkpoint| checkpoint.header.config.task.dimensions())
    }

    /// Builds the model in `dimensions` dimensions. `theta` applies if neither a checkpoint nor the model's own key
    /// determines θ.
    ///
    /// # Errors
    /// Returns an error if the model has no grid, if a checkpoint has a different number of dimensions or lacks
    /// parameters, or if the device fails.
    pub fn build(self, device: &Device, dimensions: u32, theta: ThetaChoice, seed: u64) -> Result<Model> {
        if let Some(trained_in) = self.dimensions().filter(|&d| d != dimensions) {
            return Err(Error::config(format!(
                "{} was trained in {trained_in} dimensions, but the points have {dimensions}; give points of {trained_in}",
                self.label
            )));
        }
        let (grid, cloud) = self.grid(device, dimensions, seed)?;
        let choice = self.theta.unwrap_or(theta);
        // A model's own choice of θ takes precedence over its checkpoint.
        let saved = self.checkpoint.as_deref().filter(|_| self.theta.is_none());
        let theta = match (&grid.mulfa, grid.local, saved) {
            (Some(mulfa), _, Some(checkpoint)) => trained_theta(mulfa, checkpoint)?,
            (Some(mulfa), _, None) => theta_of(mulfa, device, choice, seed)?,
            (None, Some(local), Some(checkpoint)) => trained_coefficients(local, checkpoint)?,
            (None, Some(local), None) => coefficients_of(local, choice, seed),
            (None, None, _) => Vec::new(),
        };
        let cascade = match (grid.cascade, saved) {
            (Some(shape), Some(checkpoint)) => Some(Cascade::read(shape, checkpoint)?),
            (Some(shape), None) => Some(Cascade::new(shape, choice, seed)),
            (None, _) => None,
        };
        let trained = match self.checkpoint {
            Some(checkpoint) => Some(Trained::read(&checkpoint, &grid)?),
            None => None,
        };
        Ok(Model { label: self.label, config: self.config.model.grid, grid, cloud, theta, cascade, trained })
    }

    /// Creates the grid, and the encoding that holds the nodes if it is a point cloud.
    fn grid(&self, device: &Device, dimensions: u32, seed: u64) -> Result<(Grid, Option<Arc<dyn Encoding>>)> {
        let config = &self.config.model.grid;
        match nodes_of(config.index) {
            Nodes::Absent(why) => {
                let what = format!("{} {why}, and so no grid tangent kernel; give a model with one", self.label);
                return Err(Error::config(what));
            }
            Nodes::OfLevels => return Ok((Grid::new(config, dimensions), None)),
            Nodes::OfEncoding => {}
        }
        let context = InitContext { seed, unit_cube: UnitCube::new(1.0, [0.0; 3]), box_side: 1.0 };
        let init = self.checkpoint.as_deref().map_or(Init::New(&context), Init::Saved);
        let (grid, cloud) = encoding::open(device, config, Head::Values { dimensions, n_outputs: 1 }, &init)?;
        Ok((grid, cloud.map(Arc::from)))
    }

    fn named(name: &str) -> Result<Self> {
        let mut config = Config::default();
        let plain = |label: &str, config| ModelSpec { label: label.to_owned(), config, theta: None, checkpoint: None };
        if let Some((alias, keys)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
            ALIAS_GRID.iter().chain(*keys).try_for_each(|key| config.set(&format!("model.grid.{key}")))?;
            return Ok(plain(alias, config));
        }
        if encodings().any(|encoding| encoding.as_str() == name) {
            config.set(&format!("model.name={name}"))?;
            return Ok(plain(name, config));
        }
        let path = Path::new(name);
        if names::extension(path) == "json" {
            return Ok(plain(&stem(path), Config::load(path)?));
        }
        if name != "latest" && !path.exists() {
            return Err(unknown(name));
        }
        let checkpoint = Checkpoint::read(&Resolved::find(path, Path::new(OUTPUT_DIR))?.checkpoint)?;
        let (config, label) = (checkpoint.header.config.clone(), stem(path));
        Ok(ModelSpec { label, config, theta: None, checkpoint: Some(Box::new(checkpoint)) })
    }

    fn set(&mut self, assignment: &str) -> Result<()> {
        match assignment.split_once('=') {
            Some(("label", label)) => self.label = label.to_owned(),
            Some(("theta", choice)) => {
                self.theta = Some(match choice {
                    "random" => ThetaChoice::Random,
                    "initial" => ThetaChoice::Initial,
                    _ => return Err(Error::config(format!("{assignment}: expected theta=random or theta=initial"))),
                });
            }
            Some((key, value)) if self.checkpoint.is_some() => {
                return Err(Error::config(format!(
                    "{}: {key}={value} cannot change a trained model; only label and theta can be set",
                    self.label
                )));
            }
            _ => self.config.set(&format!("model.grid.{assignment}"))?,
        }
        Ok(())
    }
}

impl Model {
    /// Creates a model from an untrained grid that is not a point cloud, and whose levels form no cascade.
    pub fn of_grid(label: &str, config: GridConfig, grid: Grid, theta: Vec<f64>) -> Self {
        Model { label: label.to_owned(), config, grid, cloud: None, theta, cascade: None, trained: None }
    }

    /// Returns the number of entries of the feature table.
    pub fn n_entries(&self) -> usize {
        self.grid.n_entries()
    }

    /// Returns the number of features of a node on which the scalar model depends: the first or, in a cascade, all.
    pub(super) fn features_per_node(&self) -> usize {
        if self.cascade.is_some() { self.grid.n_features_per_level as usize } else { 1 }
    }

    /// Computes φ at `x` (`[n, D]`, in [0, 1]) for a kernel function with parameters `theta`.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn active_nodes(&self, device: &Device, x: &[f64], theta: &[f64]) -> Result<ActiveNodes> {
        let cloud = self.cloud.as_deref().and_then(|encoding| (encoding as &dyn Any).downcast_ref::<PointCloud>());
        match cloud {
            Some(cloud) => cloud.active_nodes(device, x),
            None => self.grid.active_nodes(device, x, theta),
        }
    }
}

impl Trained {
    fn read(checkpoint: &Checkpoint, grid: &Grid) -> Result<Self> {
        let config = &checkpoint.header.config;
        let shape = [grid.n_entries(), grid.n_features_per_level as usize];
        let features = checkpoint.get::<f32>(FEATURES, &shape)?.to_vec();
        // The number of values does not matter: layers are padded, and only the first value is used.
        let head = match config.task {
            TaskName::Radiance => Head::Radiance,
            TaskName::Image | TaskName::Sdf => Head::Values { dimensions: grid.dimensions, n_outputs: 1 },
        };
        let decoder = Decoder::new(&config.model, head, grid.n_features());
        let first = decoder.layers.iter().take(decoder.n_density_layers).enumerate();
        let layers = first.map(|(number, layer)| {
            let (n_out, n_in) = (layer.n_out as usize, layer.n_in as usize);
            let name = layer_name(&decoder, number);
            Ok((n_out, n_in, checkpoint.get::<f32>(&name, &[n_out, n_in])?.to_vec()))
        });
        Ok(Trained { features, layers: layers.collect::<Result<_>>()? })
    }
}

/// Where a model's active nodes and their weights φ come from.
enum Nodes {
    /// From the levels of the grid.
    OfLevels,
    /// From its encoding, which finds them.
    OfEncoding,
    /// The model is not a sum `Σ φ(x, p) w_p` over nodes, for the reason given, as in "has no grid".
    Absent(&'static str),
}

fn nodes_of(index: GridIndex) -> Nodes {
    match index {
        GridIndex::Hash | GridIndex::Dense | GridIndex::Fourier => Nodes::OfLevels,
        GridIndex::Points => Nodes::OfEncoding,
        GridIndex::None => Nodes::Absent("has no grid"),
    }
}

/// Returns the encodings of the family that have a tangent kernel.
fn encodings() -> impl Iterator<Item = ModelName> {
    let all = ModelName::ALL.iter().copied();
    all.filter(|encoding| !matches!(nodes_of(encoding.grid().index), Nodes::Absent(_)))
}

/// Returns the name of a file in figures: the last part of its path, without the extension.
fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(|| path.display().to_string(), |stem| stem.to_string_lossy().into_owned())
}

fn unknown(name: &str) -> Error {
    let names = ModelSpec::names();
    let nearest = names.iter().max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    Error::config(format!(
        "`{name}` is not a model, a config file or a run; the nearest model is `{}` of {}",
        nearest.map_or("", String::as_str),
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MulfaVariant;
    use crate::device::DeviceChoice;

    fn model(text: &str, theta: ThetaChoice) -> Model {
        let device = Device::open(DeviceChoice::Cpu, 1).unwrap();
        ModelSpec::parse(text, &[]).unwrap().build(&device, 1, theta, 3).unwrap()
    }

    #[test]
    fn every_name_is_a_model() {
        for name in ModelSpec::names() {
            assert_eq!(ModelSpec::parse(&name, &[]).unwrap().label, name);
        }
    }

    #[test]
    fn own_keys_go_over_common_ones() {
        let common = ["base_resolution=10".to_owned(), "n_levels=3".to_owned()];
        let spec = ModelSpec::parse("mulfa-paper,n_levels=2,label=two", &common).unwrap();
        let grid = &spec.config.model.grid;
        assert_eq!((grid.base_resolution, grid.n_levels, spec.label.as_str()), (10, 2, "two"));
        assert_eq!(grid.mulfa.variant, MulfaVariant::Paper);
    }

    #[test]
    fn a_random_theta_has_output_weights_and_an_initial_one_has_none() {
        let w_out = |theta| {
            let model = model("mulfa-modulated", theta);
            let block =
                model.grid.mulfa.as_ref().unwrap().blocks().into_iter().find(|block| block.name == "w_out").unwrap();
            model.theta[block.range()].to_vec()
        };
        assert!(w_out(ThetaChoice::Initial).iter().all(|&w| w == 0.0));
        assert!(w_out(ThetaChoice::Random).iter().all(|&w| w != 0.0));
    }

    #[test]
    fn mistakes_name_what_was_meant() {
        let error = |text: &str| ModelSpec::parse(text, &[]).unwrap_err().to_string();
        assert!(error("mulfa-pape").contains("the nearest model is `mulfa-paper`"));
        assert!(error("linear,n_level=2").contains("`model.grid.n_levels`"));
        assert!(error("linear,theta=big").contains("theta=random"));
    }
}
