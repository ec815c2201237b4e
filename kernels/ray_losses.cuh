// Losses of where a ray's weights lie, beside that of its colour:
//   distortion  sum_ij w_i w_j |s_i - s_j| + 1/3 sum_i w_i^2 d_i   (mip-NeRF 360, Barron et al. 2022, equation 15), which
//               draws weights together; in one pass by sums over the samples before (Sun et al., "Improved direct voxel grid
//               optimization", 2022)
//   depth       h(D - s), D = sum_i w_i s_i + T s_end, where a depth s is known; h is Huber's
// s_i is where a sample lies, d_i its length, on a scale that is even in the field. T is the transmittance at the end.
#pragma once
#include "composite.cuh"
#include "space.cuh"

namespace {

/// Huber loss, scaled so that its slope is 1 beyond delta; returns the loss, sets its derivative.
GF_FN float huber(float difference, float delta, float& slope) {
    slope = clamp_to(difference / delta, -1.0f, 1.0f);
    const float size = fabsf(difference);
    return size <= delta ? 0.5f * size * size / delta : size - 0.5f * delta;
}

/// The scale: t as it is; in a contracted space, in radii r of the unit ball, r / 2 up to 1 and beyond 1 - 1 / 2r.
GF_FN float even_distance(const Space& space, float t) {
    if (space.map != SPACE_CONTRACTION) return t;
    return t <= 0.5f ? t : 1.0f - 0.25f / t;
}

struct WeightLoss {
    float weight, place;  // of the samples so far: sum of w, sum of w s
    float bilateral, own;  // sum over pairs, and of single samples
    float by_depth;        // dL/dD

    GF_FN void add(float w, float s, float d) {
        bilateral += 2.0f * w * (s * weight - place);
        own += w * w * d * (1.0f / 3.0f);
        weight += w;
        place += w * s;
    }

    /// dL/dw of a sample, from the sums over all samples and those over the ones before it.
    GF_FN float gradient(const WeightLoss& before, float distortion, float w, float s, float d) const {
        const float pairs = s * (2.0f * before.weight + w - weight) - (2.0f * before.place + w * s - place);
        return distortion * (2.0f * pairs + (2.0f / 3.0f) * w * d) + by_depth * s;
    }

    /// sum_i w_i dL/dw_i, with the transmittance at the end as one more weight: the distortion is of degree 2 in them.
    GF_FN float total(float distortion, float transmittance, float end) const {
        return distortion * 2.0f * (bilateral + own) + by_depth * (place + transmittance * end);
    }
};

/// How much of a sample's gradient is kept: (t / near)^2 up to there, since what is near to one camera is seen by it alone and
/// far more often (Philip and Deschaintre, "Floaters no more", EGSR 2023).
GF_FN float kept_near(float near, float t) { return t < near ? (t / near) * (t / near) : 1.0f; }

}  // namespace
