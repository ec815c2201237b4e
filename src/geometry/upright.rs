//! The rotation that turns a scene or mesh upright in a world where y is up.

use nalgebra::{Matrix3, Vector3};

/// A rotation, as rows of its matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Upright {
    rows: [[f64; 3]; 3],
}

impl Upright {
    /// Returns the smallest rotation that turns the direction `up`, of any length above 0, to +y. Rodrigues' formula:
    /// with c = up · y for a unit vector up, R = I + V + V² / (1 + c), where V is the matrix of the cross product with
    /// up × y. Where up is an axis, all entries are exactly 0 or ±1.
    pub fn from_up(up: [f64; 3]) -> Self {
        let up = Vector3::from(up).normalize();
        let cosine = up.dot(&Vector3::y());
        // Upside down, every horizontal axis will do.
        let rotation = if cosine <= -1.0 {
            Matrix3::from_diagonal(&Vector3::new(1.0, -1.0, -1.0))
        } else {
            let cross = up.cross(&Vector3::y()).cross_matrix();
            Matrix3::identity() + cross + cross * cross / (1.0 + cosine)
        };
        Upright { rows: std::array::from_fn(|row| std::array::from_fn(|column| rotation[(row, column)])) }
    }

    /// Returns whether this is the identity.
    pub fn is_identity(&self) -> bool {
        self.rows == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    }

    /// Turns a point or a direction.
    pub fn turn(&self, vector: [f32; 3]) -> [f32; 3] {
        self.turn_origin(vector.map(f64::from)).map(|x| x as f32)
    }

    /// Turns the origin that other points are relative to.
    pub(crate) fn turn_origin(&self, origin: [f64; 3]) -> [f64; 3] {
        self.rows.map(|row| row.iter().zip(origin).map(|(a, b)| a * b).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_permuted_exactly() {
        let turned = |up| Upright::from_up(up).turn([1.5, -2.25, 3.125]);
        assert_eq!(turned([0.0, 0.0, 2.0]), [1.5, 3.125, 2.25], "z up, as Blender exports it");
        assert_eq!(turned([0.0, -1.0, 0.0]), [1.5, 2.25, -3.125], "y down, as in COLMAP");
        assert_eq!(turned([0.0, 1.0, 0.0]), [1.5, -2.25, 3.125]);
        assert!(Upright::from_up([0.0, 0.5, 0.0]).is_identity() && !Upright::from_up([1.0, 0.0, 0.0]).is_identity());
    }

    #[test]
    fn any_direction_becomes_y_without_mirroring() {
        for up in [[1.0, 2.0, 3.0], [-0.3, -0.9, 0.1], [1e-9, -1.0, 0.0]] {
            let upright = Upright::from_up(up);
            let length = Vector3::from(up).norm();
            let [x, y, z] = upright.turn(up.map(|x| (x / length) as f32));
            assert!(x.abs() < 1e-6 && (y - 1.0).abs() < 1e-6 && z.abs() < 1e-6, "{up:?}: {x} {y} {z}");
            let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|axis| upright.turn(axis));
            let volume = Vector3::from(axes[0]).cross(&Vector3::from(axes[1])).dot(&Vector3::from(axes[2]));
            assert!((volume - 1.0).abs() < 1e-6, "{up:?}: {volume}");
        }
    }
}
