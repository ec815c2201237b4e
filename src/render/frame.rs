//! A rendered image: colour, depth and opacity, and normals from the depth.

use crate::geometry::Camera;

/// A rendered image, with pixels in row order.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Colour over the background, sRGB from 0 to 1, `[h, w, 3]`.
    pub rgb: Vec<f32>,
    /// Expected distance from the camera along the ray in scene units, `[h, w]`; 0 where the ray hits nothing.
    pub depth: Vec<f32>,
    /// Opacity, 1 − transmittance, `[h, w]`.
    pub opacity: Vec<f32>,
}

/// Opacity below which a pixel has no surface.
pub(super) const SURFACE_OPACITY: f32 = 0.5;

impl Frame {
    /// Computes `[h, w, 3]` unit normals in scene coordinates, facing the camera, from the surface that the depth
    /// describes. They are zero where a pixel or its neighbours have no surface.
    pub fn normals(&self, camera: &Camera) -> Vec<f32> {
        let mut normals = vec![0.0; 3 * self.width * self.height];
        for y in 0..self.height {
            for x in 0..self.width {
                if let Some(normal) = self.normal(camera, x, y) {
                    normals[3 * (y * self.width + x)..][..3].copy_from_slice(&normal);
                }
            }
        }
        normals
    }

    fn normal(&self, camera: &Camera, x: usize, y: usize) -> Option<[f32; 3]> {
        let here = self.surface(camera, x, y)?;
        let along_x = self.tangent(here, [(x.wrapping_sub(1), y), (x + 1, y)], camera)?;
        let along_y = self.tangent(here, [(x, y.wrapping_sub(1)), (x, y + 1)], camera)?;
        // The image's y axis points down, so this cross product points towards the camera.
        let normal = nalgebra::Vector3::from(along_y).cross(&nalgebra::Vector3::from(along_x));
        normal.try_normalize(0.0).map(Into::into)
    }

    /// Returns the tangent towards larger pixel coordinates, from the neighbour closer to this point: the other may lie
    /// across a depth edge.
    fn tangent(&self, here: [f32; 3], neighbours: [(usize, usize); 2], camera: &Camera) -> Option<[f32; 3]> {
        let difference = |(x, y): (usize, usize), sign: f32| -> Option<[f32; 3]> {
            let there = self.surface(camera, x, y)?;
            Some(std::array::from_fn(|k| sign * (there[k] - here[k])))
        };
        let length = |v: &[f32; 3]| v.iter().map(|x| x * x).sum::<f32>();
        match (difference(neighbours[0], -1.0), difference(neighbours[1], 1.0)) {
            (Some(a), Some(b)) => Some(if length(&a) < length(&b) { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    /// Returns the point that a pixel shows, in scene coordinates.
    fn surface(&self, camera: &Camera, x: usize, y: usize) -> Option<[f32; 3]> {
        if x >= self.width || y >= self.height {
            return None;
        }
        let pixel = y * self.width + x;
        if self.opacity[pixel] < SURFACE_OPACITY {
            return None;
        }
        let (origin, direction) = camera.ray(x as f32 + 0.5, y as f32 + 0.5);
        Some(std::array::from_fn(|k| origin[k] + self.depth[pixel] * direction[k]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Intrinsics;

    #[test]
    fn a_wall_faces_the_camera() {
        let camera = Camera {
            intrinsics: Intrinsics::from_fov_x(8, 6, 0.8),
            camera_to_world: [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 5.0]],
        };
        let (width, height) = (8, 6);
        // The plane z = 0, five units in front of a camera that looks along -z.
        let depth = (0..width * height)
            .map(|p| -5.0 / camera.ray((p % width) as f32 + 0.5, (p / width) as f32 + 0.5).1[2])
            .collect();
        let n = width * height;
        let frame = Frame { width, height, rgb: vec![0.0; 3 * n], depth, opacity: vec![1.0; n] };
        for normal in frame.normals(&camera).chunks(3) {
            assert!((normal[2] - 1.0).abs() < 1e-4, "{normal:?}");
        }
    }
}
