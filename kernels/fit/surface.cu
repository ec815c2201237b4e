// Points on a mesh, near it, and in the cube around it. Of n points, point i falls into the i-th part of the area or of
// the cube: the points are spread evenly, and consecutive points are close together, which speeds up the distance
// search.
#include "args.h"
#include "core/rng.cuh"

namespace {

/// Returns the position of point i of n, within its part, on a scale of 2^32.
GF_FN uint32_t stratum(uint32_t i, uint32_t n, uint32_t bits) { return (uint32_t)((((uint64_t)i << 32) | bits) / n); }

/// Returns the triangle whose share of the area contains a position.
GF_FN uint32_t triangle_at(const SurfaceArgs& a, uint32_t place) {
    uint32_t low = 0, high = a.n_triangles - 1;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (place < a.cumulative[middle]) high = middle;
        else low = middle + 1;
    }
    return low;
}

/// Returns a logistic random number of scale 1, of magnitude below 17, from 23 bits. With the added half these are as
/// many bits as a float holds, so that u is never rounded to 1.
GF_FN float logistic(uint32_t bits) {
    const float u = ((float)(bits >> 9) + 0.5f) * (1.0f / 8388608.0f);
    return logf(u / (1.0f - u));
}

/// Returns every third bit of a number, from the lowest on: one coordinate of a Morton code.
GF_FN uint32_t third_bits(uint32_t code) {
    code &= 0x09249249u;
    code = (code | code >> 2) & 0x030c30c3u;
    code = (code | code >> 4) & 0x0300f00fu;
    code = (code | code >> 8) & 0x030000ffu;
    return (code | code >> 16) & 0x3ffu;
}

}  // namespace

// Points spread over the area and moved off it by `deviation` times a logistic number along each axis, clamped to the
// unit cube. The surface is no farther from such a point than the length of the unclamped move.
GF_ITEM_KERNEL(surface_points, SurfaceArgs) {
    const uint32_t number = a.first + i;
    const Random4 draw = random_draw(a.seed, RANDOM_SURFACE + 2u * a.stream, a.step, number);
    const uint32_t triangle = triangle_at(a, stratum(number, a.n, draw.x[0]));
    const float* corner = a.corner + 9 * (size_t)triangle;
    // Uniform over the triangle: Osada et al., "Shape distributions", 2002, equation 1.
    const float root = sqrtf(random_unit(draw.x[1])), v = root * random_unit(draw.x[2]), u = root - v;
    const Random4 move = random_draw(a.seed, RANDOM_SURFACE + 2u * a.stream + 1u, a.step, number);
    float bound2 = 0.0f;
    for (int k = 0; k < 3; ++k) {
        const float on = corner[k] + u * (corner[3 + k] - corner[k]) + v * (corner[6 + k] - corner[k]);
        a.position[3 * (size_t)i + k] = on;
        if (!(a.deviation > 0.0f)) continue;
        const float off = a.deviation * logistic(move.x[k]);
        a.position[3 * (size_t)i + k] = clamp_to(on + off, 0.0f, 1.0f);
        bound2 += off * off;
    }
    a.bound[i] = sqrtf(bound2);
    if (a.triangle) a.triangle[i] = a.number[triangle];
}

// Points spread over the unit cube along a Morton curve of 2^30 cells.
GF_ITEM_KERNEL(cube_points, SurfaceArgs) {
    const uint32_t number = a.first + i;
    const Random4 draw = random_draw(a.seed, RANDOM_CUBE + a.stream, a.step, number);
    const uint32_t code = stratum(number, a.n, draw.x[0]) >> 2;
    for (int k = 0; k < 3; ++k)
        a.position[3 * (size_t)i + k] = ((float)third_bits(code >> k) + random_unit(draw.x[1 + k])) * (1.0f / 1024.0f);
    a.bound[i] = 2.0f;
}
