// Pictures of the occupancy grid: what rays meet of it, as boxes.
#include "args.h"
#include "radiance/cells.cuh"

namespace {

/// How far past a face a ray is looked at, in cells, so that rounding does not put it back before the face.
#define GF_PAST_FACE 1e-3f
/// Fraction of a step by which a ray moves on in a contracted space, where faces are not planes.
#define GF_BENT_STRIDE 0.1f
/// Width of the lines along the edges of a cell, in cells.
#define GF_EDGE 0.04f

/// A point of a ray in the occupancy grid: its cascade, and its coordinates there in cells.
struct Met {
    uint32_t cascade;
    float place[3];
};

GF_FN Met met_at(const MarchArgs& a, const float in_space[3], float dt) {
    const bool contracted = a.space.map == SPACE_CONTRACTION;
    float p[3] = {in_space[0], in_space[1], in_space[2]};
    if (contracted) contract(in_space, p);
    Met met;
    met.cascade = contracted ? 0u : cascade_of(a, p, dt);
    const float side = (float)(1u << met.cascade);
    for (int k = 0; k < 3; ++k)
        met.place[k] = clamp_to((p[k] - 0.5f + 0.5f * side) * (float)a.resolution / side, 0.0f, (float)a.resolution);
    return met;
}

/// Returns the optical thickness of a step in the cell, as the grid remembers it.
GF_FN float thickness(const OccupancyRaysArgs& a, const Met& met) {
    uint32_t cell[3];
    for (int k = 0; k < 3; ++k) cell[k] = min_of((uint32_t)(int32_t)met.place[k], a.march.resolution - 1);
    return a.value[64 * (size_t)block_of(a.march, cell, met.cascade) + cell_in_block(cell)];
}

/// Returns the size of a pixel at the point at t, in cells.
GF_FN float pixel_in_cells(const OccupancyRaysArgs& a, const Met& met, const float p[3], float t) {
    const float cells = (float)a.march.resolution / (float)(1u << met.cascade);
    if (a.march.space.map == SPACE_NDC) return a.pixel * a.march.space.scale[0] * cells;
    const float factor = a.march.space.map == SPACE_CONTRACTION ? 0.5f * contraction_factor(ball_radius(p)) : 1.0f;
    return a.pixel * t * factor * cells;
}

/// Sets the colour of a cell's face: blue for cells that are hardly occupied, yellow for those in which a step is
/// opaque; the three axes have three brightnesses, and edges are dark where cells are larger than a few pixels.
GF_FN void shade(const OccupancyRaysArgs& a, const Met& met, float pixel, float color[3]) {
    float to_face[3];
    for (int k = 0; k < 3; ++k) {
        const float within = met.place[k] - floorf(met.place[k]);
        to_face[k] = min_of(within, 1.0f - within);
    }
    // The ray has just crossed the nearest face; the edge is where the next one is near too, at the second smallest.
    const uint32_t axis = to_face[0] < to_face[1] ? (to_face[0] < to_face[2] ? 0u : 2u) : (to_face[1] < to_face[2] ? 1u : 2u);
    const float edge = max_of(min_of(to_face[0], to_face[1]), min_of(max_of(to_face[0], to_face[1]), to_face[2]));
    const float width = GF_EDGE + pixel, along = clamp_to(edge / width, 0.0f, 1.0f);
    const float strength = clamp_to(1.5f - 5.0f * pixel, 0.0f, 0.7f);
    const float light = (axis == 0 ? 0.8f : axis == 1 ? 0.62f : 1.0f) * (1.0f - strength * (1.0f - along * along));
    const float opaque = sqrtf(1.0f - expf(-max_of(thickness(a, met), 0.0f)));
    const float thin[3] = {0.27f, 0.45f, 0.95f}, thick[3] = {1.0f, 0.80f, 0.38f};
    for (int k = 0; k < 3; ++k) color[k] = light * (thin[k] + opaque * (thick[k] - thin[k]));
}

}  // namespace

// One item per ray of a rendered image: the first occupied cell that it meets, as an opaque surface.
GF_ITEM_KERNEL(occupancy_rays, OccupancyRaysArgs) {
    const RayBatch& rays = a.march.rays;
    const size_t n = rays.capacity;
    float t = rays.t[i];
    if (!(t >= 0.0f)) return;
    rays.t[i] = -1.0f;
    const MarchRay ray = march_ray(rays, i);
    while (t < ray.t_end) {
        const float dt = step_at(a.march.steps, t);
        float point[3], skip_to;
        for (int k = 0; k < 3; ++k) point[k] = clamp_to(ray.origin[k] + t * ray.direction[k], -1e6f, 1e6f);
        if (occupied(a.march, ray, t, point, dt, skip_to)) {
            const Met met = met_at(a.march, point, dt);
            float color[3];
            shade(a, met, pixel_in_cells(a, met, point, t), color);
            for (int k = 0; k < 3; ++k) rays.color[k * n + i] = color[k];
            rays.depth[i] = t;
            rays.transmittance[i] = 0.0f;
            return;
        }
        const bool contracted = a.march.space.map == SPACE_CONTRACTION;
        const float past = contracted ? GF_BENT_STRIDE * dt : GF_PAST_FACE / (float)a.march.resolution;
        t = contracted ? max_of(skip_to, t + past) : skip_to + max_of(past, 4e-7f * skip_to);
    }
}
