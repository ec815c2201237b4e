//! `gridfield export`, which writes a trained field as a mesh, a point cloud or a volume: its flags, and extracting,
//! simplifying and writing surfaces, which the tasks share.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::counter::Counter;
use super::flags::{above_zero, refuse};
use super::machine::MachineArgs;
use super::print;
use super::run_args::RunArgs;
use super::trained::Trained;
use crate::geometry::{FieldToScene, SceneBox, Upright};
use crate::mesh::{ColoredMesh, Lattice, Mesh, MeshFormat, Region};
use crate::radiance::VolumeFormat;
use crate::viewer::saved_crop_box;
use crate::{Error, Result, atomic};

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub run: RunArgs,

    /// Write the field's surface to this file: .ply, .obj, .stl or .glb
    #[arg(long, value_name = "FILE", required_unless_present_any = ["point_cloud", "volume"], help_heading = "What to export")]
    pub mesh: Option<PathBuf>,

    /// For a radiance field: write points on its surface, with normals and colours, to this .ply file
    #[arg(long, value_name = "FILE.ply", help_heading = "What to export")]
    pub point_cloud: Option<PathBuf>,

    /// For a radiance field: write density and colour on a grid of cells to this file: .npz or .vdb
    #[arg(long, value_name = "FILE", help_heading = "What to export")]
    pub volume: Option<PathBuf>,

    /// Only what is in this box, x0,y0,z0,x1,y1,z1 in the coordinates of the scene or the mesh that was trained on, or
    /// `none` for everything. Surfaces are cut open at its walls; the cells stay those of the whole field [default: the
    /// crop box that the viewer saved with the run, if there is one]
    #[arg(long = "box", value_name = "BOX", allow_hyphen_values = true, help_heading = "What to export")]
    pub asked_box: Option<BoxChoice>,

    /// The box that holds what is exported; None for everything.
    #[arg(skip)]
    pub within: Option<SceneBox>,

    /// Drop connected parts of the surface with fewer than N triangles [default: keep all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "What to export")]
    pub min_component: Option<u32>,

    /// Simplify the mesh to at most N triangles [default: as extracted]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(4..), requires = "mesh", help_heading = "What to export")]
    pub triangles: Option<u32>,

    /// For a radiance field: a texture of PX × PX texels in place of colours at vertices, for .glb and .obj
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(16..=16384), requires = "mesh", help_heading = "What to export")]
    pub texture: Option<u32>,

    /// Cells per axis of the field's box
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(8..=16384), help_heading = "What to export")]
    pub resolution: u32,

    /// For a radiance field: density at its surface, per side length of the unit cube [default: 30]
    #[arg(long, value_name = "D", value_parser = above_zero, help_heading = "What to export")]
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

/// What is exported of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BoxChoice {
    /// What is in this box.
    Within(SceneBox),
    /// Everything, even if a crop box was saved with the run.
    Everything,
}

impl FromStr for BoxChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(if text == "none" { BoxChoice::Everything } else { BoxChoice::Within(text.parse()?) })
    }
}

/// Axes of exported coordinates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Axes {
    /// Those of the scene or the mesh that was trained on
    Scene,
    /// Turned so that the scene's up is +y, as in glTF
    YUp,
}

impl ExportArgs {
    /// Returns the box that was asked for, or else the one that the viewer saved with the run.
    pub(super) fn chosen_box(&self, trained: &Trained) -> Result<Option<SceneBox>> {
        match self.asked_box {
            Some(BoxChoice::Within(within)) => return Ok(Some(within)),
            Some(BoxChoice::Everything) => return Ok(None),
            None => {}
        }
        let saved = saved_crop_box(trained.resolved.folder())?;
        if let Some(within) = &saved {
            note(&format!(
                "only what is in the crop box of the run is exported, {within}; --box none exports everything"
            ));
        }
        Ok(saved)
    }

    /// Extracts the requested part of a field's surface into scene coordinates, with a progress bar over its layers.
    pub(super) fn extract(
        &self,
        place: FieldToScene,
        extract: impl FnOnce(&Lattice, &mut dyn FnMut(usize)) -> Result<Mesh>,
    ) -> Result<Mesh> {
        let region = Region::new(place, self.resolution as usize, self.within.as_ref())?;
        let counter = Counter::new("layers", region.lattice().points()[2], false);
        let mut mesh = region.in_scene(extract(region.lattice(), &mut |layers| counter.set(layers))?)?;
        drop(counter);
        if let Some(least) = self.min_component {
            let dropped = mesh.drop_small_components(least as usize)?;
            note(&format!("components of fewer than {least} triangles that were dropped: {dropped}"));
        }
        Ok(mesh)
    }

