// The active nodes of a point alone: its row of Phi, and the gradients of the kernel function.
#pragma once
#include "encoding/encode.cuh"
#include "encoding/local_nodes.cuh"
#include "encoding/mulfa.cuh"

namespace {

/// Cell of one level at a point, with the linear (or smoothstep) weights of its corners.
template <typename T, int D> struct Corners {
    static const int P = 1 << D;
    GridLevel level;
    T scale;
    T share;
    Cell<T, D> cell;
    T upper[D];
    T B[P];

    GF_FN Corners(const ActiveNodesArgs& a, uint32_t l, const T x[D])
        : level(a.grid.levels[l]),
          scale(sizeof(T) == 8 ? (T)a.scale[l] : (T)a.grid.levels[l].scale),
          share(level_share<T>(a.grid)) {
        T own[D];
        level_point<T, D>(level, x, own);
        cell = cell_of<T, D>(scale, own);
        GF_UNROLL
        for (int k = 0; k < D; ++k) upper[k] = profile(a.grid.kernel, cell.fraction[k]);
        GF_UNROLL
        for (uint32_t c = 0; c < (uint32_t)P; ++c) B[c] = share * corner_weight<T, D>(upper, c);
    }

    GF_FN uint32_t entry(uint32_t c) const {
        return level.offset + (level.hashed ? corner_entry<D, true>(level, cell.node, c)
                                            : corner_entry<D, false>(level, cell.node, c));
    }

    /// Computes the corner's place, unitless: node / (s + 1).
    GF_FN void place(uint32_t c, T p[D]) const {
        GF_UNROLL
        for (int k = 0; k < D; ++k) p[k] = (T)(cell.node[k] + ((c >> k) & 1u)) / (scale + (T)1);
    }

    /// Adds to dL/dx, given dL/dB.
    GF_FN void add_position_gradient(uint32_t kernel, const T x[D], const T dL_dB[P], T dL_dx[D]) const {
        GF_UNROLL
        for (int k = 0; k < D; ++k) {
            const T slope = share * scale * band_derivative(level.band, x[k]) * profile_derivative(kernel, cell.fraction[k]);
            GF_UNROLL
            for (uint32_t c = 0; c < (uint32_t)P; ++c)
                dL_dx[k] += dL_dB[c] * slope * corner_weight_derivative<T, D>(upper, c, k);
        }
    }
};

/// Scratch of a point: gamma, dL/dgamma [2 m D], z [P, n, H], dz [2, H], v and dL/dv [P, K].
template <typename T, int D> struct MulfaScratch {
    T *gamma, *dL_dgamma, *z, *dz, *v, *dL_dv;

    GF_FN MulfaScratch(const ActiveNodesArgs& a, uint32_t i) {
        const MulfaLayout& m = a.grid.mulfa;
        const uint32_t n_gamma = 2 * m.n_frequencies * D;
        gamma = (T*)a.scratch + (size_t)i * a.n_scratch;
        dL_dgamma = gamma + n_gamma;
        z = dL_dgamma + n_gamma;
        dz = z + (m.depth * m.width << D);
        v = dz + 2 * m.width;
        dL_dv = v + (m.n_outputs << D);
    }
};

/// Computes v at all corners of a level's cell.
template <typename T, int D>
GF_FN void mulfa_corner_values(const ActiveNodesArgs& a, const T* theta, const Corners<T, D>& corners,
                               const MulfaScratch<T, D>& scratch) {
    const MulfaLayout& m = a.grid.mulfa;
    GF_ROLLED
    for (uint32_t c = 0; c < (1u << D); ++c) {
        T p[D];
        corners.place(c, p);
        mulfa_value<T, D>(m, theta, scratch.gamma, p, scratch.z + c * m.depth * m.width, scratch.v + c * m.n_outputs);
    }
}

/// Extracts the numbers of one output at all corners from [P, K].
template <typename T, int P> GF_FN void output_column(const T* values, uint32_t n_outputs, uint32_t k, T column[P]) {
    GF_UNROLL
    for (int c = 0; c < P; ++c) column[c] = values[c * n_outputs + k];
}

/// Returns the number of kernel values at a node.
GF_FN uint32_t values_per_node(const GridLayout& grid) {
    if (grid.kernel == KERNEL_LOCAL) return grid.n_features;
    return is_mulfa(grid.kernel) ? grid.mulfa.n_outputs : 1;
}

/// Returns the index of a level's first coefficient of the local kernel function.
template <int D> GF_FN size_t first_local_coefficient(const GridLayout& grid, uint32_t l) {
    return (size_t)l * D * local_terms(grid.local_frequencies) * grid.n_features;
}

template <typename T, int D> GF_FN void active_nodes_point(const ActiveNodesArgs& a, uint32_t i) {
    const int P = 1 << D;
    const T* x = (const T*)a.position + (size_t)i * D;
    const MulfaLayout& m = a.grid.mulfa;
    const bool learned = is_mulfa(a.grid.kernel), local = a.grid.kernel == KERNEL_LOCAL;
    const uint32_t n_outputs = values_per_node(a.grid);
    const MulfaScratch<T, D> scratch(a, i);
    if (learned) fourier_features<T, D>(m.n_frequencies, x, scratch.gamma);
    GF_ROLLED
    for (uint32_t l = 0; l < a.grid.n_levels; ++l) {
        const Corners<T, D> corners(a, l, x);
        const size_t row = ((size_t)i * a.grid.n_levels + l) * P;
        T* phi = (T*)a.phi + row * n_outputs;
        GF_ROLLED
        for (uint32_t c = 0; c < (uint32_t)P; ++c) a.entry[row + c] = corners.entry(c);
        if (local) {
            const T* theta = (const T*)a.theta + first_local_coefficient<D>(a.grid, l);
            with_frequencies(a.grid.local_frequencies, [&](auto k) {
                local_phi<T, D, decltype(k)::value>(corners.cell.fraction, theta, n_outputs, phi);
            });
            continue;
        }
        if (!learned || l >= m.n_levels) {
            GF_UNROLL
            for (int c = 0; c < P; ++c)
                for (uint32_t k = 0; k < n_outputs; ++k) phi[c * n_outputs + k] = corners.B[c];
            continue;
        }
        mulfa_corner_values<T, D>(a, (const T*)a.theta + (size_t)l * m.stride, corners, scratch);
        GF_ROLLED
        for (uint32_t k = 0; k < n_outputs; ++k) {
            T v[P], own[P];
            output_column<T, P>(scratch.v, n_outputs, k, v);
            mulfa_phi<T, P>(a.grid.kernel, (T)m.floor, corners.B, v, own);
            GF_UNROLL
            for (int c = 0; c < P; ++c) phi[c * n_outputs + k] = own[c];
        }
    }
}

template <typename T, int D> GF_FN void active_nodes_point_backward(const ActiveNodesArgs& a, uint32_t i) {
    const int P = 1 << D;
    const T* x = (const T*)a.position + (size_t)i * D;
    const MulfaLayout& m = a.grid.mulfa;
    const bool learned = is_mulfa(a.grid.kernel), local = a.grid.kernel == KERNEL_LOCAL;
    const uint32_t n_outputs = values_per_node(a.grid);
    const MulfaScratch<T, D> scratch(a, i);
    T dL_dx[D] = {};
    if (learned) {
        fourier_features<T, D>(m.n_frequencies, x, scratch.gamma);
        GF_ROLLED
        for (uint32_t g = 0; g < 2 * m.n_frequencies * D; ++g) scratch.dL_dgamma[g] = (T)0;
    }
    GF_ROLLED
    for (uint32_t l = 0; l < a.grid.n_levels; ++l) {
        const Corners<T, D> corners(a, l, x);
        const T* dL_dphi = (const T*)a.dL_dphi + ((size_t)i * a.grid.n_levels + l) * P * n_outputs;
        if (local) {
            const size_t first = first_local_coefficient<D>(a.grid, l);
            T dL_dfraction[D] = {};
            with_frequencies(a.grid.local_frequencies, [&](auto k) {
                local_phi_backward<T, D, decltype(k)::value>(corners.cell.fraction, (const T*)a.theta + first, n_outputs, dL_dphi,
                                                             (T*)a.dL_dtheta + (size_t)i * a.theta_stride + first, dL_dfraction);
            });
            GF_UNROLL
            for (int k = 0; k < D; ++k) dL_dx[k] += corners.scale * dL_dfraction[k];
            continue;
        }
        T dL_dB[P] = {};
        if (learned && l < m.n_levels) {
            const T* theta = (const T*)a.theta + (size_t)l * m.stride;
            T* dL_dtheta = (T*)a.dL_dtheta + (size_t)i * a.theta_stride + (size_t)l * m.stride;
            mulfa_corner_values<T, D>(a, theta, corners, scratch);
            GF_ROLLED
            for (uint32_t k = 0; k < n_outputs; ++k) {
                T v[P], phi[P], upstream[P], dL_dv[P];
                output_column<T, P>(scratch.v, n_outputs, k, v);
                output_column<T, P>(dL_dphi, n_outputs, k, upstream);
                mulfa_phi<T, P>(a.grid.kernel, (T)m.floor, corners.B, v, phi);
                mulfa_phi_backward<T, P>(a.grid.kernel, (T)m.floor, corners.B, v, phi, upstream, dL_dv, dL_dB);
                GF_UNROLL
                for (int c = 0; c < P; ++c) scratch.dL_dv[c * n_outputs + k] = dL_dv[c];
            }
            GF_ROLLED
            for (uint32_t c = 0; c < (uint32_t)P; ++c) {
                T p[D];
                corners.place(c, p);
                mulfa_value_backward<T, D>(m, theta, scratch.gamma, p, scratch.z + c * m.depth * m.width,
                                           scratch.dL_dv + c * n_outputs, scratch.dz, dL_dtheta, scratch.dL_dgamma);
            }
        } else {
            GF_UNROLL
            for (int c = 0; c < P; ++c)
                for (uint32_t k = 0; k < n_outputs; ++k) dL_dB[c] += dL_dphi[c * n_outputs + k];
        }
        corners.add_position_gradient(a.grid.kernel, x, dL_dB, dL_dx);
    }
    if (learned) fourier_features_backward<T, D>(m.n_frequencies, scratch.gamma, scratch.dL_dgamma, dL_dx);
    GF_UNROLL
    for (int k = 0; k < D; ++k) ((T*)a.dL_dposition)[(size_t)i * D + k] = dL_dx[k];
}

}  // namespace
