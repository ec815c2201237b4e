// Cells of the occupancy grid along a ray.
//
// The occupancy grid holds one bit per cell, in words of 4 x 4 x 4 cells, and above it one bit per such word that is
// not empty, again in words of 4 x 4 x 4. Empty space is skipped in strides of 16, 4 or 1 cells. Cascade m covers the
// cube of side 2^m around the unit cube's centre; a contracted space has a single grid, which covers the field.
#pragma once
#include "args.h"
#include "radiance/space.cuh"

namespace {

struct MarchRay {
    float origin[3], direction[3], inverse[3];
    float t_end;
};

GF_FN MarchRay march_ray(const RayBatch& rays, uint32_t i) {
    MarchRay ray;
    for (int k = 0; k < 3; ++k) {
        ray.origin[k] = rays.origin[k * (size_t)rays.capacity + i];
        ray.direction[k] = rays.direction[k * (size_t)rays.capacity + i];
        ray.inverse[k] = 1.0f / ray.direction[k];
    }
    ray.t_end = rays.t_end[i];
    return ray;
}

/// Returns the smallest cascade that contains the point and whose cells are no smaller than the step.
GF_FN uint32_t cascade_of(const MarchArgs& a, const float p[3], float dt) {
    float reach = 0.0f;
    for (int k = 0; k < 3; ++k) reach = max_of(reach, fabsf(p[k] - 0.5f));
    uint32_t cascade = 0;
    float half_side = 0.5f;
    while (cascade + 1 < a.cascades && (reach > half_side || dt * (float)a.resolution > 2.0f * half_side)) {
        half_side *= 2.0f;
        ++cascade;
    }
    return cascade;
}

/// Returns a distance up to which the ray is sure to stay in a block of a contracted field: the block of `size` cells
/// per side around `cell`. At t, the ray is at p in space and at q in the field. The ray moves no faster in the field
/// than in space times the contraction's factor across the radius. That factor decreases with the radius: as long as
/// the ray moves by no more than half its current radius, it is at most its value at half that radius.
GF_FN float bent_skip(const MarchArgs& a, float t, const float p[3], const float q[3], const uint32_t cell[3], uint32_t size) {
    float gap = 1.0f;
    for (int k = 0; k < 3; ++k) {
        const uint32_t low = cell[k] & ~(size - 1);
        const float place = q[k] * (float)a.resolution;
        gap = min_of(gap, min_of(place - (float)low, (float)(low + size) - place) / (float)a.resolution);
    }
    const float radius = ball_radius(p), half = 0.5f * radius;  // the field's side is 4 radii, the unit cube's 2
    return t + 0.5f * (half > 1.0f ? min_of(4.0f * gap / contraction_factor(half), half) : 4.0f * gap);
}

/// Returns the number along one axis of the cell that contains the coordinate.
GF_FN uint32_t cell_along(const MarchArgs& a, float p, float corner, float per_unit) {
    return (uint32_t)(int32_t)clamp_to((p - corner) * per_unit, 0.0f, (float)(a.resolution - 1));
}

/// Returns the index of the block of 4 x 4 x 4 cells that holds a cell, which is that of its word in the occupancy grid.
GF_FN uint32_t block_of(const MarchArgs& a, const uint32_t cell[3], uint32_t cascade) {
    const uint32_t blocks = a.resolution / 4;
    return (cell[0] >> 2) + blocks * ((cell[1] >> 2) + blocks * ((cell[2] >> 2) + blocks * cascade));
}

/// Returns the index of a cell within its block, which is that of its bit in the word.
GF_FN uint32_t cell_in_block(const uint32_t cell[3]) { return (cell[0] & 3u) | (cell[1] & 3u) << 2 | (cell[2] & 3u) << 4; }

/// Returns whether the point is in an occupied cell. If not, sets `skip_to` to where the ray leaves the empty region
/// around it: a cell, a block of 4^3 cells or a group of 4^3 blocks.
GF_FN bool occupied(const MarchArgs& a, const MarchRay& ray, float t, const float in_space[3], float dt, float& skip_to) {
    const bool contracted = a.space.map == SPACE_CONTRACTION;
    float p[3] = {in_space[0], in_space[1], in_space[2]};
    if (contracted) contract(in_space, p);
    const uint32_t cascade = contracted ? 0u : cascade_of(a, p, dt);
    const float side = (float)(1u << cascade), cell_size = side / (float)a.resolution;
    const float per_unit = (float)a.resolution / side, corner = 0.5f - 0.5f * side;
    uint32_t cell[3];
    for (int k = 0; k < 3; ++k) cell[k] = cell_along(a, p[k], corner, per_unit);

    const uint32_t groups = a.resolution / 16;
    const uint64_t group =
        a.occupied_blocks[(cell[0] >> 4) + groups * ((cell[1] >> 4) + groups * ((cell[2] >> 4) + groups * cascade))];
    // In coarse cascades, a group is skipped as a whole only if no group reaches into the finer cascade.
    uint32_t size = cascade == 0 || a.resolution % 64 == 0 ? 16 : 4;
    if (group != 0) {
        size = 4;  // resolutions are multiples of 16: no block reaches into a finer cascade
        if ((group >> ((cell[0] >> 2 & 3u) | (cell[1] >> 2 & 3u) << 2 | (cell[2] >> 2 & 3u) << 4)) & 1u) {
            if ((a.occupancy[block_of(a, cell, cascade)] >> cell_in_block(cell)) & 1u) return true;
            size = 1;
        }
    }
    if (contracted) {
        skip_to = bent_skip(a, t, in_space, p, cell, size);
        return false;
    }
    skip_to = 1e30f;
    for (int k = 0; k < 3; ++k) {
        if (ray.direction[k] == 0.0f) continue;  // never reaches a face
        const uint32_t low = cell[k] & ~(size - 1);
        const float face = corner + (float)(int32_t)(ray.direction[k] > 0.0f ? low + size : low) * cell_size;
        skip_to = min_of(skip_to, (face - ray.origin[k]) * ray.inverse[k]);
    }
    skip_to = max_of(skip_to, t);
    return false;
}

}  // namespace
