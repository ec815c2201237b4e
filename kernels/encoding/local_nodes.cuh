// The local kernel function at the active nodes of a point, one feature after the other: the rows of Phi, and
// gradients. For analysis.
#pragma once
#include "encoding/local.cuh"

namespace {

/// Coefficients [D, 1 + 2 K] of one feature of a level.
template <typename T, int D, int K> struct LocalCoefficients {
    T own[D * local_terms(K)];

    /// theta [D, 1 + 2 K, F] belongs to the level.
    GF_FN LocalCoefficients(const T* theta, uint32_t n_features, uint32_t k) {
        for (uint32_t t = 0; t < D * local_terms(K); ++t) own[t] = theta[t * n_features + k];
    }
};

/// Computes the derivatives of the factors of both nodes along an axis with respect to the fraction of the cell.
template <typename T, int D, int K>
GF_FN void local_slopes(const LocalBasis<T, D, K>& basis, int axis, const T* own, T slope[2]) {
    const T pi = (T)3.14159265358979323846, f = basis.fraction[axis], *term = basis.term[axis];
    T even = own[0], odd = (T)0, even_slope = (T)0, odd_slope = (T)0;
    if (K >= 1) {
        const int c = 0, s = K > 0 ? 1 : 0;
        odd = own[1] * term[c] + own[2] * term[s];
        odd_slope = pi * (own[2] * term[c] - own[1] * term[s]);
    }
    if (K >= 2) {
        const int c = K > 1 ? 2 : 0, s = K > 1 ? 3 : 0;
        even += own[3] * term[c] + own[4] * term[s];
        even_slope = (T)2 * pi * (own[4] * term[c] - own[3] * term[s]);
    }
    slope[0] = ((T)1 - f) * (even_slope + odd_slope) - (even + odd);
    slope[1] = f * (even_slope - odd_slope) + (even - odd);
}

/// Computes phi [2^D, F] of the nodes of a level's cell.
template <typename T, int D, int K>
GF_FN void local_phi(const T fraction[D], const T* theta, uint32_t n_features, T* phi) {
    const LocalBasis<T, D, K> basis = local_basis<T, D, K>(fraction);
    GF_ROLLED
    for (uint32_t k = 0; k < n_features; ++k) {
        const LocalCoefficients<T, D, K> coefficients(theta, n_features, k);
        const LocalFactors<T, D, 1> factors = local_factors<T, D, 1, K, 1>(basis, coefficients.own);
        GF_UNROLL
        for (uint32_t c = 0; c < (1u << D); ++c) phi[c * n_features + k] = factors.phi(c, 0);
    }
}

/// Adds to the gradients with respect to the coefficients and to the fraction, given those with respect to phi.
template <typename T, int D, int K>
GF_FN void local_phi_backward(const T fraction[D], const T* theta, uint32_t n_features, const T* dL_dphi, T* dL_dtheta,
                              T dL_dfraction[D]) {
    const LocalBasis<T, D, K> basis = local_basis<T, D, K>(fraction);
    GF_ROLLED
    for (uint32_t k = 0; k < n_features; ++k) {
        const LocalCoefficients<T, D, K> coefficients(theta, n_features, k);
        const LocalFactors<T, D, 1> factors = local_factors<T, D, 1, K, 1>(basis, coefficients.own);
        T upstream[1 << D], dL_dfactor[D][2][1];
        GF_UNROLL
        for (uint32_t c = 0; c < (1u << D); ++c) upstream[c] = dL_dphi[c * n_features + k];
        local_factor_gradients<T, D>(factors, upstream, dL_dfactor);
        GF_UNROLL
        for (int j = 0; j < D; ++j) {
            T slope[2];
            local_coefficient_gradients<T, D, K, 1>(basis, j, dL_dfactor[j], [&](int term, int, T gradient) {
                shared_add(&dL_dtheta[(j * local_terms(K) + term) * n_features + k], gradient);
            });
            local_slopes<T, D, K>(basis, j, coefficients.own + j * local_terms(K), slope);
            dL_dfraction[j] += dL_dfactor[j][0][0] * slope[0] + dL_dfactor[j][1][0] * slope[1];
        }
    }
}

}  // namespace
