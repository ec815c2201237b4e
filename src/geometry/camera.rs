//! Cameras: intrinsics in pixels, a lens and a pose in the scene, and the rays that leave them.

use super::lens::Lens;
use super::pose;
use crate::{Error, Result};

/// Largest width and height in pixels.
const MOST_PIXELS: u32 = 1 << 16;

/// Intrinsics of a camera, in pixels of a `width × height` image. `(cx, cy)` is the principal point in continuous
/// pixel coordinates (the middle of the image is `(width / 2, height / 2)`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intrinsics {
    /// Width of the image in pixels.
    pub width: u32,
    /// Height of the image in pixels.
    pub height: u32,
    /// Horizontal focal length in pixels.
    pub fl_x: f32,
    /// Vertical focal length in pixels.
    pub fl_y: f32,
    /// Horizontal coordinate of the principal point in pixels.
    pub cx: f32,
    /// Vertical coordinate of the principal point in pixels, downwards.
    pub cy: f32,
    /// Distortion of the lens.
    pub lens: Lens,
}

impl Intrinsics {
    /// Returns intrinsics with square pixels and a centred principal point from the horizontal field of view in
    /// radians.
    pub fn from_fov_x(width: u32, height: u32, fov_x: f32) -> Self {
        Self::centred(width, height, 0.5 * width as f32 / (0.5 * fov_x).tan())
    }

    /// Returns intrinsics with square pixels and a centred principal point from the vertical field of view in radians.
    pub fn from_fov_y(width: u32, height: u32, fov_y: f32) -> Self {
        Self::centred(width, height, 0.5 * height as f32 / (0.5 * fov_y).tan())
    }

    /// Returns the vertical field of view in radians of a camera without a lens whose principal point is in the middle.
    pub fn fov_y(&self) -> f32 {
        2.0 * (0.5 * self.height as f32 / self.fl_y).atan()
    }

    /// Returns the intrinsics of an equirectangular panorama of the whole sphere, whose pixels are square if it is
    /// twice as wide as high: focal lengths of `width / 2` and `height`, as in nerfstudio; see
    /// [`Lens::Equirectangular`].
    pub fn panorama(width: u32, height: u32) -> Self {
        let (fl_x, fl_y) = (0.5 * width as f32, height as f32);
        Self { fl_y, lens: Lens::Equirectangular, ..Self::centred(width, height, fl_x) }
    }

    /// Returns the intrinsics without the lens. Those of a panorama get a horizontal field of view of 90°.
    pub(crate) fn straightened(&self) -> Self {
        match self.lens.is_panorama() {
            true => Self::from_fov_x(self.width, self.height, std::f32::consts::FRAC_PI_2),
            false => Self { lens: Lens::Perspective, ..*self },
        }
    }

    fn centred(width: u32, height: u32, focal: f32) -> Self {
        let (cx, cy) = (0.5 * width as f32, 0.5 * height as f32);
        Self { width, height, fl_x: focal, fl_y: focal, cx, cy, lens: Lens::Perspective }
    }

    /// Returns the intrinsics with the same field of view for an image of another size.
    pub fn scaled(&self, width: u32, height: u32) -> Self {
        let x = width as f32 / self.width as f32;
        let y = height as f32 / self.height as f32;
        Self { width, height, fl_x: self.fl_x * x, fl_y: self.fl_y * y, cx: self.cx * x, cy: self.cy * y, ..*self }
    }

    /// Returns the intrinsics of the image after [`Image8::downscaled`](crate::scene::Image8::downscaled) with the same
    /// `factor`, which drops the columns and rows beyond the last whole block.
    pub fn downscaled(&self, factor: u32) -> Self {
        let by = 1.0 / factor as f32;
        Self {
            width: self.width / factor,
            height: self.height / factor,
            fl_x: self.fl_x * by,
            fl_y: self.fl_y * by,
            cx: self.cx * by,
            cy: self.cy * by,
            ..*self
        }
    }
}

/// A camera in a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// Image size, focal lengths, principal point and lens.
    pub intrinsics: Intrinsics,
    /// Row-major 3×4 matrix. Its columns are the camera's x (right), y (up) and z (backwards: the camera looks along
    /// −z) axes and its position, in scene coordinates.
    pub camera_to_world: [[f32; 4]; 3],
}

