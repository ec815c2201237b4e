//! Maps points of a field's box to the scene, for each space map: the inverse of the maps in
//! `kernels/radiance/space.cuh`.

use nalgebra::{Matrix3, Vector3};

use super::{Ndc, Space, UnitCube};

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

    /// Returns whether a point of the box is near enough not to be background. The boxes of contracted space and of NDC
    /// extend to infinity.
    pub fn is_near(&self, point: [f32; 3]) -> bool {
        match self.space {
            Space::Identity => true,
            Space::Contraction => ball_radius(point) < 2.0 - 1.0 / FARTHEST,
            Space::Ndc(_) => f64::from(point[2]) < 1.0 - 1.0 / FARTHEST,
        }
    }

    /// Returns whether the map turns counter-clockwise triangles into clockwise ones.
    pub fn mirrors(&self) -> bool {
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
    fn only_the_frustum_mirrors() {
        for place in places() {
            let at = |point: [f32; 3]| Vector3::from(place.to_scene(point).map(f64::from));
            let o = at([0.4, 0.4, 0.3]);
            let moved = [[0.401, 0.4, 0.3], [0.4, 0.401, 0.3], [0.4, 0.4, 0.301]].map(|p| at(p) - o);
            assert_eq!(Matrix3::from_columns(&moved).determinant() < 0.0, place.mirrors(), "{:?}", place.space);
        }
    }
}
