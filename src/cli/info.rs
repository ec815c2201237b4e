//! `gridfield info`: say what a scene, a run or a checkpoint holds.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{OUTPUT_DIR, Outcome, print};
use crate::config::{Config, GridConfig};
use crate::scene::{Format, Scene, UnitCube, View};
use crate::train::checkpoint::{Summary, TensorSummary};
use crate::train::{Checkpoint, Header, Run};
use crate::{Error, Result};

#[derive(Debug, Args)]
pub struct InfoArgs {
    /// A scene's folder, a run's folder, a checkpoint file, or `latest`
    #[arg(value_name = "SCENE|RUN|CHECKPOINT")]
    pub path: PathBuf,
}

impl InfoArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let text = if Scene::is_at(&self.path) { self.scene()? } else { self.checkpoint()? };
        print::to_stdout(&text)?;
        Ok(Outcome::Done)
    }

    fn scene(&self) -> Result<String> {
        Ok(describe_scene(&Scene::open(&self.path)?))
    }

    fn checkpoint(&self) -> Result<String> {
        if self.path.is_dir() && Run::open(&self.path).is_err() {
            let what = "neither a scene (it has no transforms_train.json) nor a run (no config.json and checkpoints/)";
            return Err(Error::file(&self.path, what));
        }
        let resolved = Run::resolve(&self.path, Path::new(OUTPUT_DIR))?;
        Ok(describe_checkpoint(&resolved.checkpoint, &Checkpoint::read_summary(&resolved.checkpoint)?))
    }
}

fn describe_scene(scene: &Scene) -> String {
    let format = match scene.format {
        Format::Blender => "Blender (transforms_*.json)",
    };
    let splits = &scene.splits;
    rows(&[
        ("scene", scene.name.clone()),
        ("format", format.to_owned()),
        ("train", views(&splits.train)),
        ("val", views(&splits.val)),
        ("test", views(&splits.test)),
        ("unit cube", unit_cube(&scene.unit_cube)),
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

fn unit_cube(cube: &UnitCube) -> String {
    format!("x_unit = {} x_scene + {:?}", cube.scale, cube.offset)
}

fn describe_checkpoint(path: &Path, summary: &Summary) -> String {
    let header = &summary.header;
    let config = &header.config;
    rows(&[
        ("checkpoint", format!("{} ({}B)", path.display(), print::metric(summary.bytes as f64))),
        ("scene", format!("{}, from {}", header.scene, config.scene.path.display())),
        ("unit cube", unit_cube(&header.unit_cube)),
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
    format!(
        "{n_levels} levels of {n_features_per_level} features, up to 2^{log2_hashmap_size} entries each, base resolution \
         {base_resolution}, ×{per_level_scale} per level"
    )
}

fn networks(config: &Config) -> String {
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
