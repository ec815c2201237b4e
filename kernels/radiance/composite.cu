// Compositing kernels: forward round by round, then the loss and gradients of the finished rays. One item per ray.
#include "args.h"
#include "radiance/ray_losses.cuh"

namespace {

/// Data of a sample that compositing reads.
struct Shade {
    float density, dt, t, color[3];
};

GF_FN Shade shade_of(const SampleBatch& samples, size_t s) {
    Shade shade = {samples.density[s], samples.dt[s], samples.t[s], {}};
    for (int c = 0; c < 3; ++c) shade.color[c] = samples.color[3 * s + c];
    return shade;
}

// Samples of a ray that are loaded before the first of them is needed: there are too few rays to hide a GPU's memory
// latency.
#if GF_SIMT
#define GF_AHEAD 4
#else
#define GF_AHEAD 1
#endif

/// Visits samples of a ray in order until visit(s, shade) returns false.
template <typename Visit> GF_FN void in_order(const SampleBatch& samples, uint32_t first, uint32_t end, Visit visit) {
    for (uint32_t begin = first; begin < end; begin += GF_AHEAD) {
        Shade ahead[GF_AHEAD];
        GF_UNROLL
        for (uint32_t k = 0; k < GF_AHEAD; ++k) ahead[k] = shade_of(samples, min_of(begin + k, end - 1));
        GF_UNROLL
        for (uint32_t k = 0; k < GF_AHEAD; ++k)
            if (begin + k == end || !visit(begin + k, ahead[k])) return;
    }
}

/// Visits the samples of a finished ray in order, as visit(s, shade, composite up to and including it, weight,
/// counted). Samples that were evaluated after the ray's transmittance had fallen below the stop are not counted: they
/// did not contribute to the colour.
template <typename Visit> GF_FN void visit_samples(const CompositeArgs& a, uint32_t i, Visit visit) {
    const size_t n = a.rays.capacity;
    Composite<float> composite = {1.0f, {0.0f, 0.0f, 0.0f}, 0.0f};
    for (uint32_t round = 0; round < a.round; ++round) {
        const uint32_t count = a.rays.segment_count[round * n + i], first = a.rays.segment_begin[round * n + i];
        in_order(a.samples, first, first + count, [&](uint32_t s, const Shade& at) {
            const bool counted = composite.transmittance >= a.stop_transmittance;
            const float weight = counted ? composite.add(at.density, at.color, at.dt, at.t) : 0.0f;
            visit(s, at, composite, weight, counted);
            return true;
        });
    }
}

/// Sets the position s and the length d of a sample on the scale of the losses.
GF_FN void place_of(const CompositeArgs& a, const Shade& at, float& s, float& d) {
    const float half = 0.5f * at.dt;
    s = even_distance(a.space, at.t);
    d = even_distance(a.space, at.t + half) - even_distance(a.space, at.t - half);
}

/// Returns the sums that the losses on a finished ray's weights are made of; adds these losses to `loss`.
GF_FN WeightLoss weight_loss(const CompositeArgs& a, uint32_t i, float& loss) {
    WeightLoss all = {};
    if (a.losses.distortion == 0.0f && a.losses.depth == 0.0f) return all;
    visit_samples(a, i, [&](uint32_t, const Shade& at, const Composite<float>&, float weight, bool) {
        float s, d;
        place_of(a, at, s, d);
        all.add(weight, s, d);
    });
    loss += a.losses.distortion * (all.bilateral + all.own);
    const float known = a.rays.target_t[i];
    if (a.losses.depth != 0.0f && known >= 0.0f) {
        const float end = even_distance(a.space, a.rays.t_end[i]);
        const float depth = all.place + a.rays.transmittance[i] * end;
        loss += a.losses.depth * huber(depth - even_distance(a.space, known), a.huber_delta, all.by_depth);
        all.by_depth *= a.losses.depth;
    }
    return all;
}

/// Applies the exposure of the training image to a channel, e^g c + b, and returns the gain e^g.
GF_FN float expose(const CompositeArgs& a, uint32_t i, int channel, float& color) {
    if (!a.exposure) return 1.0f;
    const float* own = a.exposure + 6 * (size_t)a.rays.camera[i];
    const float gain = expf(own[channel]);
    color = gain * color + own[3 + channel];
    return gain;
}

}  // namespace

