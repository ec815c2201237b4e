//! Checks of a scene's cameras for faults.

use super::fit::{meeting_point, vector};
use super::{Scene, View};
use crate::geometry::Camera;
use nalgebra::{Matrix3, Vector3};
use std::fmt;

/// Cameras within this fraction of the distance of the farthest camera from the origin count as being at one place,
/// which is as far as single precision can tell.
const ONE_PLACE: f64 = 1e-6;

/// Tolerance for the axes of a camera: the relative difference of their lengths, and the cosines of their angles.
const SHEAR_TOLERANCE: f64 = 1e-2;

/// Smallest number of cameras from which a convention is judged.
const FEWEST_TO_JUDGE: usize = 4;
/// Cameras count as being at the point where their axes meet within this fraction of the farthest camera's distance
/// from the origin.
const AT_ONE_POINT: f64 = 1e-3;
/// Spreads of the viewing axes around the point where they meet: below the first, the cameras look at it; below the
/// second, they look around it; above, they look at different things.
const CLOSE: f64 = 0.1;
const LOOSE: f64 = 0.4;
/// Fraction of the cameras that may differ from all others.
const FEW: f64 = 0.2;

/// A fault of the cameras. Its `Display` text is a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RigFault {
    /// There is a single camera, which gives no information about depth.
    OneCamera,
    /// All cameras are at one place and give no information about depth.
    OnePlace,
    /// No two cameras look at the same part of the scene.
    LookingApart,
    /// The viewing axes of most cameras meet behind them, as if y were down and z forward.
    OpenCvAxes,
    /// The poses agree on what they look at if their matrices are inverted, and not as they are given.
    WorldToCamera,
    /// Cameras whose axes are left-handed: the number of such training cameras, and the name of the first.
    Mirrored(usize, String),
    /// Cameras whose axes are not at right angles or differ in length: their number, and the name of the first.
    Sheared(usize, String),
}

impl RigFault {
    /// Returns whether nothing can be learned from such cameras.
    pub(crate) fn is_fatal(&self) -> bool {
        matches!(self, RigFault::OneCamera | RigFault::OnePlace | RigFault::LookingApart)
    }

    /// Returns whether another convention of the poses would make sense of them.
    pub(crate) fn is_convention(&self) -> bool {
        matches!(self, RigFault::OpenCvAxes | RigFault::WorldToCamera)
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
            RigFault::OpenCvAxes => f.write_str(
                "the viewing axes of most training cameras meet behind the cameras, as they do where all look outwards, and \
                 where the poses of a transforms file have OpenCV's axes (y down, z forward); if these poses do, give \
                 --pose-convention opencv",
            ),
            RigFault::WorldToCamera => f.write_str(
                "the poses look like world-to-camera matrices: inverted, they look at one place, and as they are they do \
                 not; if so, invert them in the file, which needs camera-to-world",
            ),
            RigFault::Mirrored(n, first) => write!(
                f,
                "{n} training cameras mirror (their axes are left-handed), the first of them {first}; axes that are x \
                 right, y up and z back do not, so turn one of them"
            ),
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
        faults.extend(other_convention(views));
        let those = |is_so: fn(&Camera) -> bool| {
            let mut named = views.iter().filter(move |view| is_so(&view.camera)).map(|view| view.name.clone());
            named.next().map(|first| (1 + named.count(), first))
        };
        faults.extend(those(mirrors).map(|(n, first)| RigFault::Mirrored(n, first)));
        faults.extend(those(is_sheared).map(|(n, first)| RigFault::Sheared(n, first)));
        faults
    }
}

/// What is known of the point that most viewing axes meet.
struct Meeting {
    /// Fraction of the cameras that it lies in front of.
    before: f64,
    /// Median distance from the axes, over the median distance from the cameras.
    spread: f64,
}

