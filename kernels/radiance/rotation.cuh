// Rotations given as rotation vectors: the direction is the axis, the length the angle in radians.
#pragma once
#include "core/sincos.cuh"

namespace {

GF_FN void cross(const float a[3], const float b[3], float out[3]) {
    out[0] = a[1] * b[2] - a[2] * b[1];
    out[1] = a[2] * b[0] - a[0] * b[2];
    out[2] = a[0] * b[1] - a[1] * b[0];
}

/// sin(x) / x, (1 - cos(x)) / x^2 and (x - sin(x)) / x^3, where x is the length of a rotation vector. For small x they
/// are computed by series in x^2, because the quotients lose their digits there.
struct RotationFactors {
    float sine, versine, rest;
};

GF_FN RotationFactors rotation_factors(const float w[3]) {
    const float squared = w[0] * w[0] + w[1] * w[1] + w[2] * w[2];
    if (squared < 0.04f)
        return {1.0f - squared * (1.0f / 6.0f) * (1.0f - squared * (1.0f / 20.0f)),
                0.5f - squared * (1.0f / 24.0f) * (1.0f - squared * (1.0f / 30.0f)),
                1.0f / 6.0f - squared * (1.0f / 120.0f) * (1.0f - squared * (1.0f / 42.0f))};
    const float x = sqrtf(squared);
    float sine, cosine;
    sin_cos(x, sine, cosine);
    return {sine / x, (1.0f - cosine) / squared, (x - sine) / (squared * x)};
}

/// Computes exp(w) v = v + sin(|w|)/|w| w x v + (1 - cos(|w|))/|w|^2 w x (w x v)   (Rodrigues).
GF_FN void rotate(const float w[3], const float v[3], float out[3]) {
    const RotationFactors factors = rotation_factors(w);
    float once[3], twice[3];
    cross(w, v, once);
    cross(w, once, twice);
    for (int k = 0; k < 3; ++k) out[k] = v[k] + factors.sine * once[k] + factors.versine * twice[k];
}

/// Converts the gradient with respect to a small rotation applied after exp(w) into the gradient with respect to w, by
/// the transpose of the left Jacobian,
///   J v = v + (1 - cos(|w|))/|w|^2 w x v + (|w| - sin(|w|))/|w|^3 w x (w x v).
GF_FN void rotation_gradient(const float w[3], const float dL_dturn[3], float dL_dw[3]) {
    const RotationFactors factors = rotation_factors(w);
    float once[3], twice[3];
    cross(w, dL_dturn, once);
    cross(w, once, twice);
    for (int k = 0; k < 3; ++k) dL_dw[k] = dL_dturn[k] - factors.versine * once[k] + factors.rest * twice[k];
}

}  // namespace
