// Lenses and panoramas: inverts the distortion models of OpenCV and COLMAP by Newton's method, and the projections of
// panoramas in closed form. src/geometry/lens.rs does the same on the host and documents the formulas; a test compares
// the two.
#pragma once

#include "args.h"
#include "core/sincos.cuh"

namespace {

/// Starting from the distorted point, each step doubles the number of correct digits. Five steps suffice for fp32,
/// except near the fold of a lens, where more are needed.
const int NEWTON_STEPS = 8;

#define GF_PI 3.14159265358979f

/// A distorted point, and its derivatives with respect to the point (x, y).
struct Distorted {
    float x, y;
    float x_by_x, x_by_y, y_by_x, y_by_y;
};

/// Returns the point (x, y) after radial distortion by the factor `radial`, a function of s = x^2 + y^2 with the
/// derivative `slope` / 2, and tangential distortion.
GF_FN Distorted distorted(const Camera& camera, float x, float y, float s, float radial, float slope) {
    const float* p = camera.tangential;
    Distorted out;
    out.x = x * radial + 2.0f * p[0] * x * y + p[1] * (s + 2.0f * x * x);
    out.y = y * radial + 2.0f * p[1] * x * y + p[0] * (s + 2.0f * y * y);
    out.x_by_x = radial + x * x * slope + 2.0f * p[0] * y + 6.0f * p[1] * x;
    out.x_by_y = x * y * slope + 2.0f * p[0] * x + 2.0f * p[1] * y;
    out.y_by_x = out.x_by_y;
    out.y_by_y = radial + y * y * slope + 6.0f * p[0] * y + 2.0f * p[1] * x;
    return out;
}

/// The radial factor is a polynomial.
struct PolynomialLens {
    GF_FN static Distorted at(const Camera& camera, float x, float y) {
        const float* k = camera.radial;
        const float s = x * x + y * y;
        const float radial = 1.0f + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3])));
        const float slope = 2.0f * (k[0] + s * (2.0f * k[1] + s * (3.0f * k[2] + s * 4.0f * k[3])));
        return distorted(camera, x, y, s, radial, slope);
    }
};

/// The radial factor is a quotient of polynomials.
struct RationalLens {
    GF_FN static Distorted at(const Camera& camera, float x, float y) {
        const float *k = camera.radial, *below = camera.further;
        const float s = x * x + y * y;
        const float inverse = 1.0f / (1.0f + s * (k[3] + s * (below[0] + s * below[1])));
        const float radial = (1.0f + s * (k[0] + s * (k[1] + s * k[2]))) * inverse;
        const float above_slope = k[0] + s * (2.0f * k[1] + s * 3.0f * k[2]);
        const float below_slope = k[3] + s * (2.0f * below[0] + s * 3.0f * below[1]);
        return distorted(camera, x, y, s, radial, 2.0f * (above_slope - radial * below_slope) * inverse);
    }
};

/// The polynomial and a thin prism.
struct ThinPrismLens {
    GF_FN static Distorted at(const Camera& camera, float x, float y) {
        const float* prism = camera.further;
        const float s = x * x + y * y;
        Distorted out = PolynomialLens::at(camera, x, y);
        out.x += prism[0] * s;
        out.y += prism[1] * s;
        out.x_by_x += 2.0f * prism[0] * x;
        out.x_by_y += 2.0f * prism[0] * y;
        out.y_by_x += 2.0f * prism[1] * x;
        out.y_by_y += 2.0f * prism[1] * y;
        return out;
    }
};

