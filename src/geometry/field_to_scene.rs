//! Maps points of a field's box to the scene and back, for each space map of `kernels/radiance/space.cuh`.

use nalgebra::{Matrix3, Vector3};

use super::{Bounds, Ndc, SceneBox, Space, UnitCube};
use crate::{Error, Result};

/// Points farther away than this many radii of the unit ball (contracted space) or near planes (frustum) are
/// background.
const FARTHEST: f64 = 20.0;

/// How a field's box, `[0, 1]³`, is placed in a scene.
#[derive(Clone, Copy, Debug)]
pub struct FieldToScene {
    /// Map from the unit cube to the field.
    pub space: Space,
    /// Placement of the scene in the unit cube.
    pub unit_cube: UnitCube,
    /// Side of the box of all cascades, in sides of the unit cube; 1 in contracted space and in NDC.
    pub side: f32,
}

impl FieldToScene {
    /// Maps a point of the box to the scene.
    pub fn to_scene(self, point: [f32; 3]) -> [f32; 3] {
        match &self.space {
            Space::Identity => self.unit_cube.to_scene(point.map(|x| (x - 0.5) * self.side + 0.5)),
            Space::Contraction => self.unit_cube.to_scene(expanded(point)),
            Space::Ndc(ndc) => out_of_frustum(ndc, point),
        }
    }

    /// Maps a point of the scene to the box. Points that the field does not cover are mapped to outside of `[0, 1]³`.
    pub(crate) fn to_field(self, point: [f32; 3]) -> [f32; 3] {
        match &self.space {
            Space::Identity => self.unit_cube.to_unit(point).map(|x| (x - 0.5) / self.side + 0.5),
            Space::Contraction => contracted(self.unit_cube.to_unit(point)),
            Space::Ndc(ndc) => into_frustum(ndc, point),
        }
    }

    /// Returns a box in the field's own coordinates that contains everything the field has within a box of the scene.
    ///
    /// # Errors
    /// Returns an error if the field has nothing there.
    pub(crate) fn region_within(self, within: &SceneBox) -> Result<Bounds> {
        let origin = self.unit_cube.origin;
        self.bounds_in_field(&within.relative(&origin)).ok_or_else(|| {
            let corner = |of: [f32; 3]| -> String {
                let corner = self.to_scene(of);
                let numbers: Vec<String> = (0..3).map(|k| format!("{:.4}", f64::from(corner[k]) + origin[k])).collect();
                numbers.join(",")
            };
            Error::config(match self.space {
                Space::Identity => format!(
                    "the box is outside of the field, which reaches from {} to {}; move --box",
                    corner([0.0; 3]),
                    corner([1.0; 3])
                ),
                _ => "the box is outside of what the field covers; move --box".to_owned(),
            })
        })
    }

    fn bounds_in_field(self, bounds: &Bounds) -> Option<Bounds> {
        // Coordinates of the image of a box are extreme at its corners. Contraction moves a point towards the middle by
        // a factor that falls with the distance from there, so that for one coordinate the extremes may also be where
        // the other two are nearest to the middle.
        let marks = bounds.marks(self.unit_cube.to_scene([0.5; 3]));
        let mut image = Bounds::of(marks.map(|mark| self.to_field(mark)));
        if matches!(self.space, Space::Ndc(_)) && image.low[2] < 0.0 {
            // The projection of what lies behind the near plane says nothing about the rest.
            (image.low[0], image.low[1], image.high[0], image.high[1]) = (0.0, 0.0, 1.0, 1.0);
        }
        image.common(&Bounds::UNIT)
    }

    /// Returns the factor from densities of the field to densities per scene unit at a point of the scene. Densities
    /// are per side of the unit cube; beyond the unit ball of contracted space, per unit of contracted length along the
    /// radius, 1 / r² of that in space. In normalized device coordinates there is no factor that holds for all
    /// directions.
    pub(crate) fn density_factor(self, point: [f32; 3]) -> f32 {
        let radius = match self.space {
            Space::Contraction => 2.0 * from_middle(self.unit_cube.to_unit(point)).norm(),
            Space::Identity | Space::Ndc(_) => 1.0,
        };
        self.unit_cube.scale / radius.max(1.0).powi(2) as f32
    }

    /// Returns whether a point of the box is near enough not to be background. The boxes of contracted space and of NDC
    /// extend to infinity.
    pub(crate) fn is_near(&self, point: [f32; 3]) -> bool {
        match self.space {
            Space::Identity => true,
            Space::Contraction => ball_radius(point) < 2.0 - 1.0 / FARTHEST,
            Space::Ndc(_) => f64::from(point[2]) < 1.0 - 1.0 / FARTHEST,
        }
    }

