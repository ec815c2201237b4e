//! The surface of a radiance field, where its density crosses a threshold, and its colours: at the vertices, at points
//! drawn on it, or in a texture.

use std::sync::PoisonError;

use nalgebra::Vector3;

use super::renderer::Renderer;
use crate::geometry::{Bounds, FieldToScene, Space, cell_of_number, number_of_cell};
use crate::media::{Pixels, encode_png, to_rgb8};
use crate::mesh::{Atlas, ColoredMesh, Lattice, Mesh, Sampler, Texture, marching_cubes};
use crate::{Error, Result, memory};

/// Default of the density at a surface, per side length of the unit cube: the transmittance drops to about one half over
/// a fortieth of that side.
pub const SURFACE_DENSITY: f32 = 30.0;

/// Number of layers of values held in memory at a time.
const SLAB: usize = 8;
/// Densities are compared by their logarithms, which the network outputs and which are nearly linear between two
/// points. Differences from the logarithm of the threshold are clamped to this magnitude, so that empty space does not
/// pull vertices away from the surface.
const LARGEST_RATIO: f32 = 3.0;
/// Number of rows of a texture that are evaluated at a time.
const TEXTURE_ROWS: usize = 32;
/// Number of points that a CPU worker thread evaluates at a time.
const HOST_PIECE: usize = 1 << 12;

/// Number of steps of the march into a surface after which its colour is what they show; `colors_from_above` names it.
const MOST_STEPS: usize = 64;
/// Opacity from which on nothing shines through that an 8-bit colour could show.
const OPAQUE: f32 = 0.998;

/// Copy of the occupancy grid's bits on the host.
pub(super) struct Occupied {
    bits: Vec<u64>,
    resolution: usize,
    cascades: usize,
}

impl Renderer {
    /// Adds a normal and a colour to each vertex of a surface of this field in scene coordinates. Colours are those
    /// of [`Renderer::colors_from_above`].
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn colored(&self, mesh: Mesh) -> Result<ColoredMesh> {
        let normals = mesh.vertex_normals();
        let colors = self.colors_from_above(&mesh.vertices, &normals)?;
        Ok(ColoredMesh { mesh, normals, colors: Some(colors), texture: None })
    }

    /// Adds normals and a texture of `side` × `side` texels to a surface of this field in scene coordinates. A texel
    /// gets the colour of the field at the surface point that corresponds to its centre, seen against the normal there,
    /// which is interpolated between those of the vertices. `progress` is called with the number of completed rows.
    ///
    /// # Errors
    /// Returns an error if the texture is too small for the triangles or does not fit into memory, or if the device
    /// fails.
    pub fn textured(&self, mesh: Mesh, side: u32, progress: &mut dyn FnMut(usize)) -> Result<ColoredMesh> {
        let atlas = Atlas::new(side, mesh.triangles.len())?;
        let n_bytes = 3 * (side as usize).pow(2);
        // Memory for the image and for its PNG file, which may be as large.
        memory::require(&format!("a texture of {side} × {side} texels"), 2.0 * n_bytes as f64, "lower --texture")?;
        let (normals, of_triangles) = (mesh.vertex_normals(), mesh.triangle_normals());
        let mut image = vec![0; n_bytes];
        for first in (0..side).step_by(TEXTURE_ROWS) {
            let rows = first..side.min(first + TEXTURE_ROWS as u32);
            let texels = rows.clone().flat_map(|y| (0..side).map(move |x| (x, y)));
            let used: Vec<_> = texels.filter_map(|(x, y)| Some(((x, y), atlas.texel(x, y)?))).collect();
            let at = |vectors: &[[f32; 3]], triangle: usize, shares: [f32; 3]| -> [f32; 3] {
                let [a, b, c] = mesh.triangles[triangle].map(|vertex| vectors[vertex as usize]);
                std::array::from_fn(|k| shares[0] * a[k] + shares[1] * b[k] + shares[2] * c[k])
            };
            let points: Vec<_> = used.iter().map(|&(_, (triangle, of))| at(&mesh.vertices, triangle, of)).collect();
            let towards = |&(_, (triangle, of)): &(_, (usize, [f32; 3]))| {
                let normal = Vector3::from(at(&normals, triangle, of));
                normal.try_normalize(0.0).map_or(of_triangles[triangle], Into::into)
            };
            let colors = self.colors_from_above(&points, &used.iter().map(towards).collect::<Vec<_>>())?;
            for (&((x, y), _), color) in used.iter().zip(&colors) {
                let texel = (y as usize * side as usize + x as usize) * 3;
                image[texel..texel + 3].copy_from_slice(&to_rgb8(color));
            }
            progress(rows.end as usize);
        }
        let png = encode_png(side, side, Pixels::Rgb8(&image)).expect("an image with texels");
        Ok(ColoredMesh { mesh, normals, colors: None, texture: Some(Texture { atlas, png }) })
    }

