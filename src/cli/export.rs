//! `gridfield export`: write a trained field as a mesh or a point cloud.

use std::path::{Path, PathBuf};

use clap::Args;

use super::machine::MachineArgs;
use super::progress::counter;
use super::{OUTPUT_DIR, Outcome, fit_sdf, print, refuse};
use crate::checkpoint::Checkpoint;
use crate::config::TaskName;
use crate::device::Device;
use crate::mesh::{MeshFormat, Surface};
use crate::radiance::{ColoredSurface, Renderer};
use crate::train::Run;
use crate::{Error, Result, atomic};

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A run's folder, a checkpoint, or `latest`
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Write the field's surface to this file: .ply, .obj, .stl or .glb
    #[arg(long, value_name = "FILE", required_unless_present = "point_cloud", help_heading = "What to export")]
    pub mesh: Option<PathBuf>,

    /// For a radiance field: write points on its surface, with normals and colours, to this .ply file
    #[arg(long, value_name = "FILE.ply", help_heading = "What to export")]
    pub point_cloud: Option<PathBuf>,

    /// Cells per axis of the field's box
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(8..=4096), help_heading = "What to export")]
    pub resolution: u32,

    /// For a radiance field: density at its surface, per side length of the unit cube [default: 30]
    #[arg(long, value_name = "D", value_parser = super::above_zero, help_heading = "What to export")]
    pub density_threshold: Option<f64>,

    /// Number of points in the point cloud [default: 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000), requires = "point_cloud", help_heading = "What to export")]
    pub points: Option<u32>,

    /// Format of the mesh [default: by the file's extension]
    #[arg(long, value_enum, value_name = "FORMAT", requires = "mesh", help_heading = "Results")]
    pub format: Option<MeshFormat>,

    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Density at which the transmittance drops to about one half over a fortieth of the unit cube's side.
const DENSITY_THRESHOLD: f64 = 30.0;
const POINTS: u32 = 1_000_000;

impl ExportArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let format = self.check_destinations()?;
        let resolved = Run::resolve(&self.run, Path::new(OUTPUT_DIR))?;
        let device = self.machine.open_device()?;
        let checkpoint = Checkpoint::read(&resolved.checkpoint)?;
        match (checkpoint.header.config.task, &self.mesh, format) {
            (TaskName::Radiance, ..) => self.export_radiance(&device, &checkpoint, format)?,
            (TaskName::Sdf, Some(path), Some(format)) => self.export_distances(&device, &checkpoint, path, format)?,
            (TaskName::Sdf, ..) => self.refuse_flags_of_radiance()?,
            (TaskName::Image, ..) => {
                return Err(checkpoint.refuse("is of a fitted image, which has no surface; use render").into());
            }
        }
        Ok(Outcome::Done)
    }

    fn export_radiance(
        &self,
        device: &Device,
        checkpoint: &Checkpoint,
        format: Option<MeshFormat>,
    ) -> anyhow::Result<()> {
        let renderer = Renderer::from_checkpoint(device, checkpoint)?;
        let threshold = self.density_threshold.unwrap_or(DENSITY_THRESHOLD) as f32;
        let surface = self.shown(|resolution, progress| renderer.surface(resolution, threshold, progress))?;
        if let (Some(path), Some(format)) = (&self.mesh, format) {
            let ColoredSurface { mesh, normals, colors } = renderer.colored(&surface)?;
            write(&Surface { mesh: &mesh, normals: Some(&normals), colors: Some(&colors) }, path, format)?;
        }
        if let Some(path) = &self.point_cloud {
            let ColoredSurface { mesh, normals, colors } =
                renderer.point_cloud(&surface, self.points.unwrap_or(POINTS) as usize)?;
            write(&Surface { mesh: &mesh, normals: Some(&normals), colors: Some(&colors) }, path, MeshFormat::Ply)?;
        }
        Ok(())
    }

    fn export_distances(
        &self,
        device: &Device,
        checkpoint: &Checkpoint,
        path: &Path,
        format: MeshFormat,
    ) -> anyhow::Result<()> {
        self.refuse_flags_of_radiance()?;
        let mesh = self.shown(|resolution, progress| fit_sdf::surface(device, checkpoint, resolution, progress))?;
        let normals = mesh.vertex_normals();
        write(&Surface { mesh: &mesh, normals: Some(&normals), colors: None }, path, format)
    }

    /// Runs `extract` with a progress bar over its layers, and returns its result.
    fn shown<T>(&self, extract: impl FnOnce(usize, &mut dyn FnMut(usize)) -> Result<T>) -> Result<T> {
        let resolution = self.resolution as usize;
        let bar = counter("layers", resolution + 1, false);
        let extracted = extract(resolution, &mut |layers| bar.set_position(layers as u64));
        bar.finish_and_clear();
        extracted
    }

    fn refuse_flags_of_radiance(&self) -> Result<()> {
        let flags =
            [("--point-cloud", self.point_cloud.is_some()), ("--density-threshold", self.density_threshold.is_some())];
        refuse(&flags, "is for radiance fields, and this run is of a mesh")
    }

    /// Refuses destinations that cannot be written, before any work is done. Returns the format of the mesh, if one is
    /// to be written.
    fn check_destinations(&self) -> Result<Option<MeshFormat>> {
        if let Some(path) = self.point_cloud.as_ref().filter(|path| MeshFormat::of(path).ok() != Some(MeshFormat::Ply))
        {
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
