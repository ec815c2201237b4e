//! `gridfield info`: describe a scene, a run or a checkpoint.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum as _};
use serde_json::Value;

use super::flags::refuse;
use super::outcome::Outcome;
use super::reading::ReadingArgs;
use super::run_args::PlaceArgs;
use super::{info_scene, print};
use crate::checkpoint::{Checkpoint, Header, Summary, TensorSummary};
use crate::config::{
    Config, CoordinateNetworkConfig, CoordinateNetworkKind, GridConfig, GridIndex, ModelName, NetworkConfig, TaskName,
};
use crate::decoder::{Head, LayerNeurons};
use crate::encoding::{CoordinateNetworkShape, Cost, Grid};
use crate::scene::{OpenOptions, Scene};
use crate::train::Run;
use crate::{Error, Result, atomic, names};

#[derive(Debug, Args)]
pub struct InfoArgs {
    /// A scene's folder or transforms.json, a run's folder, a checkpoint file, or `latest`
    #[arg(value_name = "SCENE|RUN|CHECKPOINT", required_unless_present = "models")]
    pub path: Option<PathBuf>,

    /// List the encodings of the model family with their default settings
    #[arg(long, conflicts_with = "path")]
    pub models: bool,

    /// For a scene: also draw its cameras from above and from the side, to this file
    #[arg(long, alias = "output", value_name = "FILE.svg", conflicts_with = "models")]
    pub picture: Option<PathBuf>,

    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub reading: ReadingArgs,
}

impl InfoArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let options = self.reading.options();
        match &self.path {
            None => print::to_stdout(&models())?,
            Some(path) if options != OpenOptions::default() || is_scene(path) => self.scene(path, &options)?,
            Some(path) => print::to_stdout(&self.checkpoint(path)?)?,
        }
        Ok(Outcome::Done)
    }

    /// Describes the scene and, if asked to, draws its cameras.
    fn scene(&self, path: &Path, options: &OpenOptions) -> anyhow::Result<()> {
        let scene = Scene::open_with(path, options)?;
        print::to_stdout(&info_scene::describe(&scene))?;
        if let Some(picture) = &self.picture {
            atomic::make_folder_of(picture)?;
            atomic::write(picture, |file| file.write_all(scene.rig_picture().as_bytes()))?;
            print::to_stdout(&format!("a picture of the cameras is in {}", picture.display()))?;
        }
        Ok(())
    }

    fn checkpoint(&self, path: &Path) -> Result<String> {
        refuse(&[("--picture", self.picture.is_some())], "is for scenes, and this is a run or a checkpoint")?;
        refuse_other_folders(path)?;
        let resolved = self.place.resolve(path)?;
        Ok(describe_checkpoint(&resolved.checkpoint, &Checkpoint::read_summary(&resolved.checkpoint)?))
    }
}

/// Returns whether the path is to be read as a scene: it is one, or a JSON file that may be meant as one.
fn is_scene(path: &Path) -> bool {
    Scene::is_at(path) || (path.is_file() && names::extension(path) == "json")
}

fn refuse_other_folders(path: &Path) -> Result<()> {
    if path.is_dir() && Run::open(path).is_err() {
        let what = "neither a scene (no transforms_train.json, transforms.json, poses_bounds.npy or sparse/0) nor a run (no config.json \
                    and checkpoints/)";
        return Err(Error::file(path, what));
    }
    Ok(())
}

/// What `docs/models.md`, "Which to take", says in full, with the measurements.
const WHICH_TO_TAKE: [&str; 7] = [
    "which to take, as measured (docs/models.md, \"Which to take\"):",
    "  radiance fields         hash; mulfagrid was 0.4 dB ahead after a minute of the orrery, and no better on lego",
    "  images                  hash; cascade gains 0.2 to 0.4 dB with few parameters, and loses 0.8 dB where the fit",
    "                          is nearly exact",
    "  distance fields         hash; local and cascade do no better",
    "  images, by networks without hidden layers (model.network.n_hidden_layers=0):",
    "                          cascade_local, 3.7 dB ahead at equal steps",
];

/// Returns one line per encoding, with the cost of its grid alone: the networks behind it are the same for all. For
/// coordinate networks, which have no grid, the cost covers the whole network with colours as its output. Below, which
/// model to take for which task.
fn models() -> String {
    let mut text = format!(
        "{:<18}{:<9}{:<11}{:>10}  {:>8}  {:>10}  {:>8}  what it is\n",
        "model", "index", "kernel", "parameters", "training", "operations", "gathers"
    );
    text += &format!("{:<38}{:>10}  {:>8}  {:>10}  {:>8}\n", "", "", "memory", "a sample", "a sample");
    for &name in ModelName::ALL {
        let config = name.grid();
        let cost = cost(&config);
        let words = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let word = |value: serde_json::Result<Value>| value.map_or_else(|_| String::new(), words);
        let help = name.to_possible_value().and_then(|value| Some(value.get_help()?.to_string()));
        text += &format!(
            "{:<18}{:<9}{:<11}{:>10}  {:>8}  {:>10}  {:>8}  {}\n",
            name.as_str(),
            word(serde_json::to_value(config.index)),
            if config.index == GridIndex::None { "–".to_owned() } else { word(serde_json::to_value(config.kernel)) },
            print::metric(cost.parameters as f64),
            format!("{}B", print::metric(cost.training_bytes as f64)),
            cost.flops,
            cost.gathers,
            help.unwrap_or_default()
        );
    }
    text += "\n";
    text.extend(WHICH_TO_TAKE.map(|line| format!("{line}\n")));
    text
}

