//! Placement of the model's unit cube in scenes that do not specify one.

use super::View;
use crate::geometry::{Camera, UnitCube};
use nalgebra::{Matrix3, Vector3};

/// Cameras around a scene lie within this fraction of the unit cube's half side; the rest is for content beside them.
const CAMERA_REACH: f64 = 0.8;

/// Cosine of 80°: images with a corner farther than this from the mean viewing direction cannot be represented in a
/// projection onto one plane.
const WIDEST_COSINE: f64 = 0.17;

/// Cosine of 30°, the largest angle between a camera's viewing direction and the mean for a rig that looks one way.
const ONE_WAY_COSINE: f64 = 0.866;

/// Fraction of a reconstruction's points that a scene's box must hold: some points are outliers or lie in the sky.
const MOST_POINTS: f64 = 0.95;
/// Largest side, in unit cubes, of a box fitted to points.
const FARTHEST: u32 = 16;

/// Cameras closer together than this fraction of their distance from the scene's origin count as being at one place:
/// single precision cannot tell them apart.
const ONE_PLACE: f64 = 1e-6;
/// The corresponding threshold for cameras at the origin, in scene units.
const LEAST_REACH: f64 = 1e-30;

/// Distance from the origin, in scene units, that instant-ngp's largest box of 128 unit cubes of side 1/0.33 reaches.
const USUAL_REACH: f64 = 194.0;

/// Side of the unit cube in scene units where all cameras are at one place and so determine no scale.
const NO_SIDE: f64 = 1.0;

/// Returns the unit cube centred on what the cameras look at that holds all cameras and half of the points, if there
/// are any, in a scene whose coordinates are relative to `origin`.
pub(super) fn around_cameras(views: &[View], points: &[[f32; 3]], origin: [f64; 3]) -> UnitCube {
    let positions: Vec<Vector3<f64>> = views.iter().map(|view| vector(view.camera.position())).collect();
    let centre = looked_at(views).or_else(|| median(points)).unwrap_or_else(|| mean_position(views));
    let reach = positions.iter().map(|position| (position - centre).amax()).fold(0.0, f64::max);
    let mut distances: Vec<f64> = points.iter().map(|&point| (vector(point) - centre).amax()).collect();
    distances.sort_by(f64::total_cmp);
    let reach = reach.max(distances.get(distances.len() / 2).copied().unwrap_or(0.0));
    let tells = reach > LEAST_REACH.max(ONE_PLACE * centre.amax());
    centred(&centre, if tells { 2.0 * reach / CAMERA_REACH } else { NO_SIDE }, origin)
}

/// Returns the side, in unit cubes, of the box around the unit cube's centre that holds most points, rounded up to a
/// power of two. Returns `None` without points.
pub(super) fn reach(unit_cube: &UnitCube, points: &[[f32; 3]]) -> Option<u32> {
    let from_centre =
        |&point: &[f32; 3]| unit_cube.to_unit(point).map(|x| (x - 0.5).abs()).into_iter().fold(0.0, f32::max);
    let mut distances: Vec<f32> = points.iter().map(from_centre).collect();
    distances.sort_by(f32::total_cmp);
    let most = distances.get((distances.len() as f64 * MOST_POINTS) as usize)?;
    Some(((2.0 * most).ceil() as u32).clamp(1, FARTHEST).next_power_of_two())
}

/// Returns the smallest unit cube that holds everything the cameras see within their bounds.
pub(super) fn around_frusta(views: &[View], origin: [f64; 3]) -> UnitCube {
    let mut low = Vector3::repeat(f64::INFINITY);
    let mut high = -low;
    for view in views {
        let [_, far] = view.bounds.unwrap_or_default().map(f64::from);
        let position = vector(view.camera.position());
        let back = -vector(view.camera.forward()).normalize();
        for corner in corners(&view.camera) {
            let along = -corner.dot(&back);
            for point in [position, position + corner * (far / along)] {
                low = low.inf(&point);
                high = high.sup(&point);
            }
        }
    }
    centred(&((low + high) * 0.5), (high - low).amax(), origin)
}