    /// Samples `n_points` points evenly over a surface of this field in scene coordinates, and returns them with
    /// normals and colours.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn point_cloud(&self, mesh: &Mesh, n_points: usize) -> Result<ColoredMesh> {
        let sampler = Sampler::new(&self.device, mesh, 0..mesh.triangles.len() as u32)?;
        let drawn = sampler.on_surface(&self.device, n_points, 0)?;
        let of_triangles = mesh.triangle_normals();
        let normals: Vec<[f32; 3]> = drawn.triangles.iter().map(|&triangle| of_triangles[triangle as usize]).collect();
        // Rounding must not take points out of the box that the surface was cut to.
        let bounds = Bounds::of(mesh.vertices.iter().copied());
        let points: Vec<[f32; 3]> = drawn.points.iter().map(|&point| bounds.clamp(point)).collect();
        let colors = self.colors_from_above(&points, &normals)?;
        let mesh = Mesh { vertices: points, triangles: Vec::new(), origin: mesh.origin };
        Ok(ColoredMesh { mesh, normals, colors: Some(colors), texture: None })
    }

    /// Returns a box around the occupied cells of the unit cube, in coordinates in memory. On each axis, one of 200 cells
    /// may lie before it, and one after it, so that a few stray cells do not count. None if no cell is occupied, and for
    /// a scene in normalized device coordinates, which reaches to infinity.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(super) fn occupied_extent(&self) -> Result<Option<Bounds>> {
        let place = self.place();
        if matches!(self.space, Space::Ndc(_)) {
            return Ok(None);
        }
        let in_cube = Occupied::of(self)?.extent(|point| self.unit_cube.to_unit(place.to_scene(point)));
        let to_scene = |corner| self.unit_cube.to_scene(corner);
        Ok(in_cube.map(|cube| Bounds { low: to_scene(cube.low), high: to_scene(cube.high) }))
    }

    /// Returns how the field's box is placed in the scene.
    pub fn place(&self) -> FieldToScene {
        let side = self.march.box_max[0] - self.march.box_min[0];
        let side = if self.space == Space::Identity { side } else { 1.0 };
        FieldToScene { space: self.space, unit_cube: self.unit_cube, side }
    }

    /// Extracts the surface where the density, per side length of the unit cube, equals `threshold`, in the cells of a
    /// lattice over the field's box, in box coordinates.
    ///
    /// # Errors
    /// Returns an error if the density reaches the threshold nowhere in a lattice over the whole box, if the device
    /// fails, and the errors of [`marching_cubes`].
    pub fn surface(&self, lattice: &Lattice, threshold: f32, progress: &mut dyn FnMut(usize)) -> Result<Mesh> {
        let (occupied, near) = (Occupied::of(self)?, self.place());
        let mesh = marching_cubes(lattice, SLAB, |layers, values| {
            let end = layers.end;
            let place = |at: usize| lattice.place(lattice.corner(at + layers.start * lattice.layer()));
            let asked: Vec<usize> =
                (0..values.len()).filter(|&at| occupied.holds(place(at)) && near.is_near(place(at))).collect();
            let places: Vec<[f32; 3]> = asked.iter().map(|&at| place(at)).collect();
            values.fill(LARGEST_RATIO);
            for (at, density) in asked.into_iter().zip(self.densities(&places)?) {
                // A NaN survives the clamp, and marching cubes rejects it.
                values[at] = (threshold / density).ln().clamp(-LARGEST_RATIO, LARGEST_RATIO);
            }
            progress(end);
            Ok(())
        })?;
        if mesh.triangles.is_empty() && lattice.is_whole() {
            return Err(Error::config(format!(
                "the field's density reaches {threshold} nowhere, so that it has no surface there; lower \
                 --density-threshold or train it for longer"
            )));
        }
        Ok(mesh)
    }

    /// Computes the densities at points in the field's box, [0, 1]³, per side length of the unit cube.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn densities(&self, points: &[[f32; 3]]) -> Result<Vec<f32>> {
        let most = if self.device.is_host() { HOST_PIECE } else { self.size.samples };
        let mut pieces: Vec<_> = points.chunks(most).map(|points| (points, Vec::new())).collect();
        self.device.for_each_chunk(&mut pieces, |worker, _, (points, densities)| {
            self.interrupt.check()?;
            let mut own = self.chunks[worker].lock().unwrap_or_else(PoisonError::into_inner);
            let (chunk, scratch) = &mut *own;
            chunk.samples.position.upload(0, points.as_flattened())?;
            chunk.samples.count.upload(0, &[0, points.len() as u32])?;
            self.volume().densities(chunk, scratch, points.len())?;
            densities.resize(points.len(), 0.0);
            chunk.samples.density.download_into(0, densities)
        })?;
        Ok(pieces.into_iter().flat_map(|(_, densities)| densities).collect())
    }

    /// Computes the colours of points of a surface as rays against its normals see them, both in scene coordinates: sRGB
    /// from 0 to 1. Only the samples that a ray shows have been trained to have its colour, and most of them lie behind
    /// the point where the density crosses a threshold. So samples are composited from there on inwards, until nothing
    /// shines through or 64 steps of the march are taken.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn colors_from_above(&self, points: &[[f32; 3]], normals: &[[f32; 3]]) -> Result<Vec<[f32; 3]>> {
        let (place, size) = (self.place(), self.march.steps.size);
        // A step in the scene at each point. The density has the same unit of length.
        let lengths: Vec<f32> = points.iter().map(|&point| size / place.density_factor(point)).collect();
        let (mut colors, mut weights) = (vec![[0.0f32; 3]; points.len()], vec![0.0f32; points.len()]);
        let mut left: Vec<usize> = (0..points.len()).collect();
        for step in 0..MOST_STEPS {
            let depth = step as f32 + 0.5;
            let inside = |&i: &usize| [0, 1, 2].map(|k| points[i][k] - depth * lengths[i] * normals[i][k]);
            let at: Vec<[f32; 3]> = left.iter().map(inside).collect();
            let inwards: Vec<[f32; 3]> = left.iter().map(|&i| normals[i].map(|x| -x)).collect();
            for (&i, (density, color)) in left.iter().zip(self.samples(&at, &inwards)?) {
                let weight = (1.0 - weights[i]) * -(-density * size).exp_m1();
                weights[i] += weight;
                (0..3).for_each(|k| colors[i][k] += weight * color[k]);
            }
            left.retain(|&i| weights[i] < OPAQUE);
        }
        let scaled = |(color, weight): ([f32; 3], f32)| color.map(|x| x / weight.max(f32::MIN_POSITIVE));
        Ok(colors.into_iter().zip(weights).map(scaled).collect())
    }

    /// Computes the colours of points viewed along directions of length 1, both in scene coordinates: sRGB from 0 to 1.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn colors_along(&self, points: &[[f32; 3]], directions: &[[f32; 3]]) -> Result<Vec<[f32; 3]>> {
        Ok(self.samples(points, directions)?.into_iter().map(|(_, color)| color).collect())
    }

    /// Computes the densities of points, per side length of the unit cube, and their colours viewed along directions.
    fn samples(&self, points: &[[f32; 3]], directions: &[[f32; 3]]) -> Result<Vec<(f32, [f32; 3])>> {
        let place = self.place();
        let points: Vec<[f32; 3]> = points.iter().map(|&point| Bounds::UNIT.clamp(place.to_field(point))).collect();
        let most = self.size.rays.min(self.size.samples);
        let pieces = points.chunks(most).zip(directions.chunks(most));
        let mut pieces: Vec<_> =
            pieces.map(|(points, directions)| (points, directions, Vec::new(), Vec::new())).collect();
        self.device.for_each_chunk(&mut pieces, |worker, _, (points, directions, densities, colors)| {
            self.interrupt.check()?;
            let mut own = self.chunks[worker].lock().unwrap_or_else(PoisonError::into_inner);
            let (chunk, scratch) = &mut *own;
            let n = points.len();
            chunk.n_rays = n;
            for k in 0..3 {
                let along: Vec<f32> = directions.iter().map(|direction| direction[k]).collect();
                chunk.rays.view.upload(k * chunk.rays.capacity, &along)?;
            }
            chunk.samples.position.upload(0, points.as_flattened())?;
            chunk.samples.ray.upload(0, &(0..n as u32).collect::<Vec<_>>())?;
            chunk.samples.count.upload(0, &[0, n as u32])?;
            self.volume().outputs(chunk, scratch, n)?;
            densities.resize(n, 0.0);
            chunk.samples.density.download_into(0, densities)?;
            colors.resize(n, [0.0; 3]);
            chunk.samples.color.download_into(0, colors.as_flattened_mut())
        })?;
        Ok(pieces.into_iter().flat_map(|(_, _, densities, colors)| densities.into_iter().zip(colors)).collect())
    }
}

