//! `gridfield export`: write a trained field as a mesh or a point cloud.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::counter::Counter;
use super::machine::MachineArgs;
use super::run_args::RunArgs;
use super::task::{self, Trained};
use super::{Outcome, print, refuse};
use crate::config::TaskName;
use crate::geometry::Upright;
use crate::mesh::{Mesh, MeshFormat, Surface};
use crate::{Error, Result, atomic};

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub run: RunArgs,

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

    /// Axes of the coordinates [default: y-up for .glb, which glTF requires, else scene]
    #[arg(long, value_enum, value_name = "AXES", help_heading = "Results")]
    pub axes: Option<Axes>,

    /// For a radiance field: the scene's current folder, if it has moved since training; its cameras tell what is up
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    pub scene: Option<PathBuf>,

    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Axes of exported coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Axes {
    /// Those of the scene or the mesh that was trained on
    Scene,
    /// Turned so that the scene's up is +y, as in glTF
    YUp,
}

/// A surface or a point cloud in the axes of its scene.
pub(super) struct Exported {
    pub mesh: Mesh,
    /// One for each vertex, of length 1.
    pub normals: Vec<[f32; 3]>,
    /// One for each vertex, sRGB from 0 to 1.
    pub colors: Option<Vec<[f32; 3]>>,
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
        let counter = Counter::new("layers", resolution + 1, false);
        extract(resolution, &mut |layers| counter.set(layers))
    }

    /// Returns whether a file of this format is turned to y up.
    pub(super) fn turns(&self, format: MeshFormat) -> bool {
        self.axes.unwrap_or(if format == MeshFormat::Glb { Axes::YUp } else { Axes::Scene }) == Axes::YUp
    }

    fn refuse_flags_of_radiance(&self) -> Result<()> {
        let flags = [
            ("--point-cloud", self.point_cloud.is_some()),
            ("--density-threshold", self.density_threshold.is_some()),
            ("--scene", self.scene.is_some()),
        ];
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

impl Exported {
    /// Writes the file, turned by `upright` if it is given, and prints its size.
    pub fn write(mut self, path: &Path, format: MeshFormat, upright: Option<Upright>) -> anyhow::Result<()> {
        let upright = upright.filter(|upright| !upright.is_identity());
        if let Some(upright) = upright {
            let vectors = self.mesh.vertices.iter_mut().chain(&mut self.normals);
            vectors.for_each(|vector| *vector = upright.turn(*vector));
            self.mesh.origin = upright.turn_origin(self.mesh.origin);
        }
        let Exported { mesh, normals, colors } = &self;
        let surface = Surface { mesh, normals: Some(normals), colors: colors.as_deref() };
        surface.write(path, format)?;
        if let Some(note) = surface.rounding(format) {
            print::to_stderr(&format!("gridfield: note: {note}"));
        }
        let (vertices, triangles) = (mesh.vertices.len() as u64, mesh.triangles.len() as u64);
        let what = match triangles {
            0 => format!("{} points", print::grouped(vertices)),
            _ => format!("{} vertices, {} triangles", print::grouped(vertices), print::grouped(triangles)),
        };
        let turned = if upright.is_some() { ", turned so that y is up" } else { "" };
        Ok(print::to_stdout(&format!("{}: {what}{turned}", path.display()))?)
    }
}
