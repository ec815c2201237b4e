//! Checks of a scene's cameras for faults.

use super::fit::vector;
use super::{Scene, View};
use crate::geometry::Camera;
use nalgebra::{Matrix3, Vector3};
use std::fmt;

/// Cameras within this fraction of the distance of the farthest camera from the origin count as being at one place,
/// which is as far as single precision can tell.
const ONE_PLACE: f64 = 1e-6;

/// Tolerance for the axes of a camera: the relative difference of their lengths, and the cosines of their angles.
const SHEAR_TOLERANCE: f64 = 1e-2;

/// A fault of the cameras. Its text is a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RigFault {
    /// There is a single camera, which gives no information about depth.
    OneCamera,
    /// All cameras are at one place and give no information about depth.
    OnePlace,
    /// No two cameras look at the same part of the scene.
    LookingApart,
    /// Cameras whose axes are left-handed: the number of such training cameras, and the name of the first.
    Mirrored(usize, String),
    /// Cameras whose axes are not at right angles or differ in length: their number, and the name of the first.
    Sheared(usize, String),
}

impl RigFault {
    /// Returns whether nothing can be learned from such cameras.
    pub fn is_fatal(&self) -> bool {
        matches!(self, RigFault::OneCamera | RigFault::OnePlace | RigFault::LookingApart)
    }
}

impl fmt::Display for RigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RigFault::OneCamera => {
                f.write_str("there is only one training view, which tells no depth; add photographs from other places")
            }
            RigFault::OnePlace => f.write_str(
                "all training cameras are at one place, from where no depth can be told; check the poses, or add \
                 photographs from other places",
            ),
            RigFault::LookingApart => f.write_str(
                "no two training cameras look at the same part of the scene, so that no depth can be told; check that \
                 the poses are camera-to-world and that cameras look along −z",
            ),
            RigFault::Mirrored(n, first) => {
                write!(f, "{n} training cameras mirror (their axes are left-handed), the first of them {first}")
            }
            RigFault::Sheared(n, first) => write!(
                f,
                "{n} training cameras have axes that are not at right angles and of one length, the first of them {first}"
            ),
        }
    }
}

impl Scene {
    /// Returns the faults of the training cameras, the most serious first.
    pub fn rig_faults(&self) -> Vec<RigFault> {
        let views = &self.splits.train;
        let mut faults = Vec::new();
        if views.len() == 1 {
            faults.push(RigFault::OneCamera);
        } else if at_one_place(views) {
            faults.push(RigFault::OnePlace);
        } else if look_apart(views) {
            faults.push(RigFault::LookingApart);
        }
        let those = |is_so: fn(&Camera) -> bool| {
            let mut named = views.iter().filter(move |view| is_so(&view.camera)).map(|view| view.name.clone());
            named.next().map(|first| (1 + named.count(), first))
        };
        faults.extend(those(mirrors).map(|(n, first)| RigFault::Mirrored(n, first)));
        faults.extend(those(is_sheared).map(|(n, first)| RigFault::Sheared(n, first)));
        faults
    }
}

fn at_one_place(views: &[View]) -> bool {
    let first = vector(views[0].camera.position());
    let positions = || views.iter().map(|view| vector(view.camera.position()));
    let farthest = positions().map(|position| position.norm()).fold(0.0, f64::max);
    positions().all(|position| (position - first).norm() <= ONE_PLACE * farthest)
}

/// Returns whether no two cameras look at the same part of the scene: there is no pair whose viewing axes come closest
/// in front of both cameras, or whose images overlap in direction.
fn look_apart(views: &[View]) -> bool {
    let axes: Vec<Axis> = views.iter().map(|view| Axis::of(&view.camera)).collect();
    !axes.iter().enumerate().any(|(i, a)| axes[..i].iter().any(|b| a.shares_with(b)))
}

struct Axis {
    position: Vector3<f64>,
    direction: Vector3<f64>,
    /// Largest angle to the viewing direction in the image, in radians: that of a corner, or of an edge of a panorama.
    reach: f64,
}