impl Occupied {
    pub fn of(renderer: &Renderer) -> Result<Self> {
        let occupancy = &renderer.occupancy;
        Ok(Occupied {
            bits: occupancy.bits.download()?,
            resolution: occupancy.resolution as usize,
            cascades: occupancy.cascades as usize,
        })
    }

    /// Returns whether a point of the field's box lies in an occupied cell of the smallest cascade that contains it.
    pub fn holds(&self, point: [f32; 3]) -> bool {
        let side = (1u32 << (self.cascades - 1)) as f32;
        let from_middle = point.map(|x| (x - 0.5) * side);
        let reach = from_middle.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let cascade = (0..self.cascades).find(|&m| reach <= 0.5 * (1u32 << m) as f32).unwrap_or(self.cascades - 1);
        let scale = self.resolution as f32 / (1u32 << cascade) as f32;
        let within = 0.5 * (1u32 << cascade) as f32;
        let cell = from_middle.map(|x| (((x + within) * scale) as usize).min(self.resolution - 1));
        self.bit(cascade, cell)
    }

    /// Returns a box around the occupied cells of the unit cube, in its coordinates; `to_unit` maps the field's box to
    /// them. See [`Renderer::occupied_extent`].
    fn extent(&self, to_unit: impl Fn([f32; 3]) -> [f32; 3]) -> Option<Bounds> {
        const SLACK: usize = 200;
        let n = self.resolution;
        // The smallest cascade lies in the middle of the field's box, and covers the unit cube.
        let side = 1.0 / (1u32 << (self.cascades - 1)) as f32;
        let mut counts = [0, 1, 2].map(|_| vec![0usize; n]);
        let mut total = 0;
        for cell in (0..n.pow(3)).map(|number| cell_of_number(number, n)).filter(|&cell| self.bit(0, cell)) {
            let point = to_unit(cell.map(|x| ((x as f32 + 0.5) / n as f32 - 0.5) * side + 0.5));
            if point.iter().all(|x| (0.0..1.0).contains(x)) {
                (0..3).for_each(|axis| counts[axis][(point[axis] * n as f32) as usize] += 1);
                total += 1;
            }
        }
        // The number of the slice in which the cells before it become more than a few.
        let reach = |slices: &[usize]| {
            let mut before = 0;
            slices.iter().position(|count| {
                before += count;
                before > total / SLACK
            })
        };
        let mut bounds = Bounds { low: [0.0; 3], high: [1.0; 3] };
        for (axis, slices) in counts.iter_mut().enumerate() {
            bounds.low[axis] = reach(slices)? as f32 / n as f32;
            slices.reverse();
            bounds.high[axis] = 1.0 - reach(slices)? as f32 / n as f32;
        }
        Some(bounds)
    }

