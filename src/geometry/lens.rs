//! Lenses: the models of OpenCV, which COLMAP, nerfstudio and instant-ngp share, those that COLMAP adds to them, and
//! panoramas.
//!
//! The image plane follows OpenCV and COLMAP: x to the right, y down, the camera looks along +z, and a pixel is
//! `(fl_x · x_d + cx, fl_y · y_d + cy)`. `kernels/radiance/lens.cuh` implements the same for rays on the device; a test
//! compares the two. The formulas are those of COLMAP's `src/colmap/sensor/models.h`; a test compares with these, too.

use super::distortion::{self, Distortion, Radial};
use crate::{Error, Result};
use std::f64::consts::PI;

/// A lens: how a point of the plane at distance 1 is displaced in the image, or how a panorama shows all directions.
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
    /// OpenCV's rational model, COLMAP's `FULL_OPENCV`: as [`Lens::OpenCv`], but with the radial factor
    /// `(1 + k₁r² + k₂r⁴ + k₃r⁶) / (1 + k₄r² + k₅r⁴ + k₆r⁶)`.
    FullOpenCv {
        /// Radial coefficients `k₁` to `k₆`.
        k: [f32; 6],
        /// Tangential coefficients `p₁` and `p₂`.
        p: [f32; 2],
    },
    /// OpenCV's fisheye model, with `θ` the angle to the optical axis: the distance of the point from the centre is
    /// `θ (1 + k₁θ² + k₂θ⁴ + k₃θ⁶ + k₄θ⁸)`.
    Fisheye {
        /// Radial coefficients `k₁` to `k₄`.
        k: [f32; 4],
    },
    /// COLMAP's `THIN_PRISM_FISHEYE` (Weng et al., Camera Calibration with Distortion Models and Accuracy Evaluation,
    /// 1992). The point `(a, b)` lies in the direction of `(x, y)` at the distance `θ`, the angle to the optical axis:
    /// `x_d = a (1 + k₁θ² + k₂θ⁴ + k₃θ⁶ + k₄θ⁸) + 2 p₁ab + p₂(θ² + 2a²) + s₁θ²`,
    /// `y_d = b (1 + k₁θ² + k₂θ⁴ + k₃θ⁶ + k₄θ⁸) + 2 p₂ab + p₁(θ² + 2b²) + s₂θ²`.
    ThinPrismFisheye {
        /// Radial coefficients `k₁` to `k₄`.
        k: [f32; 4],
        /// Tangential coefficients `p₁` and `p₂`.
        p: [f32; 2],
        /// Coefficients `s₁` and `s₂` of the thin prism.
        s: [f32; 2],
    },
    /// A panorama that is spaced evenly in longitude and latitude, as nerfstudio's `EQUIRECTANGULAR`
    /// (`nerfstudio/cameras/cameras.py`), COLMAP's camera model of that name and instant-ngp's `latlong`. The direction
    /// at the point `(u, v)` is `(sin πu cos πv, sin πv, cos πu cos πv)`. With focal lengths of `width / 2` and
    /// `height` and the principal point in the middle, the image holds the whole sphere: its middle looks along +z, its
    /// left and right edges along −z, its upper edge along −y. (In nerfstudio's axes, x right, y up and z back, with
    /// its `θ = −πu` and `φ = π (½ + v)`, the direction is `(−sin θ sin φ, cos φ, −cos θ sin φ)`, the same.)
    Equirectangular,
    /// A panorama that is spaced evenly in longitude and in the sine of the latitude, and so has equal areas of the
    /// sphere in equal areas of the image: what instant-ngp calls `equirectangular` (`equirectangular_to_dir` in
    /// `common_device.cuh`). The direction at the point `(u, v)` is `(c sin πu, 2v, c cos πu)` with `c = √(1 − 4v²)`.
    EqualArea,
}

/// Largest radius (an angle of 89.9°) that is considered for a lens other than a fisheye.
const LARGEST_RADIUS: f64 = 600.0;

/// Number of radii sampled in the search for the radius at which a lens folds its image over.
const SEARCH_STEPS: usize = 4096;