impl Camera {
    /// Returns the camera of an image of `size` pixels (width, height) with a camera matrix and a pose, as other
    /// programs have them. `k` is `[[fl_x, 0, cx], [0, fl_y, cy], [0, 0, 1]]` in pixels; the middle of the image is
    /// `(width / 2, height / 2)`. `camera_to_world` has the axes of [`Camera::camera_to_world`] and a position in the
    /// coordinates of the scene's files, and `origin` is where coordinates in memory have theirs
    /// ([`UnitCube::origin`](super::UnitCube)).
    ///
    /// # Errors
    /// Returns an error if a side of the image is 0 or more than 65536, a number is not finite, a focal length is not
    /// above 0, `k` has skew, or the axes of the pose do not span space.
    pub fn from_matrices(
        size: (u32, u32),
        k: &[[f64; 3]; 3],
        lens: Lens,
        camera_to_world: &[[f64; 4]; 3],
        origin: &[f64; 3],
    ) -> Result<Camera> {
        let (width, height) = size;
        if !(1..=MOST_PIXELS).contains(&width) || !(1..=MOST_PIXELS).contains(&height) {
            return Err(Error::config(format!(
                "the image has {width}×{height} pixels, but each side must have from 1 to {MOST_PIXELS}"
            )));
        }
        let [[fl_x, skew, cx], [below, fl_y, cy], last] = *k;
        if skew != 0.0 || below != 0.0 || last != [0.0, 0.0, 1.0] {
            return Err(Error::config(format!(
                "the camera matrix is {k:?}, but must be [[fl_x, 0, cx], [0, fl_y, cy], [0, 0, 1]] in pixels"
            )));
        }
        let [fl_x, fl_y, cx, cy] = [fl_x, fl_y, cx, cy].map(|x| x as f32);
        // Written so that a NaN fails the check.
        if !(fl_x > 0.0 && fl_y > 0.0 && [fl_x, fl_y, cx, cy].iter().all(|x| x.is_finite())) {
            return Err(Error::config(format!(
                "the camera matrix has focal lengths {fl_x} and {fl_y} and the principal point {cx}, {cy}, but they must be \
                 finite numbers of pixels, and focal lengths above 0"
            )));
        }
        if camera_to_world.as_flattened().iter().any(|x| !x.is_finite()) || pose::is_singular(camera_to_world) {
            return Err(Error::config(format!(
                "the pose is {camera_to_world:?}, but must have finite numbers and three axes that span space"
            )));
        }
        let intrinsics = Intrinsics { width, height, fl_x, fl_y, cx, cy, lens };
        Ok(Camera { intrinsics, camera_to_world: pose::relative_to(origin, camera_to_world) })
    }

    /// Returns the ray through the continuous pixel coordinates `(px, py)`: its origin and its direction of length 1,
    /// in scene coordinates. The centre of pixel `(i, j)` is `(i + 0.5, j + 0.5)`.
    pub fn ray(&self, px: f32, py: f32) -> ([f32; 3], [f32; 3]) {
        let k = &self.intrinsics;
        let on_image = |pixel: f32, centre, focal| (f64::from(pixel) - f64::from(centre)) / f64::from(focal);
        let [x, y, z] = k.lens.undistort([on_image(px, k.cx, k.fl_x), on_image(py, k.cy, k.fl_y)]);
        let axes = self.camera_to_world.map(|row| row.map(f64::from));
        let direction = axes.map(|row| row[0] * x - row[1] * y - row[2] * z);
        let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
        (self.position(), direction.map(|d| (d / length) as f32))
    }

    /// Projects a point of the scene to continuous pixel coordinates, which may lie outside the image. Returns `None`
    /// if the point lies behind the camera or beyond the fold of its lens. The camera's axes must be orthogonal.
    /// Panoramas see behind themselves.
    pub fn project(&self, point: [f32; 3]) -> Option<[f32; 2]> {
        let rows = self.camera_to_world.map(|row| row.map(f64::from));
        let offset: [f64; 3] = std::array::from_fn(|i| f64::from(point[i]) - rows[i][3]);
        let along = |axis: usize| {
            let squared: f64 = rows.iter().map(|row| row[axis] * row[axis]).sum();
            (0..3).map(|i| rows[i][axis] * offset[i]).sum::<f64>() / squared.sqrt()
        };
        let k = &self.intrinsics;
        let [x, y] = k.lens.distort([along(0), -along(1), -along(2)])?;
        Some([(x * f64::from(k.fl_x)) as f32 + k.cx, (y * f64::from(k.fl_y)) as f32 + k.cy])
    }