    /// Returns whether the map turns counter-clockwise triangles into clockwise ones.
    pub(crate) fn mirrors(&self) -> bool {
        matches!(self.space, Space::Ndc(_))
    }
}

/// Returns the distance from the centre of the box, in units in which a ball of radius 2 fills the box.
fn ball_radius(point: [f32; 3]) -> f64 {
    4.0 * from_middle(point).norm()
}

fn from_middle(point: [f32; 3]) -> Vector3<f64> {
    Vector3::from(point.map(|x| f64::from(x) - 0.5))
}

fn numbers(vector: Vector3<f64>) -> [f32; 3] {
    vector.map(|x| x as f32).into()
}

/// Maps a point of a contracted field's box to unit-cube coordinates: the inverse of mip-NeRF 360, equation 10.
fn expanded(point: [f32; 3]) -> [f32; 3] {
    let contracted = ball_radius(point);
    let radius = if contracted > 1.0 { 1.0 / (2.0 - contracted).max(1e-6) } else { contracted };
    let factor = if contracted > 0.0 { radius / contracted } else { 1.0 };
    numbers((from_middle(point) * 2.0 * factor).add_scalar(0.5))
}

/// Contracts a point of the unit cube's coordinates into a field's box: mip-NeRF 360, equation 10.
fn contracted(point: [f32; 3]) -> [f32; 3] {
    let from_middle = from_middle(point);
    let radius = 2.0 * from_middle.norm();
    let factor = if radius > 1.0 { (2.0 - 1.0 / radius) / radius } else { 1.0 };
    numbers((from_middle * 0.5 * factor).add_scalar(0.5))
}

/// Smallest depth that a point is taken to have, in units of the near plane's, even if it lies behind the rig. It is
/// closer than the near plane, so such a point is mapped to outside of the box.
const LEAST_DEPTH: f64 = 1e-6;

/// Projects a point to the rig's normalized device coordinates (NeRF, appendix C).
fn into_frustum(ndc: &Ndc, point: [f32; 3]) -> [f32; 3] {
    let axes = Matrix3::from_fn(|row, column| f64::from(ndc.frame[row][column]));
    let at = Vector3::from_fn(|row, _| f64::from(ndc.frame[row][3]));
    let in_rig = axes.transpose() * (Vector3::from(point.map(f64::from)) - at) / f64::from(ndc.near);
    let z = in_rig.z.min(-LEAST_DEPTH);
    let across = |k: usize| 0.5 - in_rig[k] / (z * 2.0 * f64::from(ndc.tangents[k]));
    numbers(Vector3::new(across(0), across(1), 1.0 + 1.0 / z))
}

