// Ray marching: the steps of a ray through occupied space become samples.
//
// The occupancy grid holds one bit per cell, in words of 4 x 4 x 4 cells, and above it one bit per such word that is
// not empty, again in words of 4 x 4 x 4. Empty space is skipped in strides of 16, 4 or 1 cells. Steps lie on a lattice
// that starts at the ray's jittered entry, so skipping changes which samples are taken but never where they lie.
// Cascade m covers the cube of side 2^m around the unit cube's centre; a contracted space has a single grid, which
// covers the field.
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
    for (int k = 0; k < 3; ++k)
        cell[k] = (uint32_t)(int32_t)clamp_to((p[k] - corner) * per_unit, 0.0f, (float)(a.resolution - 1));

    const uint32_t blocks = a.resolution / 4, groups = a.resolution / 16;
    const uint64_t group =
        a.occupied_blocks[(cell[0] >> 4) + groups * ((cell[1] >> 4) + groups * ((cell[2] >> 4) + groups * cascade))];
    // In coarse cascades, a group is skipped as a whole only if no group reaches into the finer cascade.
    uint32_t size = cascade == 0 || a.resolution % 64 == 0 ? 16 : 4;
    if (group != 0) {
        size = 4;  // resolutions are multiples of 16: no block reaches into a finer cascade
        if ((group >> ((cell[0] >> 2 & 3u) | (cell[1] >> 2 & 3u) << 2 | (cell[2] >> 2 & 3u) << 4)) & 1u) {
            const uint64_t block =
                a.occupancy[(cell[0] >> 2) + blocks * ((cell[1] >> 2) + blocks * ((cell[2] >> 2) + blocks * cascade))];
            if ((block >> ((cell[0] & 3u) | (cell[1] & 3u) << 2 | (cell[2] & 3u) << 4)) & 1u) return true;
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

/// A step of a ray: its start, middle and length, the point in the middle, whether that point is occupied and, if not,
/// where the empty region ends.
struct Step {
    float t, middle, dt, point[3], skip_to;
    bool inside, taken;
};

/// Builds the step that starts at t. A step belongs to the ray if its middle does.
GF_FN Step step_from(const MarchArgs& a, const MarchRay& ray, float t) {
    Step step;
    step.t = t;
    step.dt = step_at(a.steps, t);
    step.middle = t + 0.5f * step.dt;
    step.inside = step.middle < ray.t_end;
    step.taken = false;
    if (!step.inside) return step;
    for (int k = 0; k < 3; ++k) step.point[k] = clamp_to(ray.origin[k] + step.middle * ray.direction[k], -1e6f, 1e6f);
    step.taken = occupied(a, ray, step.middle, step.point, step.dt, step.skip_to);
    return step;
}

/// Returns the start of the next step after this one that may be occupied.
GF_FN float after(const MarchArgs& a, const Step& step) {
    if (step.taken) return step.t + step.dt;
    if (a.steps.cone_angle == 0.0f)
        return step.t + max_of(1.0f, ceilf((step.skip_to - step.middle) * (1.0f / a.steps.size))) * step.dt;
    float t = step.t;
    do t += step_at(a.steps, t);
    while (t + 0.5f * step_at(a.steps, t) < step.skip_to);
    return t;
}

/// Visits up to max_steps occupied steps from t on, as visit(number, step), and returns how many there were. Sets
/// `next` to the start of the step after them, or to -1 past the end of the ray.
#if GF_SIMT
/// The lanes of a warp test 32 steps of the lattice at a time.
template <typename Visit> GF_FN uint32_t march(const MarchArgs& a, const MarchRay& ray, float t, float& next, Visit visit) {
    const uint32_t lane = lane_of_warp();
    uint32_t n = 0;
    for (;;) {
        float own = t + (float)lane * a.steps.size;
        if (a.steps.cone_angle != 0.0f) {
            own = t;
            for (uint32_t k = 0; k < lane; ++k) own += step_at(a.steps, own);
        }
        const Step step = step_from(a, ray, own);
        const uint32_t taken = __ballot_sync(GF_ALL_LANES, step.taken);
        const uint32_t number = n + __popc(taken & ((1u << lane) - 1u));
        if (step.taken && number < a.max_steps) visit(number, step);
        n += __popc(taken);
        // The lane with the last step of the round, or else the last lane, knows where to continue.
        const uint32_t fills = __ballot_sync(GF_ALL_LANES, step.taken && number + 1 == a.max_steps);
        if (!fills && __ballot_sync(GF_ALL_LANES, !step.inside)) {
            next = -1.0f;
            return n;
        }
        const uint32_t last = fills ? __popc(fills - 1u) : 31u;
        t = __shfl_sync(GF_ALL_LANES, lane == last ? after(a, step) : 0.0f, last);
        if (fills) {
            next = t + 0.5f * step_at(a.steps, t) < ray.t_end ? t : -1.0f;
            return a.max_steps;
        }
    }
}
#else
template <typename Visit> GF_FN uint32_t march(const MarchArgs& a, const MarchRay& ray, float t, float& next, Visit visit) {
    for (uint32_t n = 0;;) {
        const Step step = step_from(a, ray, t);
        if (!step.inside || n == a.max_steps) {
            next = step.inside ? t : -1.0f;
            return n;
        }
        if (step.taken) visit(n++, step);
        t = after(a, step);
    }
}
#endif

/// Converts coordinates of the unit cube to those of the field, in which the box of all cascades is [0, 1]^3.
GF_FN void field_point(const MarchArgs& a, const float p[3], float q[3]) {
    if (a.space.map == SPACE_CONTRACTION) return contract(p, q);
    const float scale = 1.0f / (float)(1u << (a.cascades - 1));
    for (int k = 0; k < 3; ++k) q[k] = clamp_to(p[k] * scale + (0.5f - 0.5f * scale), 0.0f, 1.0f);
}

}  // namespace

// One item per ray: the samples of one round, appended to those of the chunk.
GF_WARP_KERNEL(march_rays, MarchArgs) {
    const float begin = a.rays.t[i];
    if (!(begin >= 0.0f)) return;
    const MarchRay ray = march_ray(a.rays, i);
    float next;
    const auto write = [&](uint32_t s, const Step& step) {
        if (s >= a.samples.capacity) return;
        field_point(a, step.point, a.samples.position + 3 * (size_t)s);
        a.samples.t[s] = step.middle;
        const bool contracted = a.space.map == SPACE_CONTRACTION;
        a.samples.dt[s] = contracted ? step.dt * contraction_slope(ball_radius(step.point)) : step.dt;
        a.samples.ray[s] = i;
    };
#if GF_SIMT
    // Count, reserve places, then march again to fill them, so that the samples of a ray are contiguous.
    const uint32_t n = march(a, ray, begin, next, [](uint32_t, const Step&) {});
    const uint32_t first = reserve(&a.samples.count[a.round + 1], n);
    if (n != 0) march(a, ray, begin, next, [&](uint32_t k, const Step& step) { write(first + k, step); });
#else
    // A host thread marches one ray at a time, so the place of the samples is known before their number is.
    const uint32_t first = a.samples.count[a.round + 1];
    const uint32_t n = march(a, ray, begin, next, [&](uint32_t k, const Step& step) { write(first + k, step); });
    reserve(&a.samples.count[a.round + 1], n);
#endif
    const bool fits = first + n <= a.samples.capacity;
    // A ray whose samples do not fit keeps none of them: those it has written get length zero.
    if (!fits)
        for (uint32_t s = first + lane_of_warp(); s < a.samples.capacity; s += GF_WARP) a.samples.dt[s] = 0.0f;
    a.rays.t[i] = fits ? next : GF_RAY_DROPPED;
    a.rays.segment_begin[a.round * (size_t)a.rays.capacity + i] = first;
    a.rays.segment_count[a.round * (size_t)a.rays.capacity + i] =
        fits ? n : (first < a.samples.capacity ? a.samples.capacity - first : 0u);
}
