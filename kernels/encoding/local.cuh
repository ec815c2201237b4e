// The local kernel function: one per level and feature, learned, in units of nodes.
//
// With d = u - p, the position relative to a node in units of the level's cells (|d_j| <= 1 inside the node's support),
//     phi_lk(d) = prod_j (1 - |d_j|) m_lkj(d_j)
//     m_lkj(d)  = a0_lkj + sum_{q = 1 .. K} a^q_lkj cos(q pi d) + b^q_lkj sin(q pi d).
// The window 1 - |d| makes phi continuous. With a0 = 1 and all else 0 it is the linear kernel. K = 0 leaves one amplitude
// per level, feature and axis. The coefficients are theta [L, D, 1 + 2 K, F], in the order a0, a1, b1, a2, b2.
//
// Inside a cell with fraction f along an axis, the lower node has d = f and the upper one d = f - 1, at which cosine and
// sine of q pi d are those of q pi f times (-1)^q. Splitting m into its even and odd frequencies,
//     even = a0 + a2 cos 2 pi f + b2 sin 2 pi f,    odd = a1 cos pi f + b1 sin pi f,
// the factors of the two nodes are (1 - f) (even + odd) and f (even - odd).
#pragma once
#include "encoding/index.cuh"
#include "core/sincos.cuh"

namespace {

GF_FN constexpr uint32_t local_terms(uint32_t n_frequencies) { return 1 + 2 * n_frequencies; }

/// Fractions of a cell, and the values of the terms besides a0 at them.
template <typename T, int D, int K> struct LocalBasis {
    T fraction[D];
    T term[D][2 * K + 1];  // cos pi f, sin pi f, cos 2 pi f, sin 2 pi f; the last is unused
};

template <typename T, int D, int K> GF_FN LocalBasis<T, D, K> local_basis(const T fraction[D]) {
    LocalBasis<T, D, K> basis;
    GF_UNROLL
    for (int j = 0; j < D; ++j) {
        basis.fraction[j] = fraction[j];
        if (K == 0) continue;
        T sine, cosine;
        sin_cos_pi(fraction[j], sine, cosine);
        basis.term[j][0] = cosine;
        basis.term[j][K > 0 ? 1 : 0] = sine;
        if (K < 2) continue;
        basis.term[j][K > 1 ? 2 : 0] = (T)1 - (T)2 * sine * sine;
        basis.term[j][K > 1 ? 3 : 0] = (T)2 * sine * cosine;
    }
    return basis;
}

/// Factors of the lower and the upper node along each axis, of B features.
template <typename T, int D, int B> struct LocalFactors {
    T value[D][2][B];

    GF_FN T phi(uint32_t corner, int k) const {
        T weight = value[0][corner & 1u][k];
        GF_UNROLL
        for (int j = 1; j < D; ++j) weight *= value[j][(corner >> j) & 1u][k];
        return weight;
    }

    /// Returns d phi / d factor of the corner along one axis.
    GF_FN T phi_without(uint32_t corner, int axis, int k) const {
        T weight = (T)1;
        GF_UNROLL
        for (int j = 0; j < D; ++j)
            if (j != axis) weight *= value[j][(corner >> j) & 1u][k];
        return weight;
    }
};

/// Computes the factors of B features from the coefficients [D, 1 + 2 K, F] of a level, `theta` at the first of them.
template <typename T, int D, int F, int K, int B, typename Stored>
GF_FN LocalFactors<T, D, B> local_factors(const LocalBasis<T, D, K>& basis, const Stored* theta) {
    LocalFactors<T, D, B> factors;
    GF_UNROLL
    for (int j = 0; j < D; ++j) {
        const Stored* own = theta + j * local_terms(K) * F;
        const T f = basis.fraction[j];
        GF_UNROLL
        for (int k = 0; k < B; ++k) {
            T even = (T)own[k], odd = (T)0;
            if (K >= 1) odd = (T)own[F + k] * basis.term[j][0] + (T)own[2 * F + k] * basis.term[j][K > 0 ? 1 : 0];
            if (K >= 2)
                even += (T)own[3 * F + k] * basis.term[j][K > 1 ? 2 : 0] + (T)own[4 * F + k] * basis.term[j][K > 1 ? 3 : 0];
            factors.value[j][0][k] = ((T)1 - f) * (even + odd);
            factors.value[j][1][k] = f * (even - odd);
        }
    }
    return factors;
}

/// Converts the gradients with respect to the factors along axis j into those with respect to the axis's coefficients,
/// add(term, k, gradient).
template <typename T, int D, int K, int B, typename Add>
GF_FN void local_coefficient_gradients(const LocalBasis<T, D, K>& basis, int j, const T dL_dfactor[2][B], Add add) {
    const T f = basis.fraction[j];
    GF_UNROLL
    for (int k = 0; k < B; ++k) {
        const T lower = ((T)1 - f) * dL_dfactor[0][k], upper = f * dL_dfactor[1][k];
        add(0, k, lower + upper);
        GF_UNROLL
        for (int q = 1; q <= K; ++q) {
            const T along = q % 2 ? lower - upper : lower + upper;
            add(2 * q - 1, k, along * basis.term[j][2 * q - 2]);
            add(2 * q, k, along * basis.term[j][2 * q - 1]);
        }
    }
}

}  // namespace