impl Lens {
    /// The names that [`Lens::named`] knows, with the number of coefficients of each.
    const NAMES: [(&str, usize); 7] = [
        ("perspective", 0),
        ("opencv", 6),
        ("full_opencv", 8),
        ("fisheye", 4),
        ("thin_prism_fisheye", 8),
        ("equirectangular", 0),
        ("equal_area", 0),
    ];

    /// Returns the lens called `name`, with coefficients in the order of OpenCV's `distCoeffs`; missing ones at the end
    /// are 0. `perspective`, `equirectangular` and `equal_area` have none, `opencv` has `k₁, k₂, p₁, p₂, k₃, k₄`,
    /// `full_opencv` has `k₁, k₂, p₁, p₂, k₃, k₄, k₅, k₆`, `fisheye` has `k₁` to `k₄`, and `thin_prism_fisheye` has `k₁, k₂,
    /// p₁, p₂, k₃, k₄, s₁, s₂` as in COLMAP.
    ///
    /// # Errors
    /// Returns an error if there is no such lens, or if there are too many coefficients or some that are not finite.
    pub fn named(name: &str, coefficients: &[f64]) -> Result<Lens> {
        let Some((_, most)) = Self::NAMES.iter().find(|(known, _)| *known == name) else {
            let names = Self::NAMES.map(|(known, _)| known).join(", ");
            return Err(Error::config(format!("there is no lens `{name}`; the lenses are {names}")));
        };
        if coefficients.len() > *most || coefficients.iter().any(|x| !x.is_finite()) {
            return Err(Error::config(format!(
                "the lens `{name}` has up to {most} coefficients, which are finite numbers, but {coefficients:?} are given"
            )));
        }
        let mut c = [0.0; 8];
        c[..coefficients.len()].copy_from_slice(coefficients);
        Ok(match name {
            "opencv" => Lens::opencv([c[0], c[1], c[4], c[5]], [c[2], c[3]]),
            "full_opencv" => Lens::full_opencv([c[0], c[1], c[4], c[5], c[6], c[7]], [c[2], c[3]]),
            "fisheye" => Lens::Fisheye { k: single([c[0], c[1], c[2], c[3]]) },
            "thin_prism_fisheye" => Lens::thin_prism_fisheye([c[0], c[1], c[4], c[5]], [c[2], c[3]], [c[6], c[7]]),
            "equirectangular" => Lens::Equirectangular,
            "equal_area" => Lens::EqualArea,
            _ => Lens::Perspective,
        })
    }

    /// Returns the name and the coefficients with which [`Lens::named`] gives this lens.
    pub fn name_and_coefficients(&self) -> (&'static str, Vec<f64>) {
        let numbers = |coefficients: &[f32]| coefficients.iter().map(|&x| f64::from(x)).collect();
        match *self {
            Lens::Perspective => ("perspective", Vec::new()),
            Lens::OpenCv { k, p } => ("opencv", numbers(&[k[0], k[1], p[0], p[1], k[2], k[3]])),
            Lens::FullOpenCv { k, p } => ("full_opencv", numbers(&[k[0], k[1], p[0], p[1], k[2], k[3], k[4], k[5]])),
            Lens::Fisheye { k } => ("fisheye", numbers(&k)),
            Lens::ThinPrismFisheye { k, p, s } => {
                ("thin_prism_fisheye", numbers(&[k[0], k[1], p[0], p[1], k[2], k[3], s[0], s[1]]))
            }
            Lens::Equirectangular => ("equirectangular", Vec::new()),
            Lens::EqualArea => ("equal_area", Vec::new()),
        }
    }

    /// Returns OpenCV's model, or [`Lens::Perspective`] if all coefficients are 0.
    pub fn opencv(k: [f64; 4], p: [f64; 2]) -> Self {
        match are_zero(&k) && are_zero(&p) {
            true => Lens::Perspective,
            false => Lens::OpenCv { k: single(k), p: single(p) },
        }
    }

    /// Returns OpenCV's rational model, or a simpler one if the coefficients of the denominator, `k₄` to `k₆`, are 0.
    pub fn full_opencv(k: [f64; 6], p: [f64; 2]) -> Self {
        match are_zero(&k[3..]) {
            true => Lens::opencv([k[0], k[1], k[2], 0.0], p),
            false => Lens::FullOpenCv { k: single(k), p: single(p) },
        }
    }

