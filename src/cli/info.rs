//! `gridfield info`: say what a scene, a run or a checkpoint holds.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum as _};
use serde_json::Value;

use super::{OUTPUT_DIR, Outcome, print};
use crate::config::{Config, GridConfig, GridIndex, ModelName, TaskName};
use crate::grid::Grid;
use crate::scene::{Format, Scene, View};
use crate::train::checkpoint::{Summary, TensorSummary};
use crate::train::{Checkpoint, Header, Run};
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct InfoArgs {
    /// A scene's folder, a run's folder, a checkpoint file, or `latest`
    #[arg(value_name = "SCENE|RUN|CHECKPOINT", required_unless_present = "models")]
    pub path: Option<PathBuf>,

    /// List the members of the model family, as they are by default
    #[arg(long, conflicts_with = "path")]
    pub models: bool,
}

impl InfoArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let text = match &self.path {
            None => models(),
            Some(path) if Scene::is_at(path) => describe_scene(&Scene::open(path)?),
            Some(path) => checkpoint(path)?,
        };
        print::to_stdout(&text)?;
        Ok(Outcome::Done)
    }
}

fn checkpoint(path: &Path) -> Result<String> {
    if path.is_dir() && Run::open(path).is_err() {
        let what = "neither a scene (it has no transforms_train.json) nor a run (no config.json and checkpoints/)";
        return Err(Error::file(path, what));
    }
    let resolved = Run::resolve(path, Path::new(OUTPUT_DIR))?;
    Ok(describe_checkpoint(&resolved.checkpoint, &Checkpoint::read_summary(&resolved.checkpoint)?))
}

/// A line for each member, of its grid alone: the networks behind it are the same for all.
fn models() -> String {
    let mut text = format!(
        "{:<11}{:<9}{:<11}{:>10}  {:>8}  {:>10}  {:>8}  what it is\n",
        "model", "index", "kernel", "parameters", "training", "operations", "gathers"
    );
    text += &format!("{:<31}{:>10}  {:>8}  {:>10}  {:>8}\n", "", "", "memory", "a sample", "a sample");
    for &name in ModelName::ALL {
        let config = name.grid();
        let cost = Grid::new(&config, 3).cost();
        let words = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let word = |value: serde_json::Result<Value>| value.map_or_else(|_| String::new(), words);
        let help = name.to_possible_value().and_then(|value| Some(value.get_help()?.to_string()));
        text += &format!(
            "{:<11}{:<9}{:<11}{:>10}  {:>8}  {:>10}  {:>8}  {}\n",
            name.as_str(),
            word(serde_json::to_value(config.index)),
            word(serde_json::to_value(config.kernel)),
            print::metric(cost.parameters as f64),
            format!("{}B", print::metric(cost.training_bytes as f64)),
            cost.flops,
            cost.gathers,
            help.unwrap_or_default()
        );
    }
    text
}

fn describe_scene(scene: &Scene) -> String {
    let format = match scene.format {
        Format::Blender => "Blender (transforms_*.json)",
        Format::Llff => "LLFF (poses_bounds.npy)",
        Format::Transforms => "nerfstudio or instant-ngp (transforms.json)",
    };
    let splits = &scene.splits;
    rows(&[
        ("scene", scene.name.clone()),
        ("format", format.to_owned()),
        ("train", views(&splits.train)),
        ("val", views(&splits.val)),
        ("test", views(&splits.test)),
        ("unit cube", scene.unit_cube.to_string()),
    ])
}

/// Number and size of a split's images, and the horizontal angle of the first.
fn views(views: &[View]) -> String {
    let Some(first) = views.first() else { return "none".to_owned() };
    let size = |view: &View| (view.camera.intrinsics.width, view.camera.intrinsics.height);
    let (width, height) = size(first);
    let sizes = if views.iter().all(|view| size(view) == (width, height)) { "" } else { " and other sizes" };
    let angle = 2.0 * (0.5 * width as f32 / first.camera.intrinsics.fl_x).atan().to_degrees();
    format!("{} images of {width}×{height}{sizes}, {angle:.1}° wide", views.len())
}

fn describe_checkpoint(path: &Path, summary: &Summary) -> String {
    let header = &summary.header;
    let config = &header.config;
    rows(&[
        ("checkpoint", format!("{} ({}B)", path.display(), print::metric(summary.bytes as f64))),
        match config.task {
            TaskName::Radiance => ("scene", format!("{}, from {}", header.scene, config.scene.path.display())),
            TaskName::Image => ("image", format!("{}, from {}", header.scene, config.image.path.display())),
        },
        ("unit cube", header.unit_cube.to_string()),
        ("trained", trained(header)),
        ("model", format!("{}, {}", config.model.name.as_str(), grid(&config.model.grid))),
        ("networks", networks(config)),
        ("written by", format!("gridfield {} (commit {})", header.gridfield, header.commit)),
        ("tensors", tensors(&summary.tensors)),
    ])
}

fn rows(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(name, text)| format!("{name:<12}{text}\n")).collect()
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
        GridIndex::Points => format!("points of {n_features_per_level} features, the nearest {}", grid.points.k),
    }
}

fn networks(config: &Config) -> String {
    if config.task != TaskName::Radiance {
        return format!("{} × {}", config.model.network.n_hidden_layers, config.model.network.n_neurons);
    }
    let (density, color) = (&config.model.density_network, &config.model.color_network);
    format!(
        "density {} × {}, color {} × {}, view direction to degree {}",
        density.n_hidden_layers, density.n_neurons, color.n_hidden_layers, color.n_neurons, config.model.sh_degree
    )
}

/// One tensor a line, in columns, each below the first.
fn tensors(tensors: &[TensorSummary]) -> String {
    let widest = tensors.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0);
    let lines = tensors.iter().map(|t| format!("{:<widest$}  {:<3}  {:?}", t.name, t.dtype, t.shape));
    lines.collect::<Vec<_>>().join(&format!("\n{:12}", ""))
}
