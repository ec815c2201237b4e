//! `gridfield fit-sdf`: fit a field to the signed distances around a mesh. Also what `eval`, `render` and `export` do
//! with such a field.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::machine::MachineArgs;
use super::training_args::{SettingsArgs, TrainingArgs, absolute_text};
use super::{Outcome, print};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, TaskName};
use crate::device::Device;
use crate::fit::{FitTrainer, Predictor};
use crate::mesh::Mesh;
use crate::sdf::{DistanceData, HEAD, MeshFacts, SdfReport, SphereTracer, Target, evaluate, extract};
use crate::train::run::Resolved;
use crate::{Error, Result, atomic};

/// Default number of cells per axis for extracting the surface that is compared with the mesh.
const EVALUATED_AT: u32 = 512;

#[derive(Debug, Args)]
pub struct FitSdfArgs {
    /// A .obj, .ply, .stl, .gltf or .glb file. With --resume: its current path, if it has moved
    #[arg(value_name = "MESH", required_unless_present = "resume")]
    pub mesh: Option<PathBuf>,

    #[command(flatten)]
    pub settings: SettingsArgs,
    #[command(flatten)]
    pub training: TrainingArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

impl FitSdfArgs {
    fn config(&self, base: Config) -> Result<Config> {
        let mesh = self.mesh.as_deref().map(|path| absolute_text(path, "the mesh")).transpose()?;
        self.training.config(base, &self.settings, TaskName::Sdf, [("sdf.path", mesh.map(Value::from))])
    }

    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let device = self.machine.open_device()?;
        match &self.training.results.resume {
            None => self.begin(&device),
            Some(run) => self.resume(&device, run),
        }
    }

    fn begin(&self, device: &Device) -> anyhow::Result<Outcome> {
        let config = self.config(self.training.defaults(Config::of_sdf(device.is_host())))?;
        let target = Target::read(device, &config.sdf.path)?;
        let name = name_of(&config.sdf.path)?;
        self.tell_of(&target)?;
        let mut trainer = FitTrainer::new(device, &config, DistanceData::new(&config, &name, target))?;
        let run = self.training.create_run(&name, &config)?;
        self.training.train_new(&mut trainer, &run, &config)
    }

    fn resume(&self, device: &Device, run: &Path) -> anyhow::Result<Outcome> {
        let (run, mut checkpoint) = self.training.resumed(run, TaskName::Sdf)?;
        let config = self.config(checkpoint.header.config.clone())?;
        self.training.refuse_an_end_behind(&config, checkpoint.header.step, checkpoint.header.seconds)?;
        checkpoint.header.config = config.clone();
        let target = reopened(device, &checkpoint)?;
        let data = DistanceData::new(&config, &checkpoint.header.scene, target);
        let mut trainer = FitTrainer::resume(device, &checkpoint, data)?;
        drop(checkpoint);
        run.save_config(&config)?;
        self.training.train(&mut trainer, &run, &config)
    }

    /// Prints a description of the mesh, and warnings about what may be wrong with it.
    fn tell_of(&self, target: &Target) -> anyhow::Result<()> {
        if self.training.shown.is_silent() {
            return Ok(());
        }
        target.notes().iter().for_each(|note| print::to_stderr(&format!("gridfield: warning: {note}")));
        let (vertices, triangles) = (target.mesh.vertices.len() as u64, target.mesh.triangles.len() as u64);
        let (vertices, triangles) = (print::grouped(vertices), print::grouped(triangles));
        Ok(print::to_stdout(&format!(
            "mesh: {vertices} vertices, {triangles} triangles; unit cube: {}",
            target.unit_cube
        ))?)
    }
}

/// Returns the name under which results are stored: the file's name without its extension.
fn name_of(path: &Path) -> Result<String> {
    let name = path.file_stem().and_then(|stem| stem.to_str());
    name.map(str::to_owned).ok_or_else(|| Error::file(path, "the mesh's name is no text; rename the file"))
}

/// Reads the mesh that a checkpoint's field was fitted to.
///
/// # Errors
/// Returns an error if the file cannot be read, or if it holds another mesh than the one that was fitted.
fn reopened(device: &Device, checkpoint: &Checkpoint) -> Result<Target> {
    let path = &checkpoint.header.config.sdf.path;
    let target = Target::read(device, path)?;
    let (found, expected) = (MeshFacts::of(&target), MeshFacts::from_checkpoint(checkpoint)?);
    if found == expected && target.unit_cube == checkpoint.header.unit_cube {
        return Ok(target);
    }
    let what = format!(
        "is a mesh of {} vertices and {} triangles, but the field was fitted to one of {} and {}, or of another place or size; \
         give the mesh of the run",
        found.n_vertices, found.n_triangles, expected.n_vertices, expected.n_triangles
    );
    Err(Error::file(path, what))
}

fn predictor(device: &Device, checkpoint: &Checkpoint) -> Result<Predictor> {
    Predictor::from_checkpoint(device, checkpoint, HEAD)
}

/// Returns a renderer for a fitted field.
pub fn tracer(device: &Device, checkpoint: &Checkpoint) -> Result<SphereTracer> {
    SphereTracer::new(predictor(device, checkpoint)?, checkpoint)
}

/// Extracts the field's surface, in the coordinates of the mesh that it was fitted to.
pub fn surface(
    device: &Device,
    checkpoint: &Checkpoint,
    resolution: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Mesh> {
    let surface = extract(&predictor(device, checkpoint)?, resolution, progress)?;
    Ok(surface.mapped(|point| checkpoint.header.unit_cube.to_scene(point)))
}

/// Compares a fitted field with its mesh, writes the figures to `output`, and prints where they are.
pub fn eval(
    device: &Device,
    resolved: &Resolved,
    checkpoint: &Checkpoint,
    resolution: Option<u32>,
    output: &Path,
) -> anyhow::Result<Outcome> {
    let resolution = resolution.unwrap_or(EVALUATED_AT) as usize;
    let target = reopened(device, checkpoint)?;
    let predictor = predictor(device, checkpoint)?;
    atomic::make_folder_of(output)?;
    let score = evaluate(&predictor, &target, resolution)?;
    let report = SdfReport::new(
        &checkpoint.header,
        &resolved.checkpoint,
        device,
        score,
        predictor.n_parameters(),
        resolution,
        target.edges.boundary,
    );
    atomic::write_json(output, &report)?;
    print::to_stdout(&table(&report))?;
    print::to_stdout(&format!("distances are in longest sides of the mesh; figures are in {}", output.display()))?;
    Ok(Outcome::Done)
}

/// Returns the figures as one line below its column headings.
fn table(report: &SdfReport) -> String {
    let results = &report.results;
    print::table_line(&[
        ("mesh", report.experiment.experiment_name.clone()),
        ("model", report.experiment.method_name.clone()),
        ("step", print::grouped(report.origin.step)),
        ("parameters", print::grouped(report.n_parameters as u64)),
        ("IoU", format!("{:.5}", results.iou)),
        ("Chamfer-L1", format!("{:.2e}", results.surface.chamfer_l1)),
        ("F-score", format!("{:.4}", results.surface.f_score)),
        ("normals", format!("{:.4}", results.surface.normal_consistency)),
        ("SDF error", format!("{:.2e}", results.sdf_error)),
        ("eikonal error", format!("{:.4}", results.eikonal.eikonal_error)),
    ])
}
