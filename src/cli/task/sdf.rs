//! Evaluating, rendering and exporting the distance fields of meshes.

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::cli::export::{self, ExportArgs};
use crate::cli::outcome::Outcome;
use crate::cli::print;
use crate::cli::render::RenderArgs;
use crate::cli::trained::Trained;
use crate::device::Device;
use crate::fit::Predictor;
use crate::geometry::{FieldToScene, Space};
use crate::mesh::{ColoredMesh, MeshFormat};
use crate::ranks::Ranks;
use crate::sdf::{HEAD, MeshFacts, SdfReport, SphereTracer, Target, evaluate, extract, turntable_scene};
use crate::{Error, Result, atomic};

/// Default number of cells per axis for extracting the surface that is compared with the mesh.
const EVALUATED_AT: u32 = 512;

/// Reads the mesh that a checkpoint's field was fitted to.
///
/// # Errors
/// Returns an error if the file cannot be read, or if it holds another mesh than the one that was fitted.
pub fn reopen_mesh(device: &Device, checkpoint: &Checkpoint) -> Result<Target> {
    let path = &checkpoint.header.config.sdf.path;
    let target = Target::read(device, path, Some(checkpoint.header.unit_cube.origin))?;
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

fn predictor(trained: &Trained) -> Result<Predictor> {
    Predictor::from_checkpoint(&trained.device, &trained.checkpoint, HEAD)
}

/// Compares a fitted field with its mesh, writes the figures to `output`, and prints where they are.
pub fn eval(trained: &Trained, resolution: Option<u32>, output: &Path) -> anyhow::Result<Outcome> {
    let resolution = resolution.unwrap_or(EVALUATED_AT) as usize;
    let target = reopen_mesh(&trained.device, &trained.checkpoint)?;
    let predictor = predictor(trained)?;
    atomic::make_folder_of(output)?;
    let score = evaluate(&predictor, &target, resolution)?;
    let report = SdfReport::new(
        &trained.checkpoint.header,
        &trained.resolved.checkpoint,
        &trained.device,
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

/// Renders a field along the requested camera path, whose frames `ranks` share. It has no cameras of its own, so camera
/// paths go around it.
pub fn render(trained: &Trained, args: &RenderArgs, ranks: &Ranks) -> anyhow::Result<Outcome> {
    let scene = turntable_scene(&trained.checkpoint)?;
    let open = || SphereTracer::new(predictor(trained)?, &trained.checkpoint);
    args.render_video(&trained.resolved, &scene, 1, scene.background, ranks, open)
}

/// Opens a field for the viewer.
#[cfg(feature = "viewer")]
pub fn viewable(trained: &Trained) -> Result<crate::cli::viewer::Viewable> {
    let mut scene = turntable_scene(&trained.checkpoint)?;
    let renderer = Box::new(SphereTracer::new(predictor(trained)?, &trained.checkpoint)?);
    let background = scene.background;
    // Its cameras are those of paths, and took no photographs.
    scene.splits = Default::default();
    Ok(crate::cli::viewer::Viewable { renderer, scene, background, image: None })
}

/// Writes the field's surface, in the coordinates of the mesh that it was fitted to. Nothing tells what is up in a
/// mesh; y is taken to be, as it is in [`render`], so that nothing is turned.
pub fn export(trained: &Trained, args: &ExportArgs, path: &Path, format: MeshFormat) -> anyhow::Result<()> {
    let unit_cube = trained.checkpoint.header.unit_cube;
    let place = FieldToScene { space: Space::Identity, unit_cube, side: 1.0 };
    let predictor = predictor(trained)?;
    let mut mesh = args.extract(place, |lattice, progress| extract(&predictor, lattice, progress))?;
    args.simplify(&mut mesh)?;
    let normals = mesh.vertex_normals();
    export::write(ColoredMesh { mesh, normals, colors: None, texture: None }, path, format, None)
}
