// The local kernel function: one per level and feature, learned, in units of nodes.
//
// With d = u - p, the position relative to a node in units of the level's cells (|d_j| <= 1 inside the node's support),
//     phi_lk(d) = prod_j (1 - |d_j|) m_lkj(d_j)
//     m_lkj(d)  = a0_lkj + sum_{q = 1 .. K} a^q_lkj cos(q pi d) + b^q_lkj sin(q pi d).
// The window 1 - |d| makes phi continuous. With a0 = 1 and all else 0 it is the linear kernel. K = 0 leaves one
// amplitude per level, feature and axis. The coefficients are theta [L, D, 1 + 2 K, F], in the order a0, a1, b1, a2,
// b2.
//
// Inside a cell with fraction f along an axis, the lower node has d = f and the upper one d = f - 1, at which cosine
// and sine of q pi d are those of q pi f times (-1)^q. Splitting m into its even and odd frequencies,
//     even = a0 + a2 cos 2 pi f + b2 sin 2 pi f,    odd = a1 cos pi f + b1 sin pi f,
// the factors of the two nodes are (1 - f) (even + odd) and f (even - odd).
#pragma once
#include "encoding/hash_index.cuh"
#include "core/sincos.cuh"

namespace {

GF_FN constexpr uint32_t local_terms(uint32_t n_frequencies) { return 1 + 2 * n_frequencies; }

/// Calls `run` with the number of frequencies as a Constant.
template <typename Run> GF_FN void with_frequencies(uint32_t n_frequencies, Run run) {
    switch (n_frequencies) {
        case 0: run(Constant<0>()); break;
        case 1: run(Constant<1>()); break;
        default: run(Constant<2>()); break;
    }
}

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

/// Factors of the lower and the upper node along each axis, of B features. T is a scalar or, on the host, Columns.
template <typename T, int D, int B> struct LocalFactors {
    T value[D][2][B];

    GF_FN T phi(uint32_t corner, int k) const {
        T weight = value[0][corner & 1u][k];
        GF_UNROLL
        for (int j = 1; j < D; ++j) weight *= value[j][(corner >> j) & 1u][k];
        return weight;
    }

};

/// Converts the gradients with respect to phi at the corners of a cell into those with respect to the factors. Axis
/// after axis, the last one first, the sum over the corners becomes one over a face: 30 products and sums in space, not
/// 72.
template <typename T, int D>
GF_FN void local_factor_gradients(const LocalFactors<T, D, 1>& factors, T dL_dphi[1 << D], T dL_dfactor[D][2][1]) {
    GF_UNROLL
    for (int j = D - 1; j >= 0; --j) {
        const uint32_t face = 1u << j;
        T side[2] = {};
        GF_UNROLL
        for (uint32_t c = 0; c < face; ++c) {
            const T *lower = &dL_dphi[c], *upper = &dL_dphi[c + face];
            T others = j > 0 ? factors.value[0][c & 1u][0] : T{} + 1.0f;
            GF_UNROLL
            for (int i = 1; i < j; ++i) others *= factors.value[i][(c >> i) & 1u][0];
            side[0] += others * *lower;
            side[1] += others * *upper;
            dL_dphi[c] = *lower * factors.value[j][0][0] + *upper * factors.value[j][1][0];
        }
        dL_dfactor[j][0][0] = side[0];
        dL_dfactor[j][1][0] = side[1];
    }
}

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
            T even = T{} + own[k], odd = {};
            if (K >= 1) odd = own[F + k] * basis.term[j][0] + own[2 * F + k] * basis.term[j][K > 0 ? 1 : 0];
            if (K >= 2)
                even += own[3 * F + k] * basis.term[j][K > 1 ? 2 : 0] + own[4 * F + k] * basis.term[j][K > 1 ? 3 : 0];
            factors.value[j][0][k] = (1.0f - f) * (even + odd);
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
        const T lower = (1.0f - f) * dL_dfactor[0][k], upper = f * dL_dfactor[1][k];
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
