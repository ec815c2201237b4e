// Compositing: the samples of a ray become a colour (Max 1995; NeRF, equation 3); forward and backward.
//
//   alpha_i = 1 - exp(-sigma_i dt_i),  T_i = prod_{j < i} (1 - alpha_j),  w_i = T_i alpha_i
//   C = sum_i w_i c_i + T_end background
#pragma once
#include "core/target.cuh"

namespace {

template <typename T> struct Composite {
    T transmittance;
    T color[3];
    T depth;

    /// Adds a sample and returns its weight.
    GF_FN T add(T density, const T sample_color[3], T dt, T t) {
        const T kept = exponential(-density * dt);
        const T weight = transmittance * ((T)1 - kept);
        for (int c = 0; c < 3; ++c) color[c] += weight * sample_color[c];
        depth += weight * t;
        transmittance *= kept;
        return weight;
    }
};

/// Returns the gradient with respect to the density of a sample, given the composite up to and including it and the
/// final colour over the background:
///   dL/dsigma_i = dt_i <g, T_{i+1} c_i - (C - sum_{j <= i} w_j c_j)>,  dL/dc_i = w_i g,  g = dL/dC.
template <typename T>
GF_FN T density_gradient(const Composite<T>& so_far, const T final_color[3], const T sample_color[3], T dt,
                         const T dL_dcolor[3]) {
    T sum = (T)0;
    for (int c = 0; c < 3; ++c)
        sum += dL_dcolor[c] *
               (so_far.transmittance * sample_color[c] - (final_color[c] - so_far.color[c]));
    return dt * sum;
}

}  // namespace
