//! A radiance field on a regular grid of cells: density and colour.

use std::ops::Range;
use std::path::Path;

use super::renderer::Renderer;
use super::surface::Occupied;
use crate::geometry::{SceneBox, Space};
use crate::media::linear;
#[cfg(feature = "export")]
use crate::npy::{self, Entry};
use crate::vdb::{self, Grid, Placement};
use crate::{Error, Result, atomic, memory, names};

/// Number of cells that are evaluated at a time.
const PIECE: usize = 1 << 20;
/// Directions over which colours are averaged: along the axes of the scene, both ways.
const DIRECTIONS: [[f32; 3]; 6] =
    [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]];

/// Density and colour at the centres of the cells of a box.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Number of cells along x, y and z.
    pub size: [usize; 3],
    /// The box that the cells fill, in the coordinates of the scene's files.
    pub within: SceneBox,
    /// `[x, y, z]`: density per scene unit; 0 where the occupancy grid is empty and outside of the field.
    pub density: Vec<f32>,
    /// `[x, y, z]`: colour, sRGB from 0 to 1, averaged over the directions along the axes; 0 where the density is 0.
    pub colors: Vec<[f32; 3]>,
}

/// File format of an exported volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeFormat {
    /// An archive of NumPy arrays.
    #[cfg(feature = "export")]
    Npz,
    /// OpenVDB.
    Vdb,
}

impl VolumeFormat {
    /// Returns the format that the extension of a file name stands for.
    ///
    /// # Errors
    /// Returns an error if it stands for none.
    pub fn of(path: &Path) -> Result<Self> {
        match names::extension(path).as_str() {
            #[cfg(feature = "export")]
            "npz" => Ok(VolumeFormat::Npz),
            "vdb" => Ok(VolumeFormat::Vdb),
            _ => Err(Error::file(path, "a volume is written as .npz or .vdb; choose one of these extensions")),
        }
    }
}

impl Volume {
    /// Evaluates the field at the centres of the cells that divide the box `within`, or the field's own box if it is
    /// None. Cells are as close as possible to cubes whose side is that of the field's box divided by `resolution`.
    /// `progress` is called with the number of completed percents.
    ///
    /// # Errors
    /// Returns an error if the rays of the field are marched in normalized device coordinates, where density depends on
    /// the direction, if it covers all of space and no box is given, if it has nothing in the box, if the volume does
    /// not fit into memory, or if the device fails.
    pub fn of(
        renderer: &Renderer,
        within: Option<&SceneBox>,
        resolution: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self> {
        let (place, unit_cube) = (renderer.place(), renderer.unit_cube);
        let within = match (place.space, within) {
            (Space::Ndc(_), _) => Err(Error::config(
                "the field of a forward-facing scene has no volume, since its density depends on the direction; export a \
                 mesh or a point cloud",
            )),
            (Space::Contraction, None) => {
                Err(Error::config("the field covers all of space; say which part of it to export with --box"))
            }
            (_, Some(within)) => Ok(*within),
            (Space::Identity, None) => {
                let reach = 0.5 * (place.side - 1.0);
                SceneBox::new(unit_cube.to_files([-reach; 3]), unit_cube.to_files([1.0 + reach; 3]))
            }
        }?;
        place.region_within(&within)?;
        let cell = f64::from(place.side) / f64::from(unit_cube.scale) / resolution as f64;
        let size = within.extent().map(|extent| (extent / cell).round().max(1.0));
        let n: f64 = size.iter().product();
        let what = format!("a volume of {} × {} × {} cells", size[0], size[1], size[2]);
        // Linear copies of the colours are made while the file is written.
        let bytes = size_of::<f32>() + 2 * size_of::<[f32; 3]>();
        memory::require(&what, n * bytes as f64, "lower --resolution, or choose a smaller --box")?;
        let (size, n) = (size.map(|n| n as usize), n as usize);
        let mut volume = Volume { size, within, density: vec![0.0; n], colors: vec![[0.0; 3]; n] };
        let occupied = Occupied::of(renderer)?;
        for first in (0..n).step_by(PIECE) {
            let cells = first..n.min(first + PIECE);
            progress(100 * cells.end / n);
            volume.fill(renderer, &occupied, cells)?;
        }
        Ok(volume)
    }

    /// Evaluates some of the cells.
    fn fill(&mut self, renderer: &Renderer, occupied: &Occupied, cells: Range<usize>) -> Result<()> {
        let centre = |cell| {
            let (at, origin) = (self.centre(cell), renderer.unit_cube.origin);
            (cell, std::array::from_fn(|k| (at[k] - origin[k]) as f32))
        };
        let inside = renderer.inside(occupied, cells.map(centre))?;
        for (&cell, &density) in inside.numbers.iter().zip(&inside.densities) {
            self.density[cell] = density;
        }
        for direction in DIRECTIONS {
            let colors = renderer.colors_along(&inside.points, &vec![direction; inside.points.len()])?;
            for (&cell, color) in inside.numbers.iter().zip(colors) {
                (0..3).for_each(|k| self.colors[cell][k] += color[k] / DIRECTIONS.len() as f32);
            }
        }
        Ok(())
    }

    /// Returns the centre of a cell in the coordinates of the scene's files.
    fn centre(&self, cell: usize) -> [f64; 3] {
        let [_, rows, columns] = self.size;
        let at = [cell / (rows * columns), cell / columns % rows, cell % columns];
        let (low, extent) = (self.within.low(), self.within.extent());
        std::array::from_fn(|k| low[k] + (at[k] as f64 + 0.5) * extent[k] / self.size[k] as f64)
    }

    /// Writes the file `path`, completely or not at all.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written, or if its extension stands for no format.
    pub fn write(&self, path: &Path) -> Result<()> {
        match VolumeFormat::of(path)? {
            #[cfg(feature = "export")]
            VolumeFormat::Npz => self.write_npz(path),
            VolumeFormat::Vdb => self.write_vdb(path),
        }
    }

    /// Writes arrays: `density` and `color` as above, in single precision, and `bounds`, `[2, 3]`, the corners of the
    /// box in double precision.
    #[cfg(feature = "export")]
    fn write_npz(&self, path: &Path) -> Result<()> {
        let [x, y, z] = self.size;
        let bounds = [self.within.low(), self.within.high()];
        npy::write_npz(
            path,
            &[
                Entry {
                    name: "density",
                    descr: "<f4",
                    shape: &[x, y, z],
                    numbers: bytemuck::cast_slice(&self.density),
                },
                Entry {
                    name: "color",
                    descr: "<f4",
                    shape: &[x, y, z, 3],
                    numbers: bytemuck::cast_slice(&self.colors),
                },
                Entry { name: "bounds", descr: "<f8", shape: &[2, 3], numbers: bytemuck::cast_slice(&bounds) },
            ],
        )
    }

    /// Writes the grids `density` and `color`. Colours are converted to linear values, as volume renderers expect.
    fn write_vdb(&self, path: &Path) -> Result<()> {
        let (size, extent) = (self.size, self.within.extent());
        let step = std::array::from_fn(|k| extent[k] / size[k] as f64);
        let placement = Placement { size, first: self.centre(0), step };
        let colors: Vec<f32> = self.colors.as_flattened().iter().map(|&value| linear(value)).collect();
        let grids = [
            Grid { name: "density", components: 1, values: &self.density },
            Grid { name: "color", components: 3, values: &colors },
        ];
        atomic::write(path, |file| vdb::write(file, &placement, &grids))
    }
}
