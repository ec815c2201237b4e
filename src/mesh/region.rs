//! The part of a field whose surface is extracted, and the surface's map to the scene.

use super::{Lattice, Mesh};
use crate::geometry::{Bounds, FieldToScene, SceneBox};
use crate::{Error, Result};

/// The cells of a field in which its surface is extracted, and the box of the scene that it is cut to.
#[derive(Clone, Debug)]
pub struct Region {
    place: FieldToScene,
    lattice: Lattice,
    bounds: Option<Bounds>,
}

impl Region {
    /// Returns the region of a field that is placed in the scene by `place`, with `resolution` cells per axis of the
    /// whole field: all of it, or what is within a box of the scene. The cells are the same in both cases.
    ///
    /// # Errors
    /// Returns an error if the field has nothing within the box.
    pub fn new(place: FieldToScene, resolution: usize, within: Option<&SceneBox>) -> Result<Self> {
        let Some(within) = within else {
            return Ok(Region { place, lattice: Lattice::whole(resolution), bounds: None });
        };
        let in_field = place.region_within(within)?;
        let bounds = within.relative(&place.unit_cube.origin);
        Ok(Region { place, lattice: Lattice::around(resolution, &in_field), bounds: Some(bounds) })
    }

    /// Returns the cells.
    pub fn lattice(&self) -> &Lattice {
        &self.lattice
    }

    /// Maps a surface from the field's box to scene coordinates, keeping its triangles counter-clockwise, and cuts it
    /// at the walls of the box of the scene. It is open there.
    ///
    /// # Errors
    /// Returns an error if no part of it lies in the box.
    pub fn in_scene(&self, surface: Mesh) -> Result<Mesh> {
        let mut mesh = surface.mapped(self.place.unit_cube.origin, |point| self.place.to_scene(point));
        if self.place.mirrors() {
            mesh.triangles.iter_mut().for_each(|triangle| triangle.swap(1, 2));
        }
        if let Some(bounds) = &self.bounds {
            mesh.clip(bounds);
        }
        if mesh.triangles.is_empty() {
            return Err(Error::config("the field has no surface in the box; move or enlarge --box"));
        }
        Ok(mesh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Space, UnitCube};
    use crate::mesh::{Edges, marching_cubes};

    fn place() -> FieldToScene {
        FieldToScene { space: Space::Identity, unit_cube: UnitCube::new(0.5, [0.5; 3]), side: 1.0 }
    }

    /// Extracts a ball of radius ½ around the origin of the scene, whose field reaches to ±1.
    fn ball(within: Option<&SceneBox>) -> Result<Mesh> {
        let region = Region::new(place(), 24, within).unwrap();
        let lattice = region.lattice();
        let mesh = marching_cubes(lattice, 5, |layers, values| {
            for (i, value) in values.iter_mut().enumerate() {
                let [x, y, z] = lattice.corner(i);
                let point = place().to_scene(lattice.place([x, y, z + layers.start]));
                *value = point.iter().map(|x| x * x).sum::<f32>().sqrt() - 0.5;
            }
            Ok(())
        });
        region.in_scene(mesh.unwrap())
    }

    #[test]
    fn a_box_gives_the_part_of_the_whole_surface_that_is_in_it() {
        let within = SceneBox::new([-0.1, -3.0, 0.05], [0.37, 0.2, 3.0]).unwrap();
        let bounds = within.relative(&[0.0; 3]);
        let mut whole = ball(None).unwrap();
        assert!(Edges::of(&whole).are_closed());
        whole.clip(&bounds);
        let part = ball(Some(&within)).unwrap();
        assert!(part.vertices.iter().all(|&vertex| bounds.clamp(vertex) == vertex));
        assert!((part.area() / whole.area() - 1.0).abs() < 1e-6 && part.area() > 0.1);
        assert_eq!(Edges::of(&part), Edges::of(&whole), "the same cells");
    }

    #[test]
    fn a_surface_is_capped_at_the_faces_of_the_field_and_open_at_the_walls_of_a_box() {
        let everywhere = |within: &SceneBox| {
            let region = Region::new(place(), 8, Some(within)).unwrap();
            let mesh = marching_cubes(region.lattice(), 3, |_, values| {
                values.fill(-1.0);
                Ok(())
            });
            region.in_scene(mesh.unwrap())
        };
        let around = everywhere(&SceneBox::new([-9.0; 3], [9.0; 3]).unwrap()).unwrap();
        assert!(Edges::of(&around).are_closed());
        let half = everywhere(&SceneBox::new([-9.0; 3], [0.1, 9.0, 9.0]).unwrap()).unwrap();
        assert!(Edges::of(&half).boundary > 0 && half.bounds().1[0] == 0.1);
        let error = everywhere(&SceneBox::new([-0.1; 3], [0.1; 3]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("no surface in the box"), "{error}");
    }

    #[test]
    fn a_box_outside_of_the_field_is_refused() {
        let error = Region::new(place(), 8, Some(&SceneBox::new([1.5; 3], [2.0; 3]).unwrap())).unwrap_err().to_string();
        assert!(error.contains("reaches from -1.0000,-1.0000,-1.0000 to 1.0000,1.0000,1.0000"), "{error}");
    }
}