fn out_of_frustum(ndc: &Ndc, point: [f32; 3]) -> [f32; 3] {
    let axes = Matrix3::from_fn(|row, column| f64::from(ndc.frame[row][column]));
    let at = Vector3::from_fn(|row, _| f64::from(ndc.frame[row][3]));
    let z = -1.0 / (1.0 - f64::from(point[2])).max(1e-6);
    let across = |k: usize| (0.5 - f64::from(point[k])) * z * 2.0 * f64::from(ndc.tangents[k]);
    numbers(axes * Vector3::new(across(0), across(1), z) * f64::from(ndc.near) + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> [FieldToScene; 3] {
        let unit_cube = UnitCube::new(0.25, [0.4, 0.5, 0.6]);
        // Looks along +x, with +z up.
        let frame = [[0.0, 0.0, -1.0, 2.0], [-1.0, 0.0, 0.0, 3.0], [0.0, 1.0, 0.0, 4.0]];
        let ndc = Ndc { frame, near: 1.5, tangents: [0.8, 0.6] };
        [(Space::Identity, 4.0), (Space::Contraction, 1.0), (Space::Ndc(ndc), 1.0)].map(|(space, side)| FieldToScene {
            space,
            unit_cube,
            side,
        })
    }

    #[test]
    fn places_are_where_the_formulas_say() {
        let [boxed, contraction, frustum] = places();
        // The box of three cascades is four unit cubes wide, and the unit cube is four scene units wide.
        assert_eq!(boxed.to_scene([1.0, 0.5, 0.5])[0] - boxed.to_scene([0.0, 0.5, 0.5])[0], 16.0);
        // The ball inscribed in the unit cube fills half of a contracted box; radius 2 maps to 1.5 there.
        let middle = contraction.to_scene([0.5; 3]);
        let reach = |x: f32| contraction.to_scene([x, 0.5, 0.5])[0] - middle[0];
        assert!((reach(0.75) - 2.0).abs() < 1e-5 && (reach(0.875) - 4.0).abs() < 1e-5);
        assert!(
            contraction.is_near([0.9, 0.5, 0.5])
                && !contraction.is_near([0.995, 0.5, 0.5])
                && !contraction.is_near([0.0; 3])
        );
        // The centre of the near plane, and a point twice as far.
        let near = frustum.to_scene([0.5, 0.5, 0.0]);
        assert!((0..3).all(|k| (near[k] - [3.5, 3.0, 4.0][k]).abs() < 1e-5), "{near:?}");
        let far = frustum.to_scene([0.5, 0.5, 0.5]);
        assert!((far[0] - 5.0).abs() < 1e-5, "{far:?}");
        // The right edge of the near plane: 0.8 · 1.5 along the rig's x axis, which is −y.
        assert!((frustum.to_scene([1.0, 0.5, 0.0])[1] - (3.0 - 1.2)).abs() < 1e-5);
        assert!(frustum.is_near([0.5, 0.5, 0.9]) && !frustum.is_near([0.5, 0.5, 0.96]));
    }

    #[test]
    fn points_come_back_from_the_scene() {
        for place in places() {
            for i in 0..125 {
                let point = [i % 5, i / 5 % 5, i / 25].map(|c| 0.3 + 0.1 * c as f32);
                let back = place.to_field(place.to_scene(point));
                assert!((0..3).all(|k| (back[k] - point[k]).abs() < 1e-5), "{:?}: {point:?} {back:?}", place.space);
            }
        }
        let [boxed, _, frustum] = places();
        assert!(boxed.to_field([9.0, 0.0, 0.0])[0] > 1.0);
        for behind in [[3.0, 3.0, 4.0], [2.0, 3.0, 4.0], [-5.0, 3.0, 4.0]] {
            assert!(frustum.to_field(behind)[2] < 0.0, "{behind:?}");
        }
    }

    #[test]
    fn bounds_in_the_field_hold_what_is_in_the_box() {
        for place in places() {
            for i in 0..27 {
                let low = [i % 3, i / 3 % 3, i / 9].map(|c| 6.0 * c as f32 - 7.0);
                let bounds = Bounds { low, high: [low[0] + 7.5, low[1] + 5.0, low[2] + 2.5] };
                let inside = |n: usize| {
                    let share = [n % 9, n / 9 % 9, n / 81].map(|c| c as f32 / 8.0);
                    std::array::from_fn(|k| low[k] + share[k] * (bounds.high[k] - low[k]))
                };
                let images = (0..729).map(|n| place.to_field(inside(n)));
                let covered: Vec<_> = images.filter(|q| q.iter().all(|x| (0.0..=1.0).contains(x))).collect();
                let Some(found) = place.bounds_in_field(&bounds) else {
                    assert!(covered.len() < 2, "{:?}: {bounds:?} {covered:?}", place.space);
                    continue;
                };
                for q in covered {
                    let apart = (0..3).map(|k| (q[k] - found.clamp(q)[k]).abs()).fold(0.0, f32::max);
                    assert!(apart < 1e-5, "{:?}: {bounds:?} {q:?} {found:?}", place.space);
                }
            }
        }
        let [boxed, contraction, frustum] = places();
        // The contracted box of an octant around the middle reaches to it; the walls bulge outwards.
        let middle = contraction.to_scene([0.5; 3]);
        let octant = Bounds { low: middle, high: middle.map(|x| x + 8.0) };
        let found = contraction.bounds_in_field(&octant).unwrap();
        let reach = contraction.to_field([middle[0] + 8.0, middle[1], middle[2]])[0];
        assert!((found.high[0] - reach).abs() < 1e-6 && (found.low[0] - 0.5).abs() < 1e-6, "{found:?}");
        assert_eq!(boxed.bounds_in_field(&Bounds { low: [90.0; 3], high: [91.0; 3] }), None);
        assert_eq!(frustum.bounds_in_field(&Bounds { low: [-9.0; 3], high: [1.0; 3] }), None);
    }

    #[test]
    fn only_the_frustum_mirrors() {
        for place in places() {
            let at = |point: [f32; 3]| Vector3::from(place.to_scene(point).map(f64::from));
            let o = at([0.4, 0.4, 0.3]);
            let moved = [[0.401, 0.4, 0.3], [0.4, 0.401, 0.3], [0.4, 0.4, 0.301]].map(|p| at(p) - o);
            assert_eq!(Matrix3::from_columns(&moved).determinant() < 0.0, place.mirrors(), "{:?}", place.space);
        }
    }
}