    /// Returns COLMAP's thin prism fisheye, or [`Lens::Fisheye`] if the coefficients `p` and `s` are 0.
    pub fn thin_prism_fisheye(k: [f64; 4], p: [f64; 2], s: [f64; 2]) -> Self {
        match are_zero(&p) && are_zero(&s) {
            true => Lens::Fisheye { k: single(k) },
            false => Lens::ThinPrismFisheye { k: single(k), p: single(p), s: single(s) },
        }
    }

    /// Returns whether this is a panorama, which shows all directions around its vertical axis and has no optical axis.
    pub(crate) fn is_panorama(&self) -> bool {
        matches!(self, Lens::Equirectangular | Lens::EqualArea)
    }

    /// Maps a direction from the camera to the point of the image where it arrives, before focal length and principal
    /// point. Returns `None` for a direction behind a lens that is not a fisheye, and for one beyond the fold of the
    /// lens.
    pub(super) fn distort(&self, [x, y, z]: [f64; 3]) -> Option<[f64; 2]> {
        match self {
            Lens::Perspective => (z > 0.0).then(|| [x / z, y / z]),
            Lens::OpenCv { .. } | Lens::FullOpenCv { .. } => {
                let point = [x / z, y / z];
                let seen = z > 0.0 && point[0].hypot(point[1]) <= self.limit();
                seen.then(|| self.distortion().at(point).0)
            }
            Lens::Fisheye { k } => {
                let across = x.hypot(y);
                let angle = across.atan2(z);
                let stretch =
                    if across > 0.0 { distortion::distance(&k.map(f64::from), angle).0 / across } else { 0.0 };
                (angle <= self.limit()).then_some([x * stretch, y * stretch])
            }
            Lens::ThinPrismFisheye { .. } => {
                let across = x.hypot(y);
                let angle = across.atan2(z);
                let stretch = if across > 0.0 { angle / across } else { 0.0 };
                (angle <= self.limit()).then(|| self.distortion().at([x * stretch, y * stretch]).0)
            }
            Lens::Equirectangular => Some([x.atan2(z) / PI, y.atan2(x.hypot(z)) / PI]),
            Lens::EqualArea => {
                let length = x.hypot(y).hypot(z);
                (length > 0.0).then(|| [x.atan2(z) / PI, 0.5 * y / length])
            }
        }
    }

    /// Returns a direction, of any length, that arrives at a point of the image, before focal length and principal
    /// point. For a point that no direction reaches, beyond the fold of the lens, returns the direction of the fold.
    pub(super) fn undistort(&self, point: [f64; 2]) -> [f64; 3] {
        match self {
            Lens::Perspective => [point[0], point[1], 1.0],
            Lens::OpenCv { .. } | Lens::FullOpenCv { .. } => {
                let [x, y] = self.distortion().inverse(self.limit(), point);
                [x, y, 1.0]
            }
            Lens::Fisheye { k } => {
                let distance = point[0].hypot(point[1]);
                let angle = distortion::undistorted_distance(&k.map(f64::from), self.limit(), distance);
                at_angle(point, distance, angle)
            }
            Lens::ThinPrismFisheye { .. } => {
                let point = self.distortion().inverse(self.limit(), point);
                let angle = point[0].hypot(point[1]);
                at_angle(point, angle, angle)
            }
            Lens::Equirectangular => on_sphere(point[0], (PI * point[1]).sin(), (PI * point[1]).cos()),
            Lens::EqualArea => {
                let sine = (2.0 * point[1]).clamp(-1.0, 1.0);
                on_sphere(point[0], sine, (1.0 - sine * sine).sqrt())
            }
        }
    }