/// Returns the cost of a grid in space, or of a coordinate network that outputs the colours of an image.
fn cost(config: &GridConfig) -> Cost {
    let head = Head::Values { dimensions: 2, n_outputs: 3 };
    match CoordinateNetworkShape::new(config, head) {
        None => Grid::new(config, 3).cost(),
        Some(network) => Cost {
            parameters: network.n_parameters(),
            training_bytes: network.training_bytes(),
            flops: network.flops(),
            gathers: 0,
        },
    }
}

fn describe_checkpoint(path: &Path, summary: &Summary) -> String {
    let header = &summary.header;
    let config = &header.config;
    print::rows(&[
        ("checkpoint", format!("{} ({}B)", path.display(), print::metric(summary.bytes as f64))),
        match config.task {
            TaskName::Radiance => ("scene", format!("{}, from {}", header.scene, config.scene.path.display())),
            TaskName::Image => ("image", format!("{}, from {}", header.scene, config.image.path.display())),
            TaskName::Sdf => ("mesh", format!("{}, from {}", header.scene, config.sdf.path.display())),
        },
        ("unit cube", header.unit_cube.to_string()),
        ("space", header.space.describe(&header.unit_cube.origin)),
        ("preset", config.scene.preset.as_str().to_owned()),
        ("trained", trained(header)),
        ("model", format!("{}, {}", config.model.name.as_str(), grid(&config.model.grid))),
        ("networks", networks(config)),
        ("alive", alive(&header.neurons)),
        ("written by", format!("gridfield {} (commit {})", header.gridfield, header.commit)),
        ("tensors", tensors(&summary.tensors)),
    ])
}

fn trained(header: &Header) -> String {
    let steps = (print::grouped(header.step), print::grouped(header.config.train.max_steps));
    format!("{} of {} steps, {}", steps.0, steps.1, print::duration(header.seconds))
}

fn grid(grid: &GridConfig) -> String {
    let GridConfig { n_levels, n_features_per_level, log2_hashmap_size, base_resolution, per_level_scale, .. } = grid;
    let levels = format!("{n_levels} levels of {n_features_per_level} features");
    let resolution = format!("base resolution {base_resolution}, ×{per_level_scale} per level");
    match grid.index {
        GridIndex::Hash => format!("{levels}, up to 2^{log2_hashmap_size} entries each, {resolution}"),
        GridIndex::Dense => format!("{levels}, an entry for each node, {resolution}"),
        GridIndex::Fourier => {
            format!("{n_levels} bands of {n_features_per_level} features, averaged, {resolution}")
        }
        GridIndex::None => coordinate_network(&grid.waves),
        GridIndex::Points => format!("points of {n_features_per_level} features, the nearest {}", grid.points.k),
    }
}

fn coordinate_network(waves: &CoordinateNetworkConfig) -> String {
    let CoordinateNetworkConfig { width, depth, sigma, input_scale, .. } = waves;
    let scale = match waves.kind {
        CoordinateNetworkKind::FourierFeatures => format!("sigma {sigma}"),
        CoordinateNetworkKind::FourierNet | CoordinateNetworkKind::GaborNet => format!("input scale {input_scale}"),
    };
    format!("no grid, {depth} matrices between layers {width} wide, {scale}")
}

fn networks(config: &Config) -> String {
    if config.model.grid.index == GridIndex::None {
        return "none behind it".to_owned();
    }
    if config.task != TaskName::Radiance {
        return layers(&config.model.network);
    }
    let (density, color) = (&config.model.density_network, &config.model.color_network);
    format!("density {}, color {}, view direction to degree {}", layers(density), layers(color), config.model.sh_degree)
}

/// Describes a network: hidden layers × neurons.
fn layers(network: &NetworkConfig) -> String {
    match network.n_hidden_layers {
        0 => "one matrix".to_owned(),
        n => format!("{n} × {}", network.n_neurons),
    }
}

fn alive(neurons: &[LayerNeurons]) -> String {
    if neurons.is_empty() { "not recorded".to_owned() } else { format!("neurons of {}", print::neurons(neurons)) }
}

/// Lists the tensors in columns, one per line, with all lines indented to align with the first.
fn tensors(tensors: &[TensorSummary]) -> String {
    let widest = tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0);
    let lines = tensors.iter().map(|t| format!("{:<widest$}  {:<3}  {:?}", t.name, t.dtype, t.shape));
    lines.collect::<Vec<_>>().join(&format!("\n{:12}", ""))
}
