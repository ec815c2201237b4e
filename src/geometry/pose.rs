//! Camera poses as matrices: the validation shared by the readers, and the arithmetic needed for camera paths.

use super::{Camera, relative};
use nalgebra::{Matrix3, Rotation3, UnitQuaternion, Vector3};

/// Volume spanned by three camera axes, divided by the product of their lengths, at or below which the axes count as
/// coplanar. Real poses have 1 up to rounding.
const SINGULAR: f64 = 1e-4;

/// Valid lengths of axes: their squares must be in the range of single precision.
const LENGTHS: std::ops::RangeInclusive<f64> = 1e-9..=1e9;

fn rotation_part(rows: &[[f64; 4]; 3]) -> Matrix3<f64> {
    Matrix3::from_fn(|row, column| rows[row][column])
}

/// Returns whether the axes are coplanar, judged by |det| divided by the product of their lengths, or whether the
/// length of any axis is outside [`LENGTHS`].
pub(crate) fn is_singular(rows: &[[f64; 4]; 3]) -> bool {
    let axes = rotation_part(rows);
    let lengths: f64 = axes.column_iter().map(|axis| axis.norm()).product();
    !axes.column_iter().all(|axis| LENGTHS.contains(&axis.norm())) || axes.determinant().abs() <= SINGULAR * lengths
}

/// Returns the position of a camera, given the rows of its camera-to-world matrix.
pub(crate) fn position(rows: &[[f64; 4]; 3]) -> [f64; 3] {
    rows.map(|row| row[3])
}

/// Returns a camera-to-world matrix with its position relative to `origin`.
pub(crate) fn relative_to(origin: &[f64; 3], rows: &[[f64; 4]; 3]) -> [[f32; 4]; 3] {
    let position = relative(position(rows), origin);
    std::array::from_fn(|row| {
        let [right, up, back] = std::array::from_fn(|axis| rows[row][axis] as f32);
        [right, up, back, position[row]]
    })
}

/// Returns the mean of the cameras: at their mean position, looking along their mean direction, with their mean up
/// direction. If the cameras look in such different directions that there is no mean direction, returns the first.
pub(crate) fn average<'a>(cameras: impl Iterator<Item = &'a Camera> + Clone) -> [[f32; 4]; 3] {
    let column = |axis: usize| {
        let unit = |camera: &Camera| Vector3::from_fn(|row, _| f64::from(camera.camera_to_world[row][axis]));
        cameras.clone().map(unit).map(|v| if axis < 3 { v.normalize() } else { v }).sum::<Vector3<f64>>()
    };
    let n = cameras.clone().count();
    let Some(first) = cameras.clone().next() else {
        return [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    };
    let (up, back) = (column(1), column(2));
    if up.cross(&back).norm() <= SINGULAR * up.norm() * back.norm() || back.norm() <= SINGULAR * n as f64 {
        return first.camera_to_world;
    }
    Pose::facing(column(3) / n as f64, back, up).camera_to_world()
}

/// Position and orientation of a camera, for paths: a rotation without scale.
#[derive(Clone, Copy)]
pub(crate) struct Pose {
    pub rotation: UnitQuaternion<f64>,
    pub position: Vector3<f64>,
}

impl Pose {
    /// Returns the pose of a camera-to-world matrix, or `None` if the matrix mirrors, which no rotation does. Scale and
    /// shear are dropped.
    pub fn of(camera_to_world: &[[f32; 4]; 3]) -> Option<Self> {
        let rows = camera_to_world.map(|row| row.map(f64::from));
        let axes = rotation_part(&rows);
        let position = Vector3::from_fn(|row, _| rows[row][3]);
        let pose = Self::facing(position, axes.column(2).into(), axes.column(1).into());
        (axes.determinant() > 0.0).then_some(pose)
    }

    /// Returns the pose at `position` that looks at `target`, upright with respect to `up`. `position` and `target`
    /// must differ, and the line through them must not be parallel to `up`.
    pub fn look_at(position: Vector3<f64>, target: Vector3<f64>, up: Vector3<f64>) -> Self {
        Self::facing(position, position - target, up)
    }

    /// Returns the pose at `position` that looks along `-back`, with its y axis as close to `up` as that allows.
    fn facing(position: Vector3<f64>, back: Vector3<f64>, up: Vector3<f64>) -> Self {
        let back = back.normalize();
        let right = up.cross(&back).normalize();
        let axes = Matrix3::from_columns(&[right, back.cross(&right), back]);
        Self { rotation: Rotation3::from_matrix_unchecked(axes).into(), position }
    }

    /// Returns the pose as a row-major 3×4 camera-to-world matrix.
    pub fn camera_to_world(&self) -> [[f32; 4]; 3] {
        let axes = self.rotation.to_rotation_matrix();
        std::array::from_fn(|row| {
            std::array::from_fn(|column| {
                let value = if column < 3 { axes[(row, column)] } else { self.position[row] };
                value as f32
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_axes_are_singular_and_small_ones_are_not() {
        assert!(!is_singular(&[[1e-6, 0.0, 0.0, 7.0], [0.0, 1e-6, 0.0, 7.0], [0.0, 0.0, 1e-6, 7.0]]));
        assert!(is_singular(&[[0.0; 4]; 3]));
        assert!(is_singular(&[[1.0, 1.0, 0.0, 7.0], [0.0, 0.0, 0.0, 7.0], [0.0, 0.0, 1.0, 7.0]]));
    }

    #[test]
    fn looking_at_a_target_puts_it_on_the_negative_z_axis() {
        let pose = Pose::look_at(Vector3::new(0.0, -4.0, 3.0), Vector3::zeros(), Vector3::z());
        let target = pose.rotation.inverse() * -pose.position;
        assert!((target - Vector3::new(0.0, 0.0, -5.0)).norm() < 1e-12);
        let up = pose.rotation * Vector3::y();
        assert!(up.z > 0.0 && up.x.abs() < 1e-12);
    }

    #[test]
    fn matrices_survive_the_way_through_poses_and_mirrors_do_not() {
        let pose = Pose::look_at(Vector3::new(1.0, -4.0, 3.0), Vector3::new(0.2, 0.0, 0.1), Vector3::z());
        let mut matrix = pose.camera_to_world();
        let again = Pose::of(&matrix).unwrap().camera_to_world();
        assert!(matrix.iter().flatten().zip(again.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-6));
        matrix.iter_mut().for_each(|row| row[0] = -row[0]);
        assert!(Pose::of(&matrix).is_none());
    }
}
