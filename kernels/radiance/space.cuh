// Maps from space to the field: how a ray becomes the ray that is marched, and where along it the field is evaluated.
// There are three (docs/scenes.md):
//   identity     the box of all cascades is the field's [0, 1]^3
//   ndc          forward-facing scenes: the rig's frustum beyond its near plane becomes the unit cube, in which rays
//                stay straight (NeRF, Mildenhall et al. 2020, appendix C)
//   contraction  unbounded scenes: all of space is contracted into a ball of radius 2 around one of radius 1 that stays
//                unchanged (mip-NeRF 360, Barron et al. 2022, equation 10)
// Rays and points are in coordinates of the unit cube.
#pragma once
#include "args.h"
#include "core/target.cuh"

namespace {

struct Ray {
    float origin[3], direction[3];
};

/// Least cosine between a ray and the rig's viewing axis: rays closer to the image plane are outside the frustum.
#define GF_LEAST_FORWARD 1e-3f

/// Transforms into the rig's frame: x right, y up, looking along -z, with the near plane at z = -1.
GF_FN void to_rig(const Space& space, const float v[3], float homogeneous, float out[3]) {
    for (int r = 0; r < 3; ++r) {
        const float* row = space.to_rig + 4 * r;
        out[r] = row[0] * v[0] + row[1] * v[1] + row[2] * v[2] + row[3] * homogeneous;
    }
}

/// Converts a ray to normalized device coordinates of the rig, in which the unit cube is the frustum from the near
/// plane (z = 0) to infinity (z = 1): x' = 1/2 - s_x x/z, y' = 1/2 - s_y y/z, z' = 1 + 1/z. The result starts on the
/// near plane, with a direction of length 1. Returns false if the ray does not point along the rig's viewing direction.
GF_FN bool ndc_ray(const Space& space, Ray& ray) {
    float o[3], d[3];
    to_rig(space, ray.origin, 1.0f, o);
    to_rig(space, ray.direction, 0.0f, d);
    const float length = sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    if (!(d[2] < -GF_LEAST_FORWARD * length)) return false;
    const float to_near = -(1.0f + o[2]) / d[2];
    for (int k = 0; k < 2; ++k) {
        const float start = o[k] + to_near * d[k];
        ray.origin[k] = 0.5f + space.scale[k] * start;
        ray.direction[k] = -space.scale[k] * (d[k] / d[2] + start);
    }
    ray.origin[2] = 0.0f;
    ray.direction[2] = 1.0f;
    float squared = 0.0f;
    for (int k = 0; k < 3; ++k) squared += ray.direction[k] * ray.direction[k];
    const float inverse = 1.0f / sqrtf(squared);
    for (int k = 0; k < 3; ++k) ray.direction[k] *= inverse;
    return true;
}

/// Converts a ray to the ray that is marched. Returns false if the field does not contribute to it.
GF_FN bool march_space(const Space& space, Ray& ray) { return space.map != SPACE_NDC || ndc_ray(space, ray); }

/// Lower limit of 1 - z' in NDC, which limits the distance to 1 / (1 - z') near planes.
#define GF_FARTHEST_NDC 1e-6f

/// Returns the distance from the ray's camera to the point of the marched ray at `t`, in units of the unit cube.
GF_FN float distance_at(const Space& space, const float camera[3], const float origin[3], const float direction[3], float t) {
    if (space.map != SPACE_NDC) return t;
    float p[3], eye[3], squared = 0.0f;
    for (int k = 0; k < 3; ++k) p[k] = origin[k] + t * direction[k];
    to_rig(space, camera, 1.0f, eye);
    const float z = -1.0f / max_of(1.0f - p[2], GF_FARTHEST_NDC);
    const float point[3] = {(0.5f - p[0]) * z / space.scale[0], (0.5f - p[1]) * z / space.scale[1], z};
    for (int k = 0; k < 3; ++k) squared += (point[k] - eye[k]) * (point[k] - eye[k]);
    return sqrtf(squared) * space.rig_unit;
}

/// Returns where on the marched ray the point lies that is at `distance` along the ray from the camera.
GF_FN float marched_at(const Space& space, const Ray& from_camera, const Ray& marched, float distance) {
    if (space.map != SPACE_NDC) return distance;
    float eye[3], towards[3];
    to_rig(space, from_camera.origin, 1.0f, eye);
    to_rig(space, from_camera.direction, 0.0f, towards);
    // Before the near plane there is nothing.
    const float z = min_of(eye[2] + distance * towards[2], -1.0f);
    return max_of((1.0f + 1.0f / z) / marched.direction[2], 0.0f);
}

/// Returns the length of the step that starts at distance t: constant, then proportional to the distance, then to its
/// square, which is uniform in 1/t.
GF_FN float step_at(const Steps& steps, float t) {
    return clamp_to(t * steps.cone_angle * max_of(1.0f, t * steps.inverse_far), steps.size, steps.largest);
}

/// Returns the radius of a point, in units of the radius of the ball that contraction leaves unchanged, the largest in
/// the unit cube.
GF_FN float ball_radius(const float p[3]) {
    float squared = 0.0f;
    for (int k = 0; k < 3; ++k) squared += (p[k] - 0.5f) * (p[k] - 0.5f);
    return 2.0f * sqrtf(squared);
}

/// Returns the factor by which contraction shrinks across the radius: (2 - 1/r) / r beyond the unit ball.
GF_FN float contraction_factor(float radius) { return radius > 1.0f ? (2.0f - 1.0f / radius) / radius : 1.0f; }

/// Returns the factor by which contraction shrinks along the radius. Density is per unit length of the contracted space
/// in that direction, so that a field of constant density is not a wall in the distance, where steps are long.
GF_FN float contraction_slope(float radius) { return radius > 1.0f ? 1.0f / (radius * radius) : 1.0f; }

/// Converts coordinates of the unit cube to those of the field, in which the ball of radius 2 fills [0, 1]^3.
GF_FN void contract(const float p[3], float q[3]) {
    const float factor = 0.5f * contraction_factor(ball_radius(p));
    for (int k = 0; k < 3; ++k) q[k] = clamp_to(0.5f + factor * (p[k] - 0.5f), 0.0f, 1.0f);
}

/// Converts the gradient with respect to a point in the field into the gradient with respect to the point in space.
GF_FN void space_gradient(const Space& space, uint32_t cascades, const float p[3], const float dL_dfield[3], float dL_dp[3]) {
    if (space.map == SPACE_NDC) {
        float rig[3];
        to_rig(space, p, 1.0f, rig);
        const float inverse = 1.0f / rig[2], gx = -space.scale[0] * dL_dfield[0], gy = -space.scale[1] * dL_dfield[1];
        const float own[3] = {gx * inverse, gy * inverse,
                              -(gx * rig[0] + gy * rig[1] + dL_dfield[2]) * inverse * inverse};
        for (int k = 0; k < 3; ++k)
            dL_dp[k] = space.to_rig[k] * own[0] + space.to_rig[4 + k] * own[1] + space.to_rig[8 + k] * own[2];
        return;
    }
    if (space.map == SPACE_IDENTITY) {
        for (int k = 0; k < 3; ++k) dL_dp[k] = dL_dfield[k] / (float)(1u << (cascades - 1));
        return;
    }
    // q = 1/2 + f(r) c / 2 with c = p - 1/2, r = 2 |c|, f = 2/r - 1/r^2 beyond 1.
    const float r = ball_radius(p);
    const float df_dr = r > 1.0f ? (2.0f / r - 2.0f) / (r * r) : 0.0f;
    float along = 0.0f;
    for (int k = 0; k < 3; ++k) along += (p[k] - 0.5f) * dL_dfield[k];
    for (int k = 0; k < 3; ++k)
        dL_dp[k] = 0.5f * contraction_factor(r) * dL_dfield[k] + (r > 1.0f ? 2.0f * df_dr / r * along * (p[k] - 0.5f) : 0.0f);
}

}  // namespace