impl Axis {
    fn of(camera: &Camera) -> Self {
        let direction = vector(camera.forward()).normalize();
        let (width, height) = (camera.intrinsics.width as f32, camera.intrinsics.height as f32);
        let corners = [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)];
        let sides = [(0.0, 0.5 * height), (width, 0.5 * height)].into_iter();
        let sides = sides.filter(|_| camera.intrinsics.lens.is_panorama());
        let angles = corners.into_iter().chain(sides).map(|(x, y)| vector(camera.ray(x, y).1).angle(&direction));
        Axis { position: vector(camera.position()), direction, reach: angles.fold(0.0, f64::max) }
    }

    fn shares_with(&self, other: &Axis) -> bool {
        if self.direction.angle(&other.direction) < self.reach + other.reach {
            return true;
        }
        // Distances along both axes of their points of closest approach (times sine²), from the normal equations of two
        // lines.
        let between = other.position - self.position;
        let cosine = self.direction.dot(&other.direction);
        let sine_squared = 1.0 - cosine * cosine;
        if sine_squared < 1e-12 {
            return between.dot(&self.direction) > 0.0 && cosine < 0.0;
        }
        let (mine, others) = (between.dot(&self.direction), between.dot(&other.direction));
        mine - cosine * others > 0.0 && cosine * mine - others > 0.0
    }
}

fn axes(camera: &Camera) -> Matrix3<f64> {
    Matrix3::from_fn(|row, column| f64::from(camera.camera_to_world[row][column]))
}

fn mirrors(camera: &Camera) -> bool {
    axes(camera).determinant() < 0.0
}

fn is_sheared(camera: &Camera) -> bool {
    let products = axes(camera).transpose() * axes(camera);
    let size = products.trace() / 3.0;
    (products / size - Matrix3::identity()).amax() > SHEAR_TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Intrinsics;

    /// Returns a camera at `position` that looks along `-back`; neither may be vertical.
    fn camera(position: [f32; 3], back: [f32; 3]) -> View {
        let back = Vector3::from(back).normalize();
        let right = Vector3::y().cross(&back).normalize();
        let up = back.cross(&right);
        let camera_to_world = std::array::from_fn(|row| [right[row], up[row], back[row], position[row]]);
        let camera = Camera { intrinsics: Intrinsics::from_fov_x(40, 30, 0.8), camera_to_world };
        View::new(format!("{position:?}"), "", camera)
    }

    #[test]
    fn panoramas_never_look_apart() {
        let outward = [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]].map(|place| camera(place, place.map(|x: f32| -x)));
        assert!(look_apart(&outward));
        let panoramas = outward.map(|mut view| {
            view.camera.intrinsics = Intrinsics::panorama(40, 20);
            view
        });
        assert!(!look_apart(&panoramas));
    }

    #[test]
    fn cameras_around_something_and_side_by_side_share_what_they_see() {
        let around: Vec<View> =
            [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.1], [0.0, 0.0, 1.0]].map(|place| camera(place, place)).into();
        assert!(!look_apart(&around) && !look_apart(&around[..2]));
        assert!(!look_apart(&[camera([0.0; 3], [0.0, 0.0, 1.0]), camera([1.0, 0.0, 0.0], [0.0, 0.0, 1.0])]));
    }

    #[test]
    fn cameras_back_to_back_look_apart() {
        let outward = [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]];
        assert!(look_apart(&outward.map(|place| camera(place, place.map(|x: f32| -x)))));
        let overlapping = camera([0.9, 0.0, 0.3], [-0.9, 0.0, -0.3]);
        assert!(!look_apart(&[camera([1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]), overlapping]));
    }

    #[test]
    fn one_place_is_told_from_places_close_together() {
        let at = |x: f32| camera([x, 2.0, 3.0], [1.0, 0.0, x]);
        assert!(at_one_place(&[at(1.0), at(1.0)]));
        assert!(!at_one_place(&[at(1.0), at(1.001)]));
    }

    #[test]
    fn mirrors_and_shears_are_seen() {
        let mut view = camera([1.0, 0.0, 0.0], [1.0, 0.2, 0.0]);
        assert!(!mirrors(&view.camera) && !is_sheared(&view.camera));
        view.camera.camera_to_world.iter_mut().for_each(|row| row[0] = -row[0]);
        assert!(mirrors(&view.camera) && !is_sheared(&view.camera));
        view.camera.camera_to_world[0][1] += 0.1;
        assert!(is_sheared(&view.camera));
    }
}
