// Losses on the distribution of a ray's compositing weights, in addition to the colour loss:
//   distortion  sum_ij w_i w_j |s_i - s_j| + 1/3 sum_i w_i^2 d_i   (mip-NeRF 360, Barron et al. 2022, equation 15);
//               pulls the weights together; computed in one pass from sums over the preceding samples (Sun et al.,
//               "Improved direct voxel grid optimization", 2022)
//   depth       h(D - s), D = sum_i w_i s_i + T s_end, where a depth s is known; h is the Huber loss
// s_i is the position of a sample and d_i its length, on a scale that is uniform in the field. T is the transmittance
// at the end of the ray.
#pragma once
#include "radiance/composite.cuh"
#include "radiance/space.cuh"

namespace {

/// Huber loss, scaled so that its slope is 1 beyond delta. Returns the loss and sets its derivative.
GF_FN float huber(float difference, float delta, float& slope) {
    slope = clamp_to(difference / delta, -1.0f, 1.0f);
    const float size = fabsf(difference);
    return size <= delta ? 0.5f * size * size / delta : size - 0.5f * delta;
}

/// Converts t to the scale of the losses: t itself; or in a contracted space, with the radius r in units of the unit
/// ball, r / 2 up to 1 and 1 - 1 / 2r beyond.
GF_FN float even_distance(const Space& space, float t) {
    if (space.map != SPACE_CONTRACTION) return t;
    return t <= 0.5f ? t : 1.0f - 0.25f / t;
}

struct WeightLoss {
    float weight, place;  // over the samples so far: sum of w, sum of w s
    float bilateral, own;  // distortion: sum over pairs, and over single samples
    float by_depth;        // dL/dD

    GF_FN void add(float w, float s, float d) {
        bilateral += 2.0f * w * (s * weight - place);
        own += w * w * d * (1.0f / 3.0f);
        weight += w;
        place += w * s;
    }

    /// Returns dL/dw of a sample, from the sums over all samples and over those before it.
    GF_FN float gradient(const WeightLoss& before, float distortion, float w, float s, float d) const {
        const float pairs = s * (2.0f * before.weight + w - weight) - (2.0f * before.place + w * s - place);
        return distortion * (2.0f * pairs + (2.0f / 3.0f) * w * d) + by_depth * s;
    }

    /// Returns sum_i w_i dL/dw_i, with the transmittance at the end as one more weight: the distortion has degree 2 in
    /// the weights.
    GF_FN float total(float distortion, float transmittance, float end) const {
        return distortion * 2.0f * (bilateral + own) + by_depth * (place + transmittance * end);
    }
};

/// Returns the fraction of a sample's gradient that is kept: (t / near)^2 up to `near`, since space close to a camera
/// is seen by that camera alone and sampled far more often (Philip and Deschaintre, "Floaters no more", EGSR 2023).
GF_FN float kept_near(float near, float t) { return t < near ? (t / near) * (t / near) : 1.0f; }

}  // namespace
