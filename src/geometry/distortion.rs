//! How lenses displace the points of a plane, and the inverse.

/// Steps of Newton's method: starting from the distorted point, each doubles the correct digits, and few lenses need
/// five.
const NEWTON_STEPS: usize = 20;

/// Displacement of the points of a plane, with `r² = x² + y²` and a radial factor `R`:
/// `x_d = x R(r²) + 2 p₁xy + p₂(r² + 2x²) + s₁r²`,
/// `y_d = y R(r²) + 2 p₂xy + p₁(r² + 2y²) + s₂r²`.
pub(super) struct Distortion {
    pub radial: Radial,
    /// Tangential coefficients `p₁` and `p₂`.
    pub tangential: [f64; 2],
    /// Coefficients `s₁` and `s₂` of a thin prism.
    pub prism: [f64; 2],
}

/// The factor by which a point moves away from the centre.
pub(super) enum Radial {
    /// `R(s) = 1 + k₁s + k₂s² + k₃s³ + k₄s⁴`.
    Polynomial([f64; 4]),
    /// `R(s) = (1 + k₁s + k₂s² + k₃s³) / (1 + k₄s + k₅s² + k₆s³)`.
    Rational([f64; 6]),
}

impl Radial {
    /// Returns `R(s)` and its derivative.
    fn at(&self, s: f64) -> (f64, f64) {
        match self {
            Radial::Polynomial(k) => (
                1.0 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3]))),
                k[0] + s * (2.0 * k[1] + s * (3.0 * k[2] + s * 4.0 * k[3])),
            ),
            Radial::Rational([k1, k2, k3, k4, k5, k6]) => {
                let (above, above_slope) = cubic([*k1, *k2, *k3], s);
                let (below, below_slope) = cubic([*k4, *k5, *k6], s);
                let ratio = above / below;
                (ratio, (above_slope - ratio * below_slope) / below)
            }
        }
    }

    /// Returns whether `r R(r²)` increases at `r`, and `R` has no pole there.
    pub fn rises(&self, r: f64) -> bool {
        match self {
            Radial::Polynomial(k) => distance(k, r).1 > 0.0,
            Radial::Rational([.., k4, k5, k6]) => {
                let (value, slope) = self.at(r * r);
                cubic([*k4, *k5, *k6], r * r).0 > 0.0 && value + 2.0 * r * r * slope > 0.0
            }
        }
    }
}

/// Returns `1 + as + bs² + cs³` and its derivative.
fn cubic([a, b, c]: [f64; 3], s: f64) -> (f64, f64) {
    (1.0 + s * (a + s * (b + s * c)), a + s * (2.0 * b + s * 3.0 * c))
}

/// Returns `r (1 + k₁r² + k₂r⁴ + k₃r⁶ + k₄r⁸)` and its derivative with respect to `r`.
pub(super) fn distance(k: &[f64; 4], r: f64) -> (f64, f64) {
    let s = r * r;
    let value = 1.0 + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3])));
    let derivative = 1.0 + s * (3.0 * k[0] + s * (5.0 * k[1] + s * (7.0 * k[2] + s * 9.0 * k[3])));
    (r * value, derivative)
}

/// Returns the `r` up to `limit` at which [`distance`] is `target`, or `limit` if there is none.
pub(super) fn undistorted_distance(k: &[f64; 4], limit: f64, target: f64) -> f64 {
    let mut r = target.min(limit);
    for _ in 0..NEWTON_STEPS {
        let (value, slope) = distance(k, r);
        if slope <= 0.0 {
            break;
        }
        r = (r - (value - target) / slope).clamp(0.0, limit);
    }
    r
}

impl Distortion {
    /// Returns the distorted point, and the rows `[∂x_d/∂x, ∂x_d/∂y]` and `[∂y_d/∂x, ∂y_d/∂y]`.
    pub fn at(&self, [x, y]: [f64; 2]) -> ([f64; 2], [[f64; 2]; 2]) {
        let Distortion { radial, tangential: p, prism } = self;
        let s = x * x + y * y;
        let (radial, slope) = radial.at(s);
        let slope = 2.0 * slope;
        let distorted = [
            x * radial + 2.0 * p[0] * x * y + p[1] * (s + 2.0 * x * x) + prism[0] * s,
            y * radial + 2.0 * p[1] * x * y + p[0] * (s + 2.0 * y * y) + prism[1] * s,
        ];
        let across = x * y * slope + 2.0 * p[0] * x + 2.0 * p[1] * y;
        let derivatives = [
            [
                radial + x * x * slope + 2.0 * p[0] * y + 6.0 * p[1] * x + 2.0 * prism[0] * x,
                across + 2.0 * prism[0] * y,
            ],
            [
                across + 2.0 * prism[1] * x,
                radial + y * y * slope + 6.0 * p[0] * y + 2.0 * p[1] * x + 2.0 * prism[1] * y,
            ],
        ];
        (distorted, derivatives)
    }

    /// Returns the point that is displaced to `target`, by Newton's method, restricted to radii up to `limit`.
    pub fn inverse(&self, limit: f64, target: [f64; 2]) -> [f64; 2] {
        let within = |[x, y]: [f64; 2]| {
            let shrink = (limit / x.hypot(y)).min(1.0);
            [x * shrink, y * shrink]
        };
        let mut point = within(target);
        for _ in 0..NEWTON_STEPS {
            let (distorted, [[xx, xy], [yx, yy]]) = self.at(point);
            let (dx, dy) = (distorted[0] - target[0], distorted[1] - target[1]);
            let determinant = xx * yy - xy * yx;
            if determinant.is_nan() || determinant <= 0.0 {
                break;
            }
            let next = [point[0] - (yy * dx - xy * dy) / determinant, point[1] - (xx * dy - yx * dx) / determinant];
            point = within(next);
        }
        point
    }
}
