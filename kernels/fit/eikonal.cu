// The eikonal term of distance fields, which asks for gradients of length 1 (Gropp et al., IGR, ICML 2020, equation 2).
// Gradients are finite differences over the corners x + h k_c of a tetrahedron around x, as in Neuralangelo (Li et al.,
// CVPR 2023, section 3.1):
//   grad f(x) = 1 / (4 h) sum_c k_c f(x + h k_c),  k = (1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)
#include "args.h"
#include "core/target.cuh"

namespace {

/// Returns coordinate k of corner c: 1 or -1.
GF_FN float corner_sign(int c, int k) { return c == 0 || c == k + 1 ? 1.0f : -1.0f; }

}  // namespace

// One item per stencil: the positions of its corners. The centres are points with a target, spread evenly over those of
// the chunk so that all kinds of points have their share, and moved away from the faces of the unit cube until the
// corners are inside.
GF_ITEM_KERNEL(eikonal_points, EikonalArgs) {
    const uint64_t middle = (uint64_t)i * a.n_with_target / a.n_stencils;
    for (int k = 0; k < 3; ++k) {
        const float x = clamp_to(a.position[3 * middle + k], a.step, 1.0f - a.step);
        for (int c = 0; c < 4; ++c) {
            const size_t at = a.n_with_target + 4 * (size_t)i + c;
            a.position[3 * at + k] = x + corner_sign(c, k) * a.step;
        }
    }
}

// One item per stencil: its loss (|g| - 1)^2, which continues along its tangent beyond |g| = 2, and the gradient with
// respect to the values at its corners. Steep places are rare, but with a plain square they would dominate the step,
// and their gradients would not fit fp16.
GF_ITEM_KERNEL(eikonal_loss, EikonalArgs) {
    const size_t first = a.n_with_target + 4 * (size_t)i;
    const float* f = a.output + first;
    const float per_step = 0.25f / a.step;
    float g[3];
    for (int k = 0; k < 3; ++k) {
        // The signs sum to zero, so the first corner's value can be subtracted from all, which preserves the
        // precision of the differences.
        float sum = 0.0f;
        for (int c = 1; c < 4; ++c) sum += corner_sign(c, k) * (f[c] - f[0]);
        g[k] = per_step * sum;
    }
    const float length = sqrtf(g[0] * g[0] + g[1] * g[1] + g[2] * g[2]);
    const float error = length - 1.0f, held = min_of(error, 1.0f);
    const float loss = a.weight * held * (2.0f * error - held);
    // A flat stencil has no direction to grow in, so its gradient is zero.
    const float slope = length > 0.0f ? a.scale * a.weight * 2.0f * held / length * per_step : 0.0f;
    for (int c = 0; c < 4; ++c) {
        float along = 0.0f;
        for (int k = 0; k < 3; ++k) along += corner_sign(c, k) * g[k];
        a.dL_doutput[first + c] = slope * along;
        a.loss[first + c] = 0.25f * loss;
        a.squared_error[first + c] = 0.0f;
    }
}
