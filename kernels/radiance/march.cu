// Ray marching: the steps of a ray through occupied space become samples.
//
// Steps lie on a lattice that starts at the ray's jittered entry, so skipping empty cells changes which samples are
// taken but never where they lie.
#include "args.h"
#include "radiance/cells.cuh"

namespace {

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