    /// Reads the bit of a cell.
    fn bit(&self, cascade: usize, cell: [usize; 3]) -> bool {
        let number = number_of_cell(cell, self.resolution);
        self.bits[cascade * (self.resolution / 4).pow(3) + number / 64] >> (number % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extent_holds_the_occupied_cells_of_the_unit_cube_but_for_a_few() {
        let (resolution, cascades) = (16usize, 2usize);
        let mut occupied = Occupied { bits: vec![0; cascades * resolution.pow(3) / 64], resolution, cascades };
        let in_unit_cube = |point: [f32; 3]| point.map(|x| (x - 0.5) * 2.0 + 0.5);
        assert_eq!(occupied.extent(in_unit_cube), None);
        let mut set = |cascade: usize, cell: [usize; 3]| {
            let number = number_of_cell(cell, resolution);
            occupied.bits[cascade * resolution.pow(3) / 64 + number / 64] |= 1 << (number % 64);
        };
        for x in 4..12 {
            for y in 2..10 {
                (5..13).for_each(|z| set(0, [x, y, z]));
            }
        }
        // A stray cell, and one outside of the unit cube.
        set(0, [0, 15, 15]);
        set(1, [0, 0, 0]);
        let expected = Bounds { low: [0.25, 0.125, 5.0 / 16.0], high: [0.75, 0.625, 13.0 / 16.0] };
        assert_eq!(occupied.extent(in_unit_cube), Some(expected));
    }

    #[test]
    fn points_find_their_cells_in_every_cascade() {
        let (resolution, cascades) = (16usize, 2usize);
        let mut occupied = Occupied { bits: vec![0; cascades * resolution.pow(3) / 64], resolution, cascades };
        let mut set = |cascade: usize, [x, y, z]: [usize; 3]| {
            let block = x / 4 + 4 * (y / 4 + 4 * (z / 4)) + cascade * 64;
            occupied.bits[block] |= 1 << (x % 4 + 4 * (y % 4) + 16 * (z % 4));
        };
        // The box has side 2. The inner cube has 16 cells along a length of 1: from ¼ to ¾ of the box.
        set(0, [0, 5, 15]);
        // Outside of it, the cells are twice as large.
        set(1, [0, 0, 9]);
        let of = |cell: f32, cells: f32, low: f32, side: f32| low + side * (cell + 0.5) / cells;
        let inner = [of(0.0, 16.0, 0.25, 0.5), of(5.0, 16.0, 0.25, 0.5), of(15.0, 16.0, 0.25, 0.5)];
        let outer = [of(0.0, 16.0, 0.0, 1.0), of(0.0, 16.0, 0.0, 1.0), of(9.0, 16.0, 0.0, 1.0)];
        assert!(occupied.holds(inner) && occupied.holds(outer));
        assert!(!occupied.holds([inner[0] + 0.04, inner[1], inner[2]]) && !occupied.holds([0.5; 3]));
        assert!(!occupied.holds([0.0; 3]) && !occupied.holds([1.0; 3]));
    }
}
