// Kernel functions phi: the weight of an active node at a point.
#pragma once
#include "core/target.cuh"

namespace {

/// Returns whether the kernel function is the multiplicative Fourier adaptive one.
GF_FN bool is_mulfa(uint32_t kernel) { return kernel >= KERNEL_MULFA_PAPER && kernel <= KERNEL_MULFA_MODULATED; }

/// Returns the profile along one axis: the weight of the upper node at fraction f of the cell.
template <typename T> GF_FN T profile(uint32_t kernel, T f) {
    return kernel == KERNEL_SMOOTHSTEP ? f * f * ((T)3 - (T)2 * f) : f;
}

template <typename T> GF_FN T profile_derivative(uint32_t kernel, T f) {
    return kernel == KERNEL_SMOOTHSTEP ? (T)6 * f * ((T)1 - f) : (T)1;
}

/// Returns phi of one corner from the profiles along the axes.
template <typename T, int D> GF_FN T corner_weight(const T upper[D], uint32_t corner) {
    T weight = (T)1;
    GF_UNROLL
    for (int k = 0; k < D; ++k) weight *= ((corner >> k) & 1u) ? upper[k] : (T)1 - upper[k];
    return weight;
}

/// Returns d phi / d profile along one axis.
template <typename T, int D> GF_FN T corner_weight_derivative(const T upper[D], uint32_t corner, int axis) {
    T weight = ((corner >> axis) & 1u) ? (T)1 : (T)-1;
    GF_UNROLL
    for (int k = 0; k < D; ++k)
        if (k != axis) weight *= ((corner >> k) & 1u) ? upper[k] : (T)1 - upper[k];
    return weight;
}

}  // namespace