/// Computes the point of the plane that a lens shows at (u, v). Where the lens folds over, the result is the fold.
template <typename Model> GF_FN void undistort_plane(const Camera& camera, float u, float v, float point[2]) {
    float x = u, y = v;
    GF_ROLLED
    for (int step = 0; step <= NEWTON_STEPS; ++step) {
        const float radius = sqrtf(x * x + y * y);
        const float within = radius > camera.lens_limit ? camera.lens_limit / radius : 1.0f;
        x *= within;
        y *= within;
        if (step == NEWTON_STEPS) break;
        const Distorted at = Model::at(camera, x, y);
        const float dx = at.x - u, dy = at.y - v;
        const float determinant = at.x_by_x * at.y_by_y - at.x_by_y * at.y_by_x;
        if (!(determinant > 0.0f)) break;
        x -= (at.y_by_y * dx - at.x_by_y * dy) / determinant;
        y -= (at.x_by_x * dy - at.y_by_x * dx) / determinant;
    }
    point[0] = x;
    point[1] = y;
}

/// Returns the angle to the optical axis that a fisheye shows at this distance from the principal point.
GF_FN float undistort_fisheye(const Camera& camera, float distance) {
    const float* k = camera.radial;
    float angle = min_of(distance, camera.lens_limit);
    GF_ROLLED
    for (int step = 0; step < NEWTON_STEPS; ++step) {
        const float s = angle * angle;
        const float value = angle * (1.0f + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3]))));
        const float slope = 1.0f + s * (3.0f * k[0] + s * (5.0f * k[1] + s * (7.0f * k[2] + s * 9.0f * k[3])));
        if (!(slope > 0.0f)) break;
        angle = max_of(0.0f, min_of(angle - (value - distance) / slope, camera.lens_limit));
    }
    return angle;
}

/// Computes the direction at `angle` to the optical axis, on the side of the point (u, v) at `distance` from the
/// centre.
GF_FN void at_angle(float u, float v, float distance, float angle, float direction[3]) {
    float sine, cosine;
    sin_cos(angle, sine, cosine);
    const float across = distance > 0.0f ? sine / distance : 1.0f;
    direction[0] = u * across;
    direction[1] = v * across;
    direction[2] = cosine;
}

/// Returns whether the camera has no optical axis, but sees all around.
GF_FN bool is_panorama(const Camera& camera) {
    return camera.lens == LENS_EQUIRECTANGULAR || camera.lens == LENS_EQUAL_AREA;
}

/// Computes the direction at longitude pi u and at the latitude of which `sine` and `cosine` are given, downwards.
GF_FN void on_sphere(float u, float sine, float cosine, float direction[3]) {
    float across, along;
    sin_cos(GF_PI * u, across, along);
    direction[0] = across * cosine;
    direction[1] = sine;
    direction[2] = along * cosine;
}

/// Computes the direction, of any length, that is imaged at the point (u, v), given before focal length and principal
/// point are applied: x to the right, y down, z forward.
GF_FN void undistort(const Camera& camera, float u, float v, float direction[3]) {
    direction[0] = u;
    direction[1] = v;
    direction[2] = 1.0f;
    if (camera.lens == LENS_OPENCV) undistort_plane<PolynomialLens>(camera, u, v, direction);
    if (camera.lens == LENS_FULL_OPENCV) undistort_plane<RationalLens>(camera, u, v, direction);
    if (camera.lens == LENS_FISHEYE) {
        const float distance = sqrtf(u * u + v * v);
        at_angle(u, v, distance, undistort_fisheye(camera, distance), direction);
    }
    if (camera.lens == LENS_THIN_PRISM_FISHEYE) {
        float point[2];
        undistort_plane<ThinPrismLens>(camera, u, v, point);
        const float angle = sqrtf(point[0] * point[0] + point[1] * point[1]);
        at_angle(point[0], point[1], angle, angle, direction);
    }
    if (camera.lens == LENS_EQUIRECTANGULAR) {
        float sine, cosine;
        sin_cos(GF_PI * v, sine, cosine);
        on_sphere(u, sine, cosine, direction);
    }
    if (camera.lens == LENS_EQUAL_AREA) {
        const float sine = clamp_to(2.0f * v, -1.0f, 1.0f);
        on_sphere(u, sine, sqrtf((1.0f - sine) * (1.0f + sine)), direction);
    }
}

}  // namespace
