//! `gridfield export`: write a trained field as a mesh or a point cloud.

use std::path::{Path, PathBuf};

use clap::Args;

use super::machine::MachineArgs;
use super::progress::counter;
use super::task::{self, Trained};
use super::{Outcome, print, refuse};
use crate::config::TaskName;
use crate::mesh::{MeshFormat, Surface};
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

impl ExportArgs {
    pub(super) fn run(self) -> anyhow::Result<Outcome> {
        let mesh_file = self.check_destinations()?;
        let trained = Trained::open(&self.run, &self.machine)?;
        match trained.task() {
            TaskName::Radiance => task::radiance::export(&trained, &self, mesh_file)?,
            TaskName::Sdf => {
                self.refuse_flags_of_radiance()?;
                if let Some((path, format)) = mesh_file {
                    task::sdf::export(&trained, &self, path, format)?;
                }
            }
            TaskName::Image => {
                return Err(trained.checkpoint.refuse("is of a fitted image, which has no surface; use render").into());
            }
        }
        Ok(Outcome::Done)
    }

    /// Extracts a surface at the requested resolution, with a progress bar over its layers.
    pub(super) fn extract<T>(&self, extract: impl FnOnce(usize, &mut dyn FnMut(usize)) -> Result<T>) -> Result<T> {
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

    /// Refuses destinations that cannot be written, before any work is done. Returns the path and format of the
    /// mesh, if one is to be written.
    fn check_destinations(&self) -> Result<Option<(&Path, MeshFormat)>> {
        if let Some(path) = self.point_cloud.as_ref().filter(|path| MeshFormat::of(path).ok() != Some(MeshFormat::Ply))
        {
            return Err(Error::file(path, "a point cloud is written as .ply; give it that extension"));
        }
        let with_format = |path| Ok((path, self.format.map_or_else(|| MeshFormat::of(path), Ok)?));
        let mesh_file = self.mesh.as_deref().map(with_format).transpose()?;
        self.mesh.iter().chain(&self.point_cloud).try_for_each(|path| atomic::make_folder_of(path))?;
        Ok(mesh_file)
    }
}

/// Writes a surface, and prints its size.
pub(super) fn write_surface(surface: &Surface, path: &Path, format: MeshFormat) -> anyhow::Result<()> {
    surface.write(path, format)?;
    if let Some(note) = surface.rounding(format) {
        print::to_stderr(&format!("gridfield: note: {note}"));
    }
    let (vertices, triangles) = (surface.mesh.vertices.len() as u64, surface.mesh.triangles.len() as u64);
    let what = match triangles {
        0 => format!("{} points", print::grouped(vertices)),
        _ => format!("{} vertices, {} triangles", print::grouped(vertices), print::grouped(triangles)),
    };
    Ok(print::to_stdout(&format!("{}: {what}", path.display()))?)
}