    /// Returns the camera's position in scene coordinates.
    pub fn position(&self) -> [f32; 3] {
        self.axis(3)
    }

    /// Returns the camera's viewing direction in scene coordinates: for a panorama, the direction of its middle.
    pub fn forward(&self) -> [f32; 3] {
        self.axis(2).map(|z| -z)
    }

    /// Returns the camera's up axis in scene coordinates.
    pub fn up(&self) -> [f32; 3] {
        self.axis(1)
    }

    fn axis(&self, column: usize) -> [f32; 3] {
        self.camera_to_world.map(|row| row[column])
    }

    /// Returns the camera with the same field of view for an image of another size.
    pub fn scaled(&self, width: u32, height: u32) -> Self {
        Self { intrinsics: self.intrinsics.scaled(width, height), ..*self }
    }

    /// Returns the camera of an image reduced by `factor`; see [`Intrinsics::downscaled`].
    pub fn downscaled(&self, factor: u32) -> Self {
        Self { intrinsics: self.intrinsics.downscaled(factor), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera() -> Camera {
        Camera {
            intrinsics: Intrinsics::from_fov_x(81, 60, 0.9),
            camera_to_world: [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 3.0]],
        }
    }

    #[test]
    fn middle_of_the_image_looks_forward() {
        assert_eq!(camera().ray(40.5, 30.0), ([1.0, 2.0, 3.0], [0.0, 0.0, -1.0]));
    }

    #[test]
    fn matrices_give_the_camera_and_bad_ones_are_refused() {
        let pose = [[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, 3.0]];
        let k = [[90.0, 0.0, 40.5], [0.0, 80.0, 30.0], [0.0, 0.0, 1.0]];
        let of = |size, k, pose| Camera::from_matrices(size, &k, Lens::Perspective, &pose, &[0.0, 2.0, 0.0]);
        let camera = of((81, 60), k, pose).unwrap();
        assert_eq!(camera.ray(40.5, 30.0), ([1.0, 0.0, 3.0], [0.0, 0.0, -1.0]), "relative to the origin");
        let (_, direction) = camera.ray(40.5 + 90.0, 30.0);
        assert!((direction[0] + direction[2]).abs() < 1e-6, "one focal length is 45°: {direction:?}");
        let refused = |size, k, pose| of(size, k, pose).unwrap_err().to_string();
        assert!(refused((0, 60), k, pose).contains("0×60 pixels"));
        assert!(refused((81, 60), [[90.0, 1.0, 40.5], k[1], k[2]], pose).contains("[[fl_x, 0, cx]"));
        assert!(refused((81, 60), [[f64::NAN, 0.0, 40.5], k[1], k[2]], pose).contains("focal lengths NaN"));
        assert!(refused((81, 60), k, [pose[0], pose[0], pose[2]]).contains("span space"));
    }

    #[test]
    fn right_and_up_in_the_image_are_x_and_y() {
        let (_, direction) = camera().ray(80.0, 0.0);
        assert!(direction[0] > 0.0 && direction[1] > 0.0);
    }

    #[test]
    fn scaling_keeps_the_rays() {
        let (whole, twice) = (camera(), camera().scaled(162, 120));
        assert_eq!(whole.ray(10.0, 20.0), twice.ray(20.0, 40.0));
    }

    #[test]
    fn downscaling_by_a_remainder_keeps_the_rays() {
        let (whole, fourth) = (camera(), camera().downscaled(4));
        assert_eq!((fourth.intrinsics.width, fourth.intrinsics.height), (20, 15));
        let (expected, found) = (whole.ray(42.0, 6.0).1, fourth.ray(10.5, 1.5).1);
        assert!(expected.iter().zip(found).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn vertical_field_of_view_spans_the_height() {
        let mut camera = camera();
        camera.intrinsics = Intrinsics::from_fov_y(81, 60, 1.0);
        let (_, top) = camera.ray(40.5, 0.0);
        assert!(((top[1] / -top[2]).atan() - 0.5).abs() < 1e-6);
    }
}
