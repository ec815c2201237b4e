//! Lens distortion: OpenCV's models, which COLMAP, nerfstudio and instant-ngp share.
//!
//! The image plane follows OpenCV and COLMAP: x to the right, y down, the camera looks along +z, and a pixel is
//! `(fl_x · x_d + cx, fl_y · y_d + cy)`. `kernels/radiance/lens.cuh` implements the same for rays on the device; a test compares
//! the two.

/// A lens: how a point of the plane at distance 1 is displaced in the image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Lens {
    /// No distortion.
    #[default]
    Perspective,
    /// OpenCV's model, with `r² = x² + y²`:
    /// `x_d = x (1 + k₁r² + k₂r⁴ + k₃r⁶ + k₄r⁸) + 2 p₁xy + p₂(r² + 2x²)`,
    /// `y_d = y (1 + k₁r² + k₂r⁴ + k₃r⁶ + k₄r⁸) + 2 p₂xy + p₁(r² + 2y²)`.
    OpenCv {
        /// Radial coefficients `k₁` to `k₄`.
        k: [f32; 4],
        /// Tangential coefficients `p₁` and `p₂`.
        p: [f32; 2],
    },
    /// OpenCV's fisheye model, with `θ` the angle to the optical axis: the distance of the point from the centre is
    /// `θ (1 + k₁θ² + k₂θ⁴ + k₃θ⁶ + k₄θ⁸)`.
    Fisheye {
        /// Radial coefficients `k₁` to `k₄`.
        k: [f32; 4],
    },
}

/// Steps of Newton's method: starting from the distorted point, each doubles the correct digits, and few lenses need
/// five.
const NEWTON_STEPS: usize = 20;

/// Largest radius (an angle of 89.9°) that is considered for a lens other than a fisheye.
const LARGEST_RADIUS: f64 = 600.0;

/// Number of radii sampled in the search for the radius at which a lens folds its image over.
const SEARCH_STEPS: usize = 4096;

impl Lens {
    /// Returns OpenCV's model, or [`Lens::Perspective`] if all coefficients are 0.
    pub fn opencv(k: [f64; 4], p: [f64; 2]) -> Self {
        match k.iter().chain(&p).all(|&coefficient| coefficient == 0.0) {
            true => Lens::Perspective,
            false => Lens::OpenCv { k: k.map(|x| x as f32), p: p.map(|x| x as f32) },
        }
    }

    /// Maps a direction from the camera to the point of the image where it arrives, before focal length and principal
    /// point. Returns `None` for a direction behind a lens that is not a fisheye, and for one beyond the fold of the
    /// lens.
    pub fn distort(&self, [x, y, z]: [f64; 3]) -> Option<[f64; 2]> {
        match self {
            Lens::Perspective => (z > 0.0).then(|| [x / z, y / z]),
            Lens::OpenCv { k, p } => {
                let point = [x / z, y / z];
                let seen = z > 0.0 && point[0].hypot(point[1]) <= self.limit();
                seen.then(|| opencv(&k.map(f64::from), &p.map(f64::from), point).0)
            }
            Lens::Fisheye { k } => {
                let across = x.hypot(y);
                let angle = across.atan2(z);
                let stretch = if across > 0.0 { fisheye(&k.map(f64::from), angle).0 / across } else { 0.0 };
                (angle <= self.limit()).then_some([x * stretch, y * stretch])
            }
        }
    }

    /// Returns a direction, of any length, that arrives at a point of the image, before focal length and principal
    /// point. For a point that no direction reaches, beyond the fold of the lens, returns the direction of the fold.
    pub fn undistort(&self, point: [f64; 2]) -> [f64; 3] {
        match self {
            Lens::Perspective => [point[0], point[1], 1.0],
            Lens::OpenCv { k, p } => {
                let [x, y] = undistort_opencv(&k.map(f64::from), &p.map(f64::from), self.limit(), point);
                [x, y, 1.0]
            }
            Lens::Fisheye { k } => undistort_fisheye(&k.map(f64::from), self.limit(), point),
        }
    }

    /// Returns how far from the centre the image extends without folding over: a radius, or an angle for a fisheye. At
    /// this limit, the derivative of the distorted radius with respect to the radius falls to 0.
    pub fn limit(&self) -> f64 {
        let (k, largest) = match self {
            Lens::Perspective => return LARGEST_RADIUS,
            Lens::OpenCv { k, .. } => (k, LARGEST_RADIUS),
            Lens::Fisheye { k } => (k, std::f64::consts::PI),
        };
        let k = k.map(f64::from);
        let rises = |r: f64| fisheye(&k, r).1 > 0.0;
        // The samples are denser near the centre, where lenses fold: radii follow t / (1 - t), angles are evenly
        // spaced.
        let radius = |i: usize| {
            let t = i as f64 / SEARCH_STEPS as f64;
            if matches!(self, Lens::Fisheye { .. }) { t * largest } else { (t / (1.0 - t)).min(largest) }
        };
        let Some(first) = (1..=SEARCH_STEPS).find(|&i| !rises(radius(i))) else { return largest };
        let (mut low, mut high) = (radius(first - 1), radius(first));
        for _ in 0..50 {
            let middle = 0.5 * (low + high);
            *(if rises(middle) { &mut low } else { &mut high }) = middle;
        }
        low
    }
}

