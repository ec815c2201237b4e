// Compositing kernels: forward round by round, then loss and gradient of the finished rays. One item a ray.
#include "args.h"
#include "composite.cuh"

namespace {

/// Huber loss of one channel, scaled so that its slope is 1 beyond delta; returns the loss, sets its derivative.
GF_FN float huber(float difference, float delta, float& slope) {
    slope = clamp_to(difference / delta, -1.0f, 1.0f);
    const float size = fabsf(difference);
    return size <= delta ? 0.5f * size * size / delta : size - 0.5f * delta;
}

GF_FN void load3(const float* from, size_t s, float to[3]) {
    for (int c = 0; c < 3; ++c) to[c] = from[3 * s + c];
}

}  // namespace

GF_ITEM_KERNEL(composite_rays, CompositeArgs) {
    (void)j;
    const size_t n = a.rays.capacity;
    if (i == 0) a.samples.count[a.round + 2] = a.samples.count[a.round + 1] =
        min_of(a.samples.count[a.round + 1], a.samples.capacity);
    const uint32_t count = a.rays.segment_count[a.round * n + i];
    if (count == 0) return;
    const uint32_t first = a.rays.segment_begin[a.round * n + i];
    Composite<float> composite = {a.rays.transmittance[i], {a.rays.color[i], a.rays.color[n + i], a.rays.color[2 * n + i]},
                                  a.rays.depth[i]};
    for (uint32_t s = first; s < first + count && composite.transmittance >= a.stop_transmittance; ++s) {
        float color[3];
        load3(a.samples.color, s, color);
        composite.add(a.samples.density[s], color, a.samples.dt[s], a.samples.t[s]);
    }
    if (composite.transmittance < a.stop_transmittance && a.rays.t[i] >= 0.0f) a.rays.t[i] = -1.0f;
    for (int c = 0; c < 3; ++c) a.rays.color[c * n + i] = composite.color[c];
    a.rays.depth[i] = composite.depth;
    a.rays.transmittance[i] = composite.transmittance;
}

GF_ITEM_KERNEL(composite_backward, CompositeArgs) {
    (void)j;
    const size_t n = a.rays.capacity;
    const bool dropped = a.rays.t[i] == -2.0f;
    float final_color[3], dL_dpixel[3], loss = 0.0f, squared_error = 0.0f;
    for (int c = 0; c < 3; ++c) {
        const float background = a.rays.background[c * n + i], alpha = a.rays.target[3 * n + i];
        final_color[c] = a.rays.color[c * n + i] + a.rays.transmittance[i] * background;
        const float difference = final_color[c] - (a.rays.target[c * n + i] * alpha + background * (1.0f - alpha));
        float slope;
        loss += huber(difference, a.huber_delta, slope) * (1.0f / 3.0f);
        squared_error += difference * difference * (1.0f / 3.0f);
        dL_dpixel[c] = dropped ? 0.0f : slope * (1.0f / 3.0f);
    }
    a.rays.loss[i] = dropped ? 0.0f : loss;
    a.rays.squared_error[i] = dropped ? 0.0f : squared_error;

    Composite<float> composite = {1.0f, {0.0f, 0.0f, 0.0f}, 0.0f};
    for (uint32_t round = 0; round < a.round; ++round) {
        const uint32_t count = a.rays.segment_count[round * n + i], first = a.rays.segment_begin[round * n + i];
        for (uint32_t s = first; s < first + count; ++s) {
            // Samples evaluated past the stop had no part in the colour.
            const bool counted = composite.transmittance >= a.stop_transmittance;
            float color[3];
            load3(a.samples.color, s, color);
            const float density = a.samples.density[s], dt = a.samples.dt[s];
            const float weight = counted ? composite.add(density, color, dt, a.samples.t[s]) : 0.0f;
            const float dL_ddensity = counted ? density_gradient(composite, final_color, color, dt, dL_dpixel) : 0.0f;
            a.samples.dL_ddensity[s] = dL_ddensity * density;  // through exp
            for (int c = 0; c < 3; ++c)                         // through the logistic
                a.samples.dL_dcolor[3 * (size_t)s + c] = weight * dL_dpixel[c] * color[c] * (1.0f - color[c]);
        }
    }
}

// A whole ray in fp64, for comparison with the oracle.
GF_ITEM_KERNEL(composite_ray_f64, CompositeRayArgs) {
    (void)i, (void)j;
    Composite<double> composite = {1.0, {0.0, 0.0, 0.0}, 0.0};
    for (uint32_t s = 0; s < a.n; ++s) a.weights[s] = composite.add(a.density[s], a.color + 3 * s, a.dt[s], a.t[s]);
    for (int c = 0; c < 3; ++c) a.pixel[c] = composite.color[c] + composite.transmittance * a.background[c];
    a.pixel[3] = composite.depth;
    a.pixel[4] = 1.0 - composite.transmittance;
    a.pixel[5] = composite.transmittance;
    composite = {1.0, {0.0, 0.0, 0.0}, 0.0};
    for (uint32_t s = 0; s < a.n; ++s) {
        const double* color = a.color + 3 * s;
        const double weight = composite.add(a.density[s], color, a.dt[s], a.t[s]);
        a.dL_ddensity[s] = density_gradient(composite, a.pixel, color, a.dt[s], a.dL_dcolor);
        for (int c = 0; c < 3; ++c) a.dL_dsample[3 * s + c] = weight * a.dL_dcolor[c];
    }
}

// One item GF_STATISTICS_PART rays: what a step reports.
GF_ITEM_KERNEL(ray_statistics, StatisticsArgs) {
    (void)j;
    const uint32_t begin = i * GF_STATISTICS_PART, end = min_of(begin + GF_STATISTICS_PART, a.rays.n_rays);
    float loss = 0.0f, squared_error = 0.0f;
    uint32_t dropped = 0;
    for (uint32_t ray = begin; ray < end; ++ray) {
        loss += a.rays.loss[ray];
        squared_error += a.rays.squared_error[ray];
        dropped += a.rays.t[ray] == -2.0f;
    }
    shared_add(&a.sums[0], loss);
    shared_add(&a.sums[1], squared_error);
    shared_add(&a.counts[0], end - begin);
    shared_add(&a.counts[2], dropped);
    if (i == 0) shared_add(&a.counts[1], a.samples.count[a.round]);
}