    /// Simplifies a mesh to the requested number of triangles.
    pub(super) fn simplify(&self, mesh: &mut Mesh) -> Result<()> {
        let Some(most) = self.triangles.map(|most| most as usize) else { return Ok(()) };
        mesh.simplify(most);
        match mesh.triangles.len() {
            0 => {
                return Err(Error::config(format!(
                    "nothing is left of the mesh at {most} triangles; raise --triangles"
                )));
            }
            left if left > most => note(&format!("the mesh cannot be simplified further than to {left} triangles")),
            _ => {}
        }
        Ok(())
    }

    /// Returns whether a file of this format is turned to y up.
    pub(super) fn turns(&self, format: MeshFormat) -> bool {
        self.axes.unwrap_or(if format == MeshFormat::Glb { Axes::YUp } else { Axes::Scene }) == Axes::YUp
    }

    /// Refuses the flags that only apply to radiance fields.
    pub(super) fn refuse_flags_of_radiance(&self) -> Result<()> {
        let flags = [
            ("--point-cloud", self.point_cloud.is_some()),
            ("--volume", self.volume.is_some()),
            ("--density-threshold", self.density_threshold.is_some()),
            ("--texture", self.texture.is_some()),
            ("--scene", self.scene.is_some()),
        ];
        refuse(&flags, "is for radiance fields, and this run is of a mesh")
    }

    /// Refuses the flags that have no effect on a volume, if there is nothing else to write.
    pub(super) fn refuse_flags_of_surfaces(&self) -> Result<()> {
        let flags = [
            ("--min-component", self.min_component.is_some()),
            ("--density-threshold", self.density_threshold.is_some()),
            ("--axes", self.axes.is_some()),
            ("--scene", self.scene.is_some()),
        ];
        match self.mesh.is_some() || self.point_cloud.is_some() {
            true => Ok(()),
            false => refuse(&flags, "is for meshes and point clouds, and only a volume is written"),
        }
    }

    /// Refuses destinations that cannot be written, before any work is done.
    pub(super) fn check_destinations(&self) -> Result<()> {
        if let Some(path) = self.point_cloud.as_ref().filter(|path| MeshFormat::of(path).ok() != Some(MeshFormat::Ply))
        {
            return Err(Error::file(path, "a point cloud is written as .ply; give it that extension"));
        }
        self.volume.as_deref().map(VolumeFormat::of).transpose()?;
        if let Some((path, _)) =
            self.mesh_file()?.filter(|(_, format)| self.texture.is_some() && !format.has_textures())
        {
            return Err(Error::file(path, "textures are written to .glb and .obj files; choose one of these"));
        }
        let files = self.mesh.iter().chain(&self.point_cloud).chain(&self.volume);
        files.into_iter().try_for_each(|path| atomic::make_folder_of(path))
    }

    /// Returns the path and format of the mesh, if one is to be written.
    pub(super) fn mesh_file(&self) -> Result<Option<(&Path, MeshFormat)>> {
        let with_format = |path| Ok((path, self.format.map_or_else(|| MeshFormat::of(path), Ok)?));
        self.mesh.as_deref().map(with_format).transpose()
    }
}

/// Writes a surface or a point cloud, turned by `upright` if it is given, and prints the files and its size.
pub(super) fn write(
    mut exported: ColoredMesh,
    path: &Path,
    format: MeshFormat,
    upright: Option<Upright>,
) -> anyhow::Result<()> {
    let upright = upright.filter(|upright| !upright.is_identity());
    if let Some(upright) = &upright {
        exported.turn(upright);
    }
    let surface = exported.surface();
    let files = surface.write(path, format)?;
    if let Some(rounding) = surface.rounding(format) {
        note(&rounding);
    }
    let (vertices, triangles) = (exported.mesh.vertices.len() as u64, exported.mesh.triangles.len() as u64);
    let what = match triangles {
        0 => format!("{} points", print::grouped(vertices)),
        _ => format!("{} vertices, {} triangles", print::grouped(vertices), print::grouped(triangles)),
    };
    let texture = exported.texture.map_or(String::new(), |texture| {
        let side = texture.atlas.side();
        format!(", a texture of {side} × {side}")
    });
    let turned = if upright.is_some() { ", turned so that y is up" } else { "" };
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    Ok(print::to_stdout(&format!("{}: {what}{texture}{turned}", files.join(", ")))?)
}

fn note(text: &str) {
    print::to_stderr(&format!("gridfield: note: {text}"));
}