impl Meeting {
    /// Returns `None` if the axes are parallel, or if cameras are at the point themselves.
    fn of(views: &[View]) -> Option<Meeting> {
        let point = meeting_point(views)?;
        let (mut along, mut across, mut away) = (Vec::new(), Vec::new(), Vec::new());
        for camera in views.iter().map(|view| &view.camera) {
            let to_point = point - vector(camera.position());
            let direction = vector(camera.forward()).normalize();
            along.push(to_point.dot(&direction));
            across.push(to_point.cross(&direction).norm());
            away.push(to_point.norm());
        }
        let farthest = views.iter().map(|view| vector(view.camera.position()).norm()).fold(0.0, f64::max);
        let before = along.iter().filter(|&&along| along > 0.0).count() as f64 / views.len() as f64;
        let away = median(away);
        (away > AT_ONE_POINT * farthest).then(|| Meeting { before, spread: median(across) / away })
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Returns the convention that makes more sense of the poses than the usual one, if there is one. Panoramas, which have
/// no viewing axis, do not count.
fn other_convention(views: &[View]) -> Option<RigFault> {
    let views: Vec<View> = views.iter().filter(|view| view.has_axis()).cloned().collect();
    if views.len() < FEWEST_TO_JUDGE {
        return None;
    }
    match Meeting::of(&views) {
        Some(Meeting { before, spread }) if before < FEW && spread < LOOSE => return Some(RigFault::OpenCvAxes),
        Some(Meeting { spread, .. }) if spread < LOOSE => return None,
        _ => {}
    }
    let inverted = views.iter().map(inverted).collect::<Option<Vec<View>>>()?;
    let Meeting { before, spread } = Meeting::of(&inverted)?;
    (spread < CLOSE && !(FEW..=1.0 - FEW).contains(&before)).then_some(RigFault::WorldToCamera)
}

/// Returns the view with the inverse of its matrix.
fn inverted(view: &View) -> Option<View> {
    let to_camera = axes(&view.camera).try_inverse()?;
    let position = to_camera * -vector(view.camera.position());
    let mut view = view.clone();
    view.camera.camera_to_world = std::array::from_fn(|row| {
        [to_camera[(row, 0)], to_camera[(row, 1)], to_camera[(row, 2)], position[row]].map(|x| x as f32)
    });
    Some(view)
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
    use crate::scene::PoseConvention;

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
    fn panoramas_do_not_count_where_a_convention_is_judged() {
        let around = |i: usize, back: f32| {
            let (sine, cosine) = (0.7 * i as f32).sin_cos();
            camera([cosine, 0.1 * sine, sine], [back * cosine, back * 0.1 * sine, back * sine])
        };
        let inward = (0..4).map(|i| around(i, 1.0));
        let outward: Vec<View> = (4..24).map(|i| around(i, -1.0)).collect();
        let all: Vec<View> = inward.clone().chain(outward.clone()).collect();
        assert_eq!(other_convention(&all), Some(RigFault::OpenCvAxes));
        let panoramas = outward.into_iter().map(|mut view| {
            view.camera.intrinsics = Intrinsics::panorama(40, 20);
            view
        });
        let mixed: Vec<View> = inward.chain(panoramas).collect();
        assert_eq!(other_convention(&mixed), None);
        assert_eq!(other_convention(&mixed[4..]), None);
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
    fn poses_of_another_convention_are_told_from_those_of_the_usual_one() {
        let around = |miss: f32| -> Vec<View> {
            let view = |i: usize| {
                let angle = i as f32 * 2.4;
                let place = [3.0 * angle.cos() + 0.2, 0.3 + 0.1 * i as f32, 3.0 * angle.sin()];
                camera(place, std::array::from_fn(|k| place[k] + miss * ((i + k) as f32).sin()))
            };
            (0..12).map(view).collect()
        };
        let turned = |views: &[View]| -> Vec<View> {
            let turn = |view: &View| {
                let mut view = view.clone();
                view.camera.camera_to_world = PoseConvention::OpenCv.to_opengl(view.camera.camera_to_world);
                view
            };
            views.iter().map(turn).collect()
        };
        let inverse = |views: &[View]| -> Vec<View> { views.iter().map(|view| inverted(view).unwrap()).collect() };
        for miss in [0.0, 0.1] {
            let views = around(miss);
            assert_eq!(other_convention(&views), None);
            assert_eq!(other_convention(&turned(&views)), Some(RigFault::OpenCvAxes));
            assert_eq!(other_convention(&inverse(&views)), Some(RigFault::WorldToCamera));
            assert_eq!(
                other_convention(&inverse(&turned(&views))),
                Some(RigFault::WorldToCamera),
                "as OpenCV has them"
            );
        }
        // Side by side, and cameras that look at different things from different places.
        let aside: Vec<View> = (0..9).map(|i| camera([i as f32, 0.0, 0.0], [0.01 * i as f32, 0.0, 1.0])).collect();
        assert_eq!(other_convention(&aside), None);
        let walk =
            |i: usize| camera([i as f32, 0.0, (i as f32).sin()], [(i as f32).cos(), 0.0, (2.3 * i as f32).sin()]);
        assert_eq!(other_convention(&(0..20).map(walk).collect::<Vec<_>>()), None);
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
