//! `gridfield export`: a mesh or a point cloud from a trained field.

use std::path::{Path, PathBuf};

use clap::Args;

use super::machine::MachineArgs;
use super::progress::counter;
use super::{OUTPUT_DIR, Outcome, print};
use crate::mesh::{MeshFormat, Surface};
use crate::radiance::Renderer;
use crate::train::{Checkpoint, Run};
use crate::{Error, Result, atomic};

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run's folder, a checkpoint, or `latest`
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Write the field's surface to this file: .ply, .obj, .stl or .glb
    #[arg(long, value_name = "FILE", required_unless_present = "point_cloud", help_heading = "What to export")]
    pub mesh: Option<PathBuf>,

    /// Write points on the surface, with normals and colours, to this .ply file
    #[arg(long, value_name = "FILE.ply", help_heading = "What to export")]
    pub point_cloud: Option<PathBuf>,

    /// Cells per axis of the field's box
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(8..=4096), help_heading = "What to export")]
    pub resolution: u32,

    /// Density at which the surface lies, per length of the unit cube's side
    #[arg(long, value_name = "D", default_value_t = 30.0, value_parser = above_zero, help_heading = "What to export")]
    pub density_threshold: f32,

    /// Points of the point cloud
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000), help_heading = "What to export")]
    pub points: u32,

    /// How the mesh is written [default: as the file's extension says]
    #[arg(long, value_enum, value_name = "FORMAT", requires = "mesh", help_heading = "Results")]
    pub format: Option<MeshFormat>,

    #[command(flatten)]
    pub machine: MachineArgs,
}

fn above_zero(text: &str) -> std::result::Result<f32, &'static str> {
    text.parse().ok().filter(|value: &f32| *value > 0.0 && value.is_finite()).ok_or("a number above 0 is expected")
}

impl ExportArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let format = self.check_destinations()?;
        let resolved = Run::resolve(&self.run, Path::new(OUTPUT_DIR))?;
        let device = self.machine.open_device()?;
        let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
        let renderer = Renderer::from_checkpoint(&device, &checkpoint)?;
        let (resolution, threshold) = (self.resolution as usize, self.density_threshold);
        let bar = counter("layers", resolution + 1, false);
        let mut progress = |layers: usize| bar.set_position(layers as u64);
        if let (Some(path), Some(format)) = (&self.mesh, format) {
            let surface = renderer.surface(resolution, threshold, &mut progress)?;
            bar.finish_and_clear();
            write(&surface.surface(), path, format)?;
        }
        if let Some(path) = &self.point_cloud {
            let cloud = renderer.point_cloud(resolution, threshold, self.points as usize, &mut progress)?;
            bar.finish_and_clear();
            write(&cloud.surface(), path, MeshFormat::Ply)?;
        }
        Ok(Outcome::Done)
    }

    /// Refuses what cannot be written before the work is done. Returns how the mesh is to be written, if one is.
    fn check_destinations(&self) -> Result<Option<MeshFormat>> {
        if let Some(path) = self.point_cloud.as_ref().filter(|path| MeshFormat::of(path).ok() != Some(MeshFormat::Ply)) {
            return Err(Error::file(path, "a point cloud is written as .ply; give it that extension"));
        }
        let format = self.mesh.as_ref().map(|path| self.format.map_or_else(|| MeshFormat::of(path), Ok)).transpose()?;
        self.mesh.iter().chain(&self.point_cloud).try_for_each(|path| atomic::make_folder_of(path))?;
        Ok(format)
    }
}

fn write(surface: &Surface, path: &Path, format: MeshFormat) -> anyhow::Result<()> {
    surface.write(path, format)?;
    let (vertices, triangles) = (surface.mesh.vertices.len() as u64, surface.mesh.triangles.len() as u64);
    let what = match triangles {
        0 => format!("{} points", print::grouped(vertices)),
        _ => format!("{} vertices, {} triangles", print::grouped(vertices), print::grouped(triangles)),
    };
    Ok(print::to_stdout(&format!("{}: {what}", path.display()))?)
}