GF_ITEM_KERNEL(composite_rays, CompositeArgs) {
    const size_t n = a.rays.capacity;
    if (i == 0) a.samples.count[a.round + 2] = a.samples.count[a.round + 1] =
        min_of(a.samples.count[a.round + 1], a.samples.capacity);
    const uint32_t count = a.rays.segment_count[a.round * n + i];
    if (count == 0) return;
    const uint32_t first = a.rays.segment_begin[a.round * n + i];
    Composite<float> composite = {a.rays.transmittance[i], {a.rays.color[i], a.rays.color[n + i], a.rays.color[2 * n + i]},
                                  a.rays.depth[i]};
    in_order(a.samples, first, first + count, [&](uint32_t, const Shade& at) {
        if (!(composite.transmittance >= a.stop_transmittance)) return false;
        composite.add(at.density, at.color, at.dt, at.t);
        return true;
    });
    if (composite.transmittance < a.stop_transmittance && a.rays.t[i] >= 0.0f) a.rays.t[i] = -1.0f;
    for (int c = 0; c < 3; ++c) a.rays.color[c * n + i] = composite.color[c];
    a.rays.depth[i] = composite.depth;
    a.rays.transmittance[i] = composite.transmittance;
}

GF_ITEM_KERNEL(composite_backward, CompositeArgs) {
    const size_t n = a.rays.capacity;
    const bool dropped = a.rays.t[i] == GF_RAY_DROPPED;
    float final_color[3], dL_dpixel[3], loss = 0.0f, squared_error = 0.0f;
    for (int c = 0; c < 3; ++c) {
        const float background = a.rays.background[c * n + i], alpha = a.rays.target[3 * n + i];
        final_color[c] = a.rays.color[c * n + i] + a.rays.transmittance[i] * background;
        float exposed = final_color[c];
        const float gain = expose(a, i, c, exposed);
        const float difference = exposed - (a.rays.target[c * n + i] * alpha + background * (1.0f - alpha));
        float slope;
        loss += huber(difference, a.huber_delta, slope) * (1.0f / 3.0f);
        squared_error += difference * difference * (1.0f / 3.0f);
        slope = dropped ? 0.0f : slope * (1.0f / 3.0f);
        dL_dpixel[c] = gain * slope;
        if (a.dL_dexposure) {
            float* own = a.dL_dexposure + 6 * (size_t)a.rays.camera[i];
            shared_add(&own[c], slope * gain * final_color[c]);
            shared_add(&own[3 + c], slope);
        }
    }
    const WeightLoss all = weight_loss(a, i, loss);
    a.rays.loss[i] = dropped ? 0.0f : loss;
    a.rays.squared_error[i] = dropped ? 0.0f : squared_error;

    const float end = even_distance(a.space, a.rays.t_end[i]);
    float rest = all.total(a.losses.distortion, a.rays.transmittance[i], end);  // sum of w dL/dw from here to the end
    WeightLoss before = {};
    uint32_t composited = 0;
    visit_samples(a, i, [&](uint32_t sample, const Shade& at, const Composite<float>& composite, float weight,
                            bool counted) {
        float dL_ddensity = 0.0f, kept = 1.0f;
        if (counted && !dropped) {
            ++composited;
            float s, d;
            place_of(a, at, s, d);
            const float dL_dweight = all.gradient(before, a.losses.distortion, weight, s, d);
            rest -= weight * dL_dweight;
            before.add(weight, s, d);
            dL_ddensity = density_gradient(composite, final_color, at.color, at.dt, dL_dpixel) +
                          at.dt * (composite.transmittance * dL_dweight - rest);
            kept = kept_near(a.losses.near, at.t);
        }
        a.samples.dL_ddensity[sample] = kept * dL_ddensity * at.density;  // derivative of exp
        for (int c = 0; c < 3; ++c)                                        // derivative of the logistic function
            a.samples.dL_dcolor[3 * (size_t)sample + c] =
                kept * weight * dL_dpixel[c] * at.color[c] * (1.0f - at.color[c]);
    });
    a.rays.composited[i] = composited;
}

// Writes the weights of the samples of finished rays to dL_ddensity, instead of gradients.
GF_ITEM_KERNEL(sample_weights, CompositeArgs) {
    const bool dropped = a.rays.t[i] == GF_RAY_DROPPED;
    visit_samples(a, i, [&](uint32_t sample, const Shade&, const Composite<float>&, float weight, bool) {
        a.samples.dL_ddensity[sample] = dropped ? 0.0f : weight;
    });
}

// One item per GF_STATISTICS_PART rays: the statistics that a training step reports.
GF_ITEM_KERNEL(ray_statistics, StatisticsArgs) {
    const uint32_t begin = i * GF_STATISTICS_PART, end = min_of(begin + GF_STATISTICS_PART, a.rays.n_rays);
    float loss = 0.0f, squared_error = 0.0f;
    uint32_t dropped = 0, composited = 0;
    for (uint32_t ray = begin; ray < end; ++ray) {
        loss += a.rays.loss[ray];
        squared_error += a.rays.squared_error[ray];
        dropped += a.rays.t[ray] == GF_RAY_DROPPED;
        composited += a.rays.composited[ray];
    }
    shared_add(&a.sums[0], loss);
    shared_add(&a.sums[1], squared_error);
    shared_add(&a.counts[0], end - begin);
    shared_add(&a.counts[2], dropped);
    shared_add(&a.counts[3], composited);
    if (i == 0) shared_add(&a.counts[1], a.samples.count[a.round]);
}