    /// Returns how far from the centre the image extends without folding over: a radius, or an angle for a fisheye. No
    /// panorama folds. At this limit, the derivative of the distorted radius with respect to the radius falls to 0,
    /// where tangential coefficients and those of a prism are left out.
    pub fn limit(&self) -> f64 {
        let is_fisheye = match self {
            Lens::Perspective | Lens::Equirectangular | Lens::EqualArea => return LARGEST_RADIUS,
            Lens::OpenCv { .. } | Lens::FullOpenCv { .. } => false,
            Lens::Fisheye { .. } | Lens::ThinPrismFisheye { .. } => true,
        };
        let largest = if is_fisheye { PI } else { LARGEST_RADIUS };
        let radial = self.distortion().radial;
        // The samples are denser near the centre, where lenses fold: radii follow t / (1 - t), angles are evenly
        // spaced.
        let radius = |i: usize| {
            let t = i as f64 / SEARCH_STEPS as f64;
            if is_fisheye { t * largest } else { (t / (1.0 - t)).min(largest) }
        };
        let Some(first) = (1..=SEARCH_STEPS).find(|&i| !radial.rises(radius(i))) else { return largest };
        let (mut low, mut high) = (radius(first - 1), radius(first));
        for _ in 0..50 {
            let middle = 0.5 * (low + high);
            *(if radial.rises(middle) { &mut low } else { &mut high }) = middle;
        }
        low
    }

    /// Returns the displacement in the plane of the image. Panoramas and lenses without distortion have none.
    fn distortion(&self) -> Distortion {
        let (radial, tangential, prism) = match *self {
            Lens::Perspective | Lens::Equirectangular | Lens::EqualArea => {
                (Radial::Polynomial([0.0; 4]), [0.0; 2], [0.0; 2])
            }
            Lens::OpenCv { k, p } => (Radial::Polynomial(k.map(f64::from)), p, [0.0; 2]),
            Lens::FullOpenCv { k, p } => (Radial::Rational(k.map(f64::from)), p, [0.0; 2]),
            Lens::Fisheye { k } => (Radial::Polynomial(k.map(f64::from)), [0.0; 2], [0.0; 2]),
            Lens::ThinPrismFisheye { k, p, s } => (Radial::Polynomial(k.map(f64::from)), p, s),
        };
        Distortion { radial, tangential: tangential.map(f64::from), prism: prism.map(f64::from) }
    }
}

fn are_zero(coefficients: &[f64]) -> bool {
    coefficients.iter().all(|&coefficient| coefficient == 0.0)
}

fn single<const N: usize>(coefficients: [f64; N]) -> [f32; N] {
    coefficients.map(|x| x as f32)
}

/// Returns the direction at `angle` to the optical axis, on the side of a point at `distance` from the centre.
fn at_angle([x, y]: [f64; 2], distance: f64, angle: f64) -> [f64; 3] {
    if distance == 0.0 {
        return [0.0, 0.0, 1.0];
    }
    let across = angle.sin() / distance;
    [x * across, y * across, angle.cos()]
}

