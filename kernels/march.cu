// Marching: steps of a ray through occupied space become samples.
//
// The occupancy field holds a bit a cell, in words of 4 x 4 x 4 cells; an empty word is skipped in one stride, an empty
// cell of another in one smaller. Steps lie on a lattice begun at the ray's jittered entry, so that skipping changes which
// samples are taken and never where they lie. Cascade m covers the cube of side 2^m around the unit cube's centre.
#include "args.h"
#include "target.cuh"

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

GF_FN float step_at(const MarchArgs& a, float t) {
    return clamp_to(t * a.cone_angle, a.step_size, a.max_step_size);
}

/// The smallest cascade that holds the point and whose cells are no smaller than the step.
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

/// True where the point is in an occupied cell; else `skip_to` is where the ray leaves the empty cell or block.
GF_FN bool occupied(const MarchArgs& a, const MarchRay& ray, float t, const float p[3], float dt, float& skip_to) {
    const uint32_t cascade = cascade_of(a, p, dt);
    const float per_unit = (float)a.resolution / (float)(1u << cascade);  // cells per unit of length
    const float corner = 0.5f - 0.5f * (float)(1u << cascade);
    uint32_t cell[3];
    for (int k = 0; k < 3; ++k)
        cell[k] = (uint32_t)clamp_to((p[k] - corner) * per_unit, 0.0f, (float)(a.resolution - 1));
    const uint32_t blocks = a.resolution / 4;
    const uint32_t word_index =
        (cell[0] >> 2) + blocks * ((cell[1] >> 2) + blocks * ((cell[2] >> 2) + blocks * cascade));
    const uint64_t word = a.occupancy[word_index];
    if ((word >> ((cell[0] & 3u) | (cell[1] & 3u) << 2 | (cell[2] & 3u) << 4)) & 1u) return true;
    // A block may be skipped whole where none reaches into the finer cascade.
    const uint32_t size = word == 0 && (cascade == 0 || a.resolution % 16 == 0) ? 4u : 1u;
    skip_to = 1e30f;
    for (int k = 0; k < 3; ++k) {
        if (ray.direction[k] == 0.0f) continue;  // never reaches a face
        const uint32_t low = cell[k] / size * size;
        const float face = corner + (float)(ray.direction[k] > 0.0f ? low + size : low) / per_unit;
        skip_to = min_of(skip_to, (face - ray.origin[k]) * ray.inverse[k]);
    }
    skip_to = max_of(skip_to, t);
    return false;
}

/// Visits up to max_steps samples from t on, as visit(t of the middle, dt, point); returns where the next step begins,
/// or -1 past the end of the ray. A step belongs to the ray while its middle does.
template <typename Visit> GF_FN float march(const MarchArgs& a, const MarchRay& ray, float t, Visit visit) {
    uint32_t n = 0;
    for (;;) {
        const float dt = step_at(a, t), middle = t + 0.5f * dt;
        if (!(middle < ray.t_end)) return -1.0f;
        if (n == a.max_steps) return t;
        float p[3], skip_to;
        for (int k = 0; k < 3; ++k) p[k] = clamp_to(ray.origin[k] + middle * ray.direction[k], -1e6f, 1e6f);
        if (occupied(a, ray, middle, p, dt, skip_to)) {
            visit(n++, middle, dt, p);
            t += dt;
        } else if (a.cone_angle == 0.0f) {
            t += max_of(1.0f, ceilf((skip_to - middle) / dt)) * dt;
        } else {
            do t += step_at(a, t);
            while (t + 0.5f * step_at(a, t) < skip_to);
        }
    }
}

/// From the unit cube's coordinates to those of the field, in which the box of all cascades is [0, 1]^3.
GF_FN float field_coordinate(const MarchArgs& a, float p) {
    const float scale = 1.0f / (float)(1u << (a.cascades - 1));
    return clamp_to(p * scale + (0.5f - 0.5f * scale), 0.0f, 1.0f);
}

}  // namespace

// One item a ray: the samples of one round, appended to the chunk's.
GF_WARP_KERNEL(march_rays, MarchArgs) {
    (void)j;
    const bool alive = i < a.rays.n_rays && a.rays.t[i] >= 0.0f;
    uint32_t n = 0;
    MarchRay ray;
    if (alive) ray = march_ray(a.rays, i);
    const float begin = alive ? a.rays.t[i] : 0.0f;
    if (alive) march(a, ray, begin, [&](uint32_t, float, float, const float*) { ++n; });
    const uint32_t first = reserve(&a.samples.count[a.round + 1], n);
    if (!alive) return;
    const bool fits = first + n <= a.samples.capacity;
    const float next = march(a, ray, begin, [&](uint32_t k, float t, float dt, const float p[3]) {
        const uint32_t s = first + k;
        if (s >= a.samples.capacity) return;
        for (int c = 0; c < 3; ++c) a.samples.position[3 * (size_t)s + c] = field_coordinate(a, p[c]);
        a.samples.t[s] = t;
        a.samples.dt[s] = fits ? dt : 0.0f;
        a.samples.ray[s] = i;
    });
    a.rays.t[i] = fits ? next : -2.0f;
    a.rays.segment_begin[a.round * (size_t)a.rays.capacity + i] = first;
    a.rays.segment_count[a.round * (size_t)a.rays.capacity + i] =
        fits ? n : (first < a.samples.capacity ? a.samples.capacity - first : 0u);
    // A ray that marched to its end within this round still has these samples to composite: t = -1 says that no more come.
}