/// Returns instant-ngp's usual unit cube, [`UnitCube::BLENDER`], around the origin of the files. If the scene is
/// farther from there than instant-ngp's largest box reaches, the cube is centred on what the cameras look at.
pub(super) fn usual(views: &[View], origin: [f64; 3]) -> UnitCube {
    let UnitCube { scale, offset, .. } = UnitCube::BLENDER;
    if origin.iter().all(|x| x.abs() < USUAL_REACH) {
        return UnitCube::of_files(scale.into(), offset.map(f64::from), origin);
    }
    let centre = looked_at(views).unwrap_or_else(|| mean_position(views));
    UnitCube { scale, offset: std::array::from_fn(|axis| 0.5 - scale * centre[axis] as f32), origin }
}

/// Returns whether everything the cameras see lies in front of one plane, so that it can be projected onto that plane.
/// What panoramas see does not.
pub(super) fn is_forward_facing<'v>(views: impl Iterator<Item = &'v View> + Clone) -> bool {
    if !views.clone().all(View::has_axis) {
        return false;
    }
    let sum: Vector3<f64> = views.clone().map(|view| vector(view.camera.forward()).normalize()).sum();
    let Some(mean) = sum.try_normalize(1e-6) else { return false };
    let mut directions = views.flat_map(|view| corners(&view.camera));
    directions.all(|direction| direction.dot(&mean) > WIDEST_COSINE)
}

/// Returns whether the cameras are forward-facing and also look within 30° of their mean direction, which no rig that
/// circles something does.
pub(super) fn looks_one_way<'v>(views: impl Iterator<Item = &'v View> + Clone) -> bool {
    let forward = |view: &View| vector(view.camera.forward()).normalize();
    let mean = views.clone().map(forward).sum::<Vector3<f64>>().normalize();
    views.clone().all(|view| forward(view).dot(&mean) > ONE_WAY_COSINE) && is_forward_facing(views)
}

/// Returns the point that most cameras with a viewing axis look at, if there is one.
fn looked_at(views: &[View]) -> Option<Vector3<f64>> {
    meeting_point(views).filter(|point| most_look_at(views, point))
}

fn mean_position(views: &[View]) -> Vector3<f64> {
    let sum: Vector3<f64> = views.iter().map(|view| vector(view.camera.position())).sum();
    sum / views.len().max(1) as f64
}

/// Returns the point nearest, in the least-squares sense, to all viewing axes; `None` if there are none, as with
/// panoramas, or if they are parallel. The distance of a point c from an axis (o, d) is |(I − d dᵀ)(c − o)|, so the
/// point solves Σ (I − d dᵀ) c = Σ (I − d dᵀ) o.
pub(super) fn meeting_point(views: &[View]) -> Option<Vector3<f64>> {
    let (mut normal, mut right, mut n) = (Matrix3::zeros(), Vector3::zeros(), 0);
    for camera in views.iter().filter(|view| view.has_axis()).map(|view| view.camera) {
        let direction = vector(camera.forward()).normalize();
        let across = Matrix3::identity() - direction * direction.transpose();
        normal += across;
        right += across * vector(camera.position());
        n += 1;
    }
    // The eigenvalues lie between 0 and the number of axes; the smallest is 0 when all are parallel.
    let well_posed = normal.symmetric_eigenvalues().min() > 1e-3 * f64::from(n);
    normal.try_inverse().filter(|_| well_posed).map(|inverse| inverse * right)
}

/// Returns whether `point` is in front of most cameras that have a viewing axis.
fn most_look_at(views: &[View], point: &Vector3<f64>) -> bool {
    let before = |view: &&View| (point - vector(view.camera.position())).dot(&vector(view.camera.forward())) > 0.0;
    let with_axis = views.iter().filter(|view| view.has_axis());
    2 * with_axis.clone().filter(before).count() > with_axis.count()
}

