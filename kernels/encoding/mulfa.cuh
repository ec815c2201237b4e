// The multiplicative Fourier adaptive kernel (Zhao et al., CVPR 2024, equations 6 to 8), one point at a time, in any
// precision and of any depth. This file defines what is computed; mulfa_tile.cuh computes the same faster, for
// training.
//
//   gamma(x) = [sin(2^k pi x_j), cos(2^k pi x_j)]       k = 0 .. m-1 outer, j = 1 .. D inner                (6)
//   z^0      = gamma(x)
//   z^l      = (W_l z^{l-1} + b_l) * sin(Omega_l p + psi_l)      l = 1 .. n                                 (7)
//   v(x, p)  = w_out z^n + b_out
//   phi      = one of the variants below of v at the 2^D corners of the cell                                (8)
//
// x is the point in [0, 1]^D and p = node / (s + 1). The `paper` variant, (8) itself, can divide by almost zero and is
// discontinuous where x leaves a cell; the other two variants have neither problem.
#pragma once
#include "encoding/kernel.cuh"
#include "args.h"
#include "core/sincos.cuh"

namespace {

/// Offsets of one layer in theta.
struct MulfaLayer {
    uint32_t n_in;
    uint32_t W, b, Omega, psi;
    uint32_t end;
};

template <int D> GF_FN MulfaLayer mulfa_layer(const MulfaLayout& m, uint32_t layer) {
    MulfaLayer at;
    at.n_in = layer == 0 ? 2 * m.n_frequencies * D : m.width;
    const uint32_t first = m.width * (2 * m.n_frequencies * D + 1 + D + 1), further = m.width * (m.width + 1 + D + 1);
    at.W = layer == 0 ? 0 : first + (layer - 1) * further;
    at.b = at.W + m.width * at.n_in;
    at.Omega = at.b + m.width;
    at.psi = at.Omega + m.width * D;
    at.end = at.psi + m.width;
    return at;
}

/// Returns the offset of w_out [K, H] in theta; b_out [K] follows it.
template <int D> GF_FN uint32_t mulfa_output(const MulfaLayout& m) { return mulfa_layer<D>(m, m.depth - 1).end; }

/// Computes gamma(x), [2 m D].
template <typename T, int D> GF_FN void fourier_features(uint32_t m, const T x[D], T* gamma) {
    T power = (T)1;
    GF_ROLLED
    for (uint32_t k = 0; k < m; ++k, power *= (T)2) {
        GF_UNROLL
        for (int j = 0; j < D; ++j) sin_cos_pi(power * x[j], gamma[2 * (k * D + j)], gamma[2 * (k * D + j) + 1]);
    }
}

/// dL/dx[j] += <dL/dgamma, d gamma / d x_j>
template <typename T, int D>
GF_FN void fourier_features_backward(uint32_t m, const T* gamma, const T* dL_dgamma, T dL_dx[D]) {
    T power = (T)3.14159265358979323846;
    GF_ROLLED
    for (uint32_t k = 0; k < m; ++k, power *= (T)2) {
        for (int j = 0; j < D; ++j) {
            const uint32_t i = 2 * (k * D + j);
            dL_dx[j] += power * (dL_dgamma[i] * gamma[i + 1] - dL_dgamma[i + 1] * gamma[i]);
        }
    }
}

/// Computes the two factors of a layer at one neuron: u = W z + b, and the angle Omega p + psi of the sine.
template <typename T, int D>
GF_FN void mulfa_factors(const MulfaLayer& at, const T* theta, uint32_t h, const T* z, const T p[D], T& u, T& angle) {
    u = theta[at.b + h];
    GF_ROLLED
    for (uint32_t i = 0; i < at.n_in; ++i) u += theta[at.W + h * at.n_in + i] * z[i];
    angle = theta[at.psi + h];
    GF_UNROLL
    for (int j = 0; j < D; ++j) angle += theta[at.Omega + h * D + j] * p[j];
}

/// Computes v [K] at one node. Saves z^1 .. z^n in `z` [n, H].
template <typename T, int D>
GF_FN void mulfa_value(const MulfaLayout& m, const T* theta, const T* gamma, const T p[D], T* z, T* v) {
    const T* below = gamma;
    GF_ROLLED
    for (uint32_t l = 0; l < m.depth; ++l) {
        const MulfaLayer at = mulfa_layer<D>(m, l);
        GF_ROLLED
        for (uint32_t h = 0; h < m.width; ++h) {
            T u, angle, sine, cosine;
            mulfa_factors<T, D>(at, theta, h, below, p, u, angle);
            sin_cos(angle, sine, cosine);
            z[l * m.width + h] = u * sine;
        }
        below = z + l * m.width;
    }
    const T* w_out = theta + mulfa_output<D>(m);
    GF_ROLLED
    for (uint32_t k = 0; k < m.n_outputs; ++k) {
        v[k] = w_out[m.n_outputs * m.width + k];
        GF_ROLLED
        for (uint32_t h = 0; h < m.width; ++h) v[k] += w_out[k * m.width + h] * below[h];
    }
}

/// Adds to dL/dtheta and to dL/dgamma, given dL/dv [K] at one node. `z` is as saved by mulfa_value; `dz` is scratch,
/// [2, H].
template <typename T, int D>
GF_FN void mulfa_value_backward(const MulfaLayout& m, const T* theta, const T* gamma, const T p[D], const T* z,
                                const T* dL_dv, T* dz, T* dL_dtheta, T* dL_dgamma) {
    const uint32_t output = mulfa_output<D>(m), H = m.width;
    T *above = dz, *below = dz + H;
    GF_ROLLED
    for (uint32_t h = 0; h < H; ++h) above[h] = (T)0;
    GF_ROLLED
    for (uint32_t k = 0; k < m.n_outputs; ++k) {
        shared_add(&dL_dtheta[output + m.n_outputs * H + k], dL_dv[k]);
        GF_ROLLED
        for (uint32_t h = 0; h < H; ++h) {
            shared_add(&dL_dtheta[output + k * H + h], dL_dv[k] * z[(m.depth - 1) * H + h]);
            above[h] += dL_dv[k] * theta[output + k * H + h];
        }
    }
    GF_ROLLED
    for (uint32_t l = m.depth; l-- > 0;) {
        const MulfaLayer at = mulfa_layer<D>(m, l);
        const T* input = l == 0 ? gamma : z + (l - 1) * H;
        if (l > 0)
            GF_ROLLED
            for (uint32_t i = 0; i < H; ++i) below[i] = (T)0;
        GF_ROLLED
        for (uint32_t h = 0; h < H; ++h) {
            T u, angle, sine, cosine;
            mulfa_factors<T, D>(at, theta, h, input, p, u, angle);
            sin_cos(angle, sine, cosine);
            const T du = above[h] * sine, dangle = above[h] * u * cosine;
            shared_add(&dL_dtheta[at.b + h], du);
            shared_add(&dL_dtheta[at.psi + h], dangle);
            for (int j = 0; j < D; ++j) shared_add(&dL_dtheta[at.Omega + h * D + j], dangle * p[j]);
            T* dinput = l == 0 ? dL_dgamma : below;
            GF_ROLLED
            for (uint32_t i = 0; i < at.n_in; ++i) {
                shared_add(&dL_dtheta[at.W + h * at.n_in + i], du * input[i]);
                dinput[i] += du * theta[at.W + h * at.n_in + i];
            }
        }
        T* swap = above;
        above = below;
        below = swap;
    }
}

/// Returns the denominator of `paper`: the sum, with its absolute value raised to at least `floor` and its sign kept.
template <typename T> GF_FN T kept_from_zero(T sum, T floor) {
    return sum < (T)0 ? min_of(sum, -floor) : max_of(sum, floor);
}

/// Computes phi at the corners of a cell from v at these corners and the linear weights B.
template <typename T, int P>
GF_FN void mulfa_phi(uint32_t kernel, T floor, const T B[P], const T v[P], T phi[P]) {
    T sum = (T)0;
    if (kernel == KERNEL_MULFA_MODULATED) {  // B (1 + v)
        GF_UNROLL
        for (int c = 0; c < P; ++c) phi[c] = B[c] * ((T)1 + v[c]);
    } else if (kernel == KERNEL_MULFA_WINDOWED) {  // B e^v / sum B e^v
        T most = v[0];
        GF_UNROLL
        for (int c = 1; c < P; ++c) most = max_of(most, v[c]);
        GF_UNROLL
        for (int c = 0; c < P; ++c) {
            phi[c] = B[c] * exponential(v[c] - most);
            sum += phi[c];
        }
        GF_UNROLL
        for (int c = 0; c < P; ++c) phi[c] /= sum;
    } else {  // v / sum v
        GF_UNROLL
        for (int c = 0; c < P; ++c) sum += v[c];
        const T denominator = kept_from_zero(sum, floor);
        GF_UNROLL
        for (int c = 0; c < P; ++c) phi[c] = v[c] / denominator;
    }
}

/// Computes dL/dv from dL/dphi, and adds to dL/dB if `dL_dB` is not null.
template <typename T, int P>
GF_FN void mulfa_phi_backward(uint32_t kernel, T floor, const T B[P], const T v[P], const T phi[P], const T dL_dphi[P],
                              T dL_dv[P], T* dL_dB) {
    if (kernel == KERNEL_MULFA_MODULATED) {
        GF_UNROLL
        for (int c = 0; c < P; ++c) {
            dL_dv[c] = B[c] * dL_dphi[c];
            if (dL_dB) dL_dB[c] += ((T)1 + v[c]) * dL_dphi[c];
        }
        return;
    }
    T mean = (T)0;
    GF_UNROLL
    for (int c = 0; c < P; ++c) mean += phi[c] * dL_dphi[c];
    if (kernel == KERNEL_MULFA_WINDOWED) {
        T most = v[0], sum = (T)0;
        GF_UNROLL
        for (int c = 1; c < P; ++c) most = max_of(most, v[c]);
        GF_UNROLL
        for (int c = 0; c < P; ++c) {
            dL_dv[c] = phi[c] * (dL_dphi[c] - mean);
            if (dL_dB) sum += B[c] * exponential(v[c] - most);
        }
        if (!dL_dB) return;
        GF_UNROLL
        for (int c = 0; c < P; ++c) dL_dB[c] += exponential(v[c] - most) / sum * (dL_dphi[c] - mean);
    } else {
        T sum = (T)0;
        GF_UNROLL
        for (int c = 0; c < P; ++c) sum += v[c];
        const T denominator = kept_from_zero(sum, floor);
        const T moving = denominator == sum ? mean : (T)0;  // at the floor the denominator is constant
        GF_UNROLL
        for (int c = 0; c < P; ++c) dL_dv[c] = (dL_dphi[c] - moving) / denominator;
    }
}

}  // namespace
