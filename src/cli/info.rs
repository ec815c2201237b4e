//! `gridfield info`: say what a scene, a run or a checkpoint holds.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Outcome, print};
use crate::config::{Config, GridConfig};
use crate::train::checkpoint::{Summary, TensorSummary};
use crate::train::{Checkpoint, Header, Run};

/// Where `latest` is looked for.
const OUTPUT_DIR: &str = "outputs";

#[derive(Debug, Args)]
pub struct InfoArgs {
    /// A scene's folder, a run's folder, a checkpoint file, or `latest`
    #[arg(value_name = "SCENE|RUN|CHECKPOINT")]
    pub path: PathBuf,
}

impl InfoArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let resolved = Run::resolve(&self.path, Path::new(OUTPUT_DIR))?;
        let summary = Checkpoint::read_summary(&resolved.checkpoint)?;
        print::to_stdout(&describe(&resolved.checkpoint, &summary))?;
        Ok(Outcome::Done)
    }
}

fn describe(path: &Path, summary: &Summary) -> String {
    let header = &summary.header;
    let config = &header.config;
    let rows = [
        ("checkpoint", format!("{} ({}B)", path.display(), print::metric(summary.bytes as f64))),
        ("scene", format!("{}, from {}", header.scene, config.scene.path.display())),
        ("unit cube", format!("x_unit = {} x_scene + {:?}", header.unit_cube.scale, header.unit_cube.offset)),
        ("trained", trained(header)),
        ("model", format!("{}, {}", config.model.name.as_str(), grid(&config.model.grid))),
        ("networks", networks(config)),
        ("written by", format!("gridfield {} (commit {})", header.gridfield, header.commit)),
        ("tensors", tensors(&summary.tensors)),
    ];
    rows.map(|(name, text)| format!("{name:<12}{text}\n")).concat()
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