pub(super) fn vector(array: [f32; 3]) -> Vector3<f64> {
    Vector3::from(array.map(f64::from))
}

/// Returns directions of length 1 through the corners of the image.
fn corners(camera: &Camera) -> [Vector3<f64>; 4] {
    let (width, height) = (camera.intrinsics.width as f32, camera.intrinsics.height as f32);
    [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)].map(|(x, y)| vector(camera.ray(x, y).1))
}

/// Returns the median of the points along each axis.
fn median(points: &[[f32; 3]]) -> Option<Vector3<f64>> {
    if points.is_empty() {
        return None;
    }
    let middle = |axis: usize| {
        let mut values: Vec<f32> = points.iter().map(|point| point[axis]).collect();
        let (_, middle, _) = values.select_nth_unstable_by(points.len() / 2, f32::total_cmp);
        f64::from(*middle)
    };
    Some(Vector3::new(middle(0), middle(1), middle(2)))
}

fn centred(centre: &Vector3<f64>, side: f64, origin: [f64; 3]) -> UnitCube {
    let scale = 1.0 / side;
    UnitCube { scale: scale as f32, offset: std::array::from_fn(|axis| (0.5 - scale * centre[axis]) as f32), origin }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Intrinsics;

    #[test]
    fn cameras_at_one_place_have_a_unit_cube_of_side_1() {
        for (at, apart) in [([2.0, 0.0, 0.0], 4.8e-43), ([0.0; 3], 1e-38), ([1e6, 0.0, 0.0], 0.1)] {
            let view = |y: f32| {
                let rows = [[1.0, 0.0, 0.0, at[0]], [0.0, 1.0, 0.0, y], [0.0, 0.0, 1.0, at[2]]];
                let camera = Camera { intrinsics: Intrinsics::from_fov_y(8, 6, 0.7), camera_to_world: rows };
                View::new(format!("{y}"), "", camera)
            };
            let cube = around_cameras(&[view(0.0), view(apart)], &[], [0.0; 3]);
            assert!(cube.scale == 1.0 && cube.offset.iter().all(|x| x.is_finite()), "{cube}");
        }
    }

    /// Returns a camera at the origin that looks along −z, or a panorama there.
    fn along_z(is_panorama: bool) -> View {
        let rows = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
        let intrinsics = if is_panorama { Intrinsics::panorama(8, 4) } else { Intrinsics::from_fov_y(8, 6, 0.7) };
        View::new("a", "", Camera { intrinsics, camera_to_world: rows })
    }

    #[test]
    fn panoramas_look_at_nothing() {
        let behind = Vector3::new(0.0, 0.0, 1.0);
        let views = [false, false, true, true, true].map(along_z);
        assert!(!most_look_at(&views, &behind) && most_look_at(&views, &-behind));
        assert!(!most_look_at(&views[2..], &behind) && !most_look_at(&views[2..], &-behind));
        assert_eq!(meeting_point(&views[2..]), None);
        assert!(is_forward_facing(views[..2].iter()) && looks_one_way(views[..2].iter()));
        assert!(!is_forward_facing(views.iter()) && !looks_one_way(views.iter()));
    }

    #[test]
    fn the_box_of_a_scene_holds_most_of_its_points() {
        let cube = UnitCube::new(0.5, [0.5; 3]);
        let points = |far: f32| -> Vec<[f32; 3]> {
            (0..100).map(|i| if i < 6 { [0.0, -far, 0.1] } else { [0.9, 0.2, -0.3] }).collect()
        };
        assert_eq!(reach(&cube, &[]), None);
        assert_eq!(reach(&cube, &points(0.95)), Some(1));
        assert_eq!(reach(&cube, &points(2.5)), Some(4));
        assert_eq!(reach(&cube, &points(1e9)), Some(FARTHEST));
        let few: Vec<_> = points(1e9).into_iter().skip(3).collect();
        assert_eq!(reach(&cube, &few), Some(1), "what is farther than 95 % of them counts for nothing");
    }
}