/// Returns `r (1 + k₁r² + …)` and its derivative with respect to `r`: the fisheye model, and the radial part of
/// OpenCV's.
fn fisheye(k: &[f64; 4], r: f64) -> (f64, f64) {
    let s = r * r;
    let value = 1.0 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3])));
    let derivative = 1.0 + s * (3.0 * k[0] + s * (5.0 * k[1] + s * (7.0 * k[2] + s * 9.0 * k[3])));
    (r * value, derivative)
}

/// Returns the distorted point and the symmetric matrix `[∂x_d/∂x, ∂x_d/∂y = ∂y_d/∂x, ∂y_d/∂y]`.
fn opencv(k: &[f64; 4], p: &[f64; 2], [x, y]: [f64; 2]) -> ([f64; 2], [f64; 3]) {
    let s = x * x + y * y;
    let radial = 1.0 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3])));
    let slope = 2.0 * (k[0] + s * (2.0 * k[1] + s * (3.0 * k[2] + s * 4.0 * k[3])));
    let distorted = [
        x * radial + 2.0 * p[0] * x * y + p[1] * (s + 2.0 * x * x),
        y * radial + 2.0 * p[1] * x * y + p[0] * (s + 2.0 * y * y),
    ];
    let derivatives = [
        radial + x * x * slope + 2.0 * p[0] * y + 6.0 * p[1] * x,
        x * y * slope + 2.0 * p[0] * x + 2.0 * p[1] * y,
        radial + y * y * slope + 6.0 * p[0] * y + 2.0 * p[1] * x,
    ];
    (distorted, derivatives)
}

/// Inverts [`opencv`] by Newton's method, restricted to radii up to `limit`.
fn undistort_opencv(k: &[f64; 4], p: &[f64; 2], limit: f64, target: [f64; 2]) -> [f64; 2] {
    let within = |[x, y]: [f64; 2]| {
        let shrink = (limit / x.hypot(y)).min(1.0);
        [x * shrink, y * shrink]
    };
    let mut point = within(target);
    for _ in 0..NEWTON_STEPS {
        let (distorted, [xx, xy, yy]) = opencv(k, p, point);
        let (dx, dy) = (distorted[0] - target[0], distorted[1] - target[1]);
        let determinant = xx * yy - xy * xy;
        if determinant <= 0.0 {
            break;
        }
        let next = [point[0] - (yy * dx - xy * dy) / determinant, point[1] - (xx * dy - xy * dx) / determinant];
        point = within(next);
    }
    point
}

fn undistort_fisheye(k: &[f64; 4], limit: f64, [x, y]: [f64; 2]) -> [f64; 3] {
    let target = x.hypot(y);
    if target == 0.0 {
        return [0.0, 0.0, 1.0];
    }
    let mut angle = target.min(limit);
    for _ in 0..NEWTON_STEPS {
        let (value, slope) = fisheye(k, angle);
        if slope <= 0.0 {
            break;
        }
        angle = (angle - (value - target) / slope).clamp(0.0, limit);
    }
    let across = angle.sin() / target;
    [x * across, y * across, angle.cos()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lenses() -> [Lens; 4] {
        [
            Lens::Perspective,
            Lens::opencv([0.0578421, -0.0805099, 0.0, 0.0], [-0.000980296, 0.00015575]),
            Lens::opencv([-0.28, 0.09, -0.013, 1e-4], [1e-3, -2e-3]),
            Lens::Fisheye { k: [-0.04, 0.01, -0.003, 1e-4] },
        ]
    }

    #[test]
    fn directions_come_back_from_the_image() {
        for lens in lenses() {
            for i in 0..400 {
                let (x, y) = ((i % 20) as f64 / 19.0 - 0.5, (i / 20) as f64 / 19.0 - 0.5);
                let direction = [1.4 * x, 1.2 * y, 1.0];
                let found = lens.undistort(lens.distort(direction).unwrap());
                let error = (0..2).map(|k| (found[k] / found[2] - direction[k]).abs()).fold(0.0, f64::max);
                assert!(error < 1e-9, "{lens:?} at {direction:?}: {error}");
            }
        }
    }

    #[test]
    fn a_fisheye_sees_behind_itself() {
        let lens = Lens::Fisheye { k: [0.0; 4] };
        let direction = [0.6, 0.0, -0.8];
        let found = lens.undistort(lens.distort(direction).unwrap());
        assert!(found.iter().zip(direction).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
        assert!(lenses()[1].distort(direction).is_none());
    }

    #[test]
    fn beyond_its_fold_a_lens_gives_the_fold() {
        // r (1 − r²/2) increases up to r² = 2/3, where it is 0.544.
        let lens = Lens::opencv([-0.5, 0.0, 0.0, 0.0], [0.0; 2]);
        let fold = (2.0f64 / 3.0).sqrt();
        assert!((lens.limit() - fold).abs() < 1e-9);
        let [x, y, _] = lens.undistort([0.6, 0.8]);
        assert!((x.hypot(y) - fold).abs() < 1e-3 && (y / x - 0.8 / 0.6).abs() < 1e-6, "{x} {y}");
        assert!(lens.distort([0.9, 0.0, 1.0]).is_none());
    }
}
