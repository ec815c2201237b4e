// Lens distortion: inverts the distortion models of OpenCV by Newton's method. src/scene/lens.rs does the same on the
// host and documents the formulas; a test compares the two.
#pragma once

#include "args.h"
#include "core/sincos.cuh"

namespace {

/// Starting from the distorted point, each step doubles the number of correct digits. Five steps suffice for fp32,
/// except near the fold of a lens, where more are needed.
const int NEWTON_STEPS = 8;

/// Computes the point at distance 1 that a lens of OpenCV's model shows at (u, v). Where the lens folds over, the
/// result is the fold.
GF_FN void undistort_opencv(const Camera& camera, float u, float v, float point[2]) {
    const float *k = camera.radial, *p = camera.tangential;
    float x = u, y = v;
    GF_ROLLED
    for (int step = 0; step <= NEWTON_STEPS; ++step) {
        const float radius = sqrtf(x * x + y * y);
        const float within = radius > camera.lens_limit ? camera.lens_limit / radius : 1.0f;
        x *= within;
        y *= within;
        if (step == NEWTON_STEPS) break;
        const float s = x * x + y * y;
        const float radial = 1.0f + s * (k[0] + s * (k[1] + s * (k[2] + s * k[3])));
        const float slope = 2.0f * (k[0] + s * (2.0f * k[1] + s * (3.0f * k[2] + s * 4.0f * k[3])));
        const float dx = x * radial + 2.0f * p[0] * x * y + p[1] * (s + 2.0f * x * x) - u;
        const float dy = y * radial + 2.0f * p[1] * x * y + p[0] * (s + 2.0f * y * y) - v;
        const float xx = radial + x * x * slope + 2.0f * p[0] * y + 6.0f * p[1] * x;
        const float xy = x * y * slope + 2.0f * p[0] * x + 2.0f * p[1] * y;
        const float yy = radial + y * y * slope + 6.0f * p[0] * y + 2.0f * p[1] * x;
        const float determinant = xx * yy - xy * xy;
        if (!(determinant > 0.0f)) break;
        x -= (yy * dx - xy * dy) / determinant;
        y -= (xx * dy - xy * dx) / determinant;
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

/// Computes the direction, of any length, that is imaged at the point (u, v), given before focal length and principal
/// point are applied: x to the right, y down, z forward.
GF_FN void undistort(const Camera& camera, float u, float v, float direction[3]) {
    direction[0] = u;
    direction[1] = v;
    direction[2] = 1.0f;
    if (camera.lens == LENS_OPENCV) undistort_opencv(camera, u, v, direction);
    if (camera.lens == LENS_FISHEYE) {
        const float distance = sqrtf(u * u + v * v);
        const float angle = undistort_fisheye(camera, distance);
        float sine, cosine;
        sin_cos(angle, sine, cosine);
        const float across = distance > 0.0f ? sine / distance : 1.0f;
        direction[0] = u * across;
        direction[1] = v * across;
        direction[2] = cosine;
    }
}

}  // namespace
