// Vectors of consecutive numbers: a GPU thread processes them one by one, a host core eight at a time. Code based on
// `wide` is written once, as loops over groups of eight in steps of GF_AT_ONCE.
#pragma once
#include "core/target.cuh"

#define GF_GROUP 8

namespace {

#if GF_SIMT
#define GF_AT_ONCE 1
typedef float wide;
GF_FN float lane_of(wide x, int) { return x; }
GF_FN wide wide_sqrt(wide x) { return sqrtf(x); }
#else
#define GF_AT_ONCE GF_GROUP
typedef float wide __attribute__((vector_size(4 * GF_AT_ONCE)));
GF_FN float lane_of(wide x, int lane) { return x[lane]; }
GF_FN wide wide_sqrt(wide x) {
    wide root;
    for (int lane = 0; lane < GF_AT_ONCE; ++lane) root[lane] = sqrtf(x[lane]);
    return root;
}
#endif

GF_FN wide load_wide(const float* from) { return *(const wide*)from; }
GF_FN wide wide_of(float x) { return x - wide{}; }
GF_FN wide wide_min(wide a, wide b) { return b < a ? b : a; }
GF_FN wide wide_max(wide a, wide b) { return a < b ? b : a; }
GF_FN wide wide_abs(wide x) { return wide_max(x, -x); }

struct wide3 {
    wide x, y, z;
};
GF_FN wide3 operator-(wide3 a, wide3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
GF_FN wide3 operator*(wide3 a, wide b) { return {a.x * b, a.y * b, a.z * b}; }
GF_FN wide dot(wide3 a, wide3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
GF_FN wide3 cross(wide3 a, wide3 b) {
    return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
/// Loads three columns of a group: all x, all y, all z.
GF_FN wide3 load_wide3(const float* from) {
    return {load_wide(from), load_wide(from + GF_GROUP), load_wide(from + 2 * GF_GROUP)};
}

/// Returns the angle of (x, y), in (-pi, pi], within 1e-6; 0 at the origin. Arctangent by Abramowitz and Stegun (1964),
/// 4.4.49.
GF_FN wide wide_atan2(wide y, wide x) {
    const wide ax = wide_abs(x), ay = wide_abs(y);
    const wide t = wide_min(ax, ay) / wide_max(wide_max(ax, ay), wide_of(1e-37f));
    const wide s = t * t;
    wide p = s * 0.0028662257f - 0.0161657367f;
    p = p * s + 0.0429096138f;
    p = p * s - 0.0752896400f;
    p = p * s + 0.1065626393f;
    p = p * s - 0.1420889944f;
    p = p * s + 0.1999355085f;
    p = p * s - 0.3333314528f;
    wide angle = p * s * t + t;
    angle = ax < ay ? 1.57079632679f - angle : angle;
    angle = x < 0.0f ? 3.14159265359f - angle : angle;
    return y < 0.0f ? -angle : angle;
}

}  // namespace
