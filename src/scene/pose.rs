//! Camera poses as matrices: the check that readers share, and the arithmetic that camera paths need.

use super::View;
use super::json::Node;
use crate::Result;
use nalgebra::{Matrix3, Rotation3, UnitQuaternion, Vector3};

/// The volume that three camera axes span, relative to their lengths, below which they count as flat: real poses have
/// 1 to within rounding.
const SINGULAR: f64 = 1e-4;

/// Of axes: their squares must be within single precision.
const LENGTHS: std::ops::RangeInclusive<f64> = 1e-9..=1e9;

/// The first three rows of the camera-to-world matrix in `node`, refused if the rotation part has no inverse.
pub(super) fn checked(node: &Node, rows: [[f64; 4]; 3]) -> Result<[[f32; 4]; 3]> {
    if is_singular(&rows) {
        return Err(node.error("is singular: its rotation part has no inverse; export the camera again"));
    }
    Ok(rows.map(|row| row.map(|value| value as f32)))
}

fn rotation_part(rows: &[[f64; 4]; 3]) -> Matrix3<f64> {
    Matrix3::from_fn(|row, column| rows[row][column])
}

/// Whether the axes, compared by |det| over the product of their lengths, lie in a plane or one of them is 0 or without bounds.
pub(super) fn is_singular(rows: &[[f64; 4]; 3]) -> bool {
    let axes = rotation_part(rows);
    let lengths: f64 = axes.column_iter().map(|axis| axis.norm()).product();
    !axes.column_iter().all(|axis| LENGTHS.contains(&axis.norm())) || axes.determinant().abs() <= SINGULAR * lengths
}

/// The mean of the cameras: at their mean position, looking along their mean direction, as upright as they are on
/// average. Where they look apart so that there is no mean direction, the first.
pub(super) fn average(views: &[View]) -> [[f32; 4]; 3] {
    let column = |axis: usize| {
        let unit = |view: &View| Vector3::from_fn(|row, _| f64::from(view.camera.camera_to_world[row][axis]));
        views.iter().map(unit).map(|v| if axis < 3 { v.normalize() } else { v }).sum::<Vector3<f64>>()
    };
    let Some(first) = views.first() else { return [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]] };
    let (up, back) = (column(1), column(2));
    if up.cross(&back).norm() <= SINGULAR * up.norm() * back.norm() || back.norm() <= SINGULAR * views.len() as f64 {
        return first.camera.camera_to_world;
    }
    Pose::facing(column(3) / views.len() as f64, back, up).camera_to_world()
}

/// A camera's place and orientation, for paths: a rotation without scale.
#[derive(Clone, Copy)]
pub(super) struct Pose {
    pub rotation: UnitQuaternion<f64>,
    pub position: Vector3<f64>,
}

impl Pose {
    /// Of a camera-to-world matrix; `None` if it mirrors, which no rotation does. Scale and shear are dropped.
    pub fn of(camera_to_world: &[[f32; 4]; 3]) -> Option<Self> {
        let rows = camera_to_world.map(|row| row.map(f64::from));
        let axes = rotation_part(&rows);
        let position = Vector3::from_fn(|row, _| rows[row][3]);
        let pose = Self::facing(position, axes.column(2).into(), axes.column(1).into());
        (axes.determinant() > 0.0).then_some(pose)
    }

    /// At `position`, looking at `target`, upright with respect to `up`. The three must not lie on a line.
    pub fn look_at(position: Vector3<f64>, target: Vector3<f64>, up: Vector3<f64>) -> Self {
        Self::facing(position, position - target, up)
    }

    /// At `position`, looking along `-back`, with its y axis as near to `up` as that allows.
    fn facing(position: Vector3<f64>, back: Vector3<f64>, up: Vector3<f64>) -> Self {
        let back = back.normalize();
        let right = up.cross(&back).normalize();
        let axes = Matrix3::from_columns(&[right, back.cross(&right), back]);
        Self { rotation: Rotation3::from_matrix_unchecked(axes).into(), position }
    }

    /// As a row-major 3×4 camera-to-world matrix.
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