/// Returns the direction at longitude `πu` and at the latitude, downwards, with this sine and cosine.
fn on_sphere(u: f64, sine: f64, cosine: f64) -> [f64; 3] {
    let (across, along) = (PI * u).sin_cos();
    [across * cosine, sine, along * cosine]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lenses() -> [Lens; 6] {
        [
            Lens::Perspective,
            Lens::opencv([0.0578421, -0.0805099, 0.0, 0.0], [-0.000980296, 0.00015575]),
            Lens::opencv([-0.28, 0.09, -0.013, 1e-4], [1e-3, -2e-3]),
            Lens::Fisheye { k: [-0.04, 0.01, -0.003, 1e-4] },
            Lens::full_opencv([0.52, -2.7, 1.55, 0.4, -2.5, 1.48], [8e-4, -2e-4]),
            Lens::thin_prism_fisheye([-0.03, 0.02, -0.01, 1e-3], [1e-3, -2e-3], [4e-3, -3e-3]),
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
    fn panoramas_see_everything() {
        for lens in [Lens::Equirectangular, Lens::EqualArea] {
            for i in 0..400 {
                let (u, v) = ((i % 20) as f64 / 10.0 - 0.95, (i / 20) as f64 / 20.0 - 0.475);
                let direction = lens.undistort([u, v]);
                let [found_u, found_v] = lens.distort(direction.map(|x| 3.0 * x)).unwrap();
                assert!((found_u - u).abs() < 1e-12 && (found_v - v).abs() < 1e-12, "{lens:?} at {u} {v}");
            }
            let near = |point: [f64; 2], expected: [f64; 3]| {
                lens.undistort(point).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-7)
            };
            assert!(near([0.0, 0.0], [0.0, 0.0, 1.0]), "the middle looks forward");
            assert!(near([0.5, 0.0], [1.0, 0.0, 0.0]), "right of it is right");
            assert!(near([-1.0, 0.0], [0.0, 0.0, -1.0]) && near([1.0, 0.0], [0.0, 0.0, -1.0]));
            assert!(near([0.3, -0.5], [0.0, -1.0, 0.0]), "the upper edge looks up");
        }
        // Latitudes of 30° are a third of the way up in angle, and half of it in area.
        let up = [0.0, -0.5, 0.75f64.sqrt()];
        assert!((Lens::Equirectangular.distort(up).unwrap()[1] + 1.0 / 6.0).abs() < 1e-12);
        assert!((Lens::EqualArea.distort(up).unwrap()[1] + 0.25).abs() < 1e-12);
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

    #[test]
    fn a_rational_lens_ends_before_its_pole() {
        // r / (1 - r²) increases up to the pole at 1; 1 / (1 + r²) makes r fold at 1.
        let pole = Lens::full_opencv([0.0, 0.0, 0.0, -1.0, 0.0, 0.0], [0.0; 2]);
        assert!((pole.limit() - 1.0).abs() < 1e-9, "{}", pole.limit());
        let fold = Lens::full_opencv([0.0, 0.0, 0.0, 1.0, 0.0, 0.0], [0.0; 2]);
        assert!((fold.limit() - 1.0).abs() < 1e-9, "{}", fold.limit());
        let [x, y, z] = fold.undistort([0.36, 0.48]);
        assert!((x.hypot(y) / z - 1.0).abs() < 1e-3 && (y / x - 4.0 / 3.0).abs() < 1e-6, "{x} {y} {z}");
        assert!(fold.distort([0.9, 0.9, 1.0]).is_none());
        assert!(pole.undistort([300.0, 400.0]).iter().all(|x| x.is_finite()));
    }

    #[test]
    fn names_and_coefficients_give_the_lens_again() {
        let lenses = [
            Lens::Perspective,
            Lens::OpenCv { k: [0.1, 0.2, 0.3, 0.4], p: [0.5, 0.6] },
            Lens::FullOpenCv { k: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], p: [0.7, 0.8] },
            Lens::Fisheye { k: [0.1, 0.2, 0.3, 0.4] },
            Lens::ThinPrismFisheye { k: [0.1, 0.2, 0.3, 0.4], p: [0.5, 0.6], s: [0.7, 0.8] },
            Lens::Equirectangular,
            Lens::EqualArea,
        ];
        for lens in lenses {
            let (name, coefficients) = lens.name_and_coefficients();
            assert_eq!(Lens::named(name, &coefficients).unwrap(), lens);
        }
        assert_eq!(Lens::named("opencv", &[0.1, 0.2]).unwrap(), Lens::opencv([0.1, 0.2, 0.0, 0.0], [0.0; 2]));
        let refused = |name, coefficients: &[f64]| Lens::named(name, coefficients).unwrap_err().to_string();
        assert!(refused("pinhole", &[]).contains("perspective, opencv"));
        assert!(refused("fisheye", &[0.1; 5]).contains("up to 4 coefficients"));
        assert!(refused("opencv", &[f64::NAN]).contains("finite"));
    }

    #[test]
    fn coefficients_of_zero_leave_the_simpler_lens() {
        assert_eq!(Lens::full_opencv([0.0; 6], [0.0; 2]), Lens::Perspective);
        let simple = Lens::opencv([0.1, 0.2, 0.3, 0.0], [0.4, 0.5]);
        assert_eq!(Lens::full_opencv([0.1, 0.2, 0.3, 0.0, 0.0, 0.0], [0.4, 0.5]), simple);
        assert_eq!(Lens::thin_prism_fisheye([0.1; 4], [0.0; 2], [0.0; 2]), Lens::Fisheye { k: [0.1; 4] });
    }
}
