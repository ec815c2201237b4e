// g(x) = sum over active nodes of phi(x, p) w: one level at one point, forward and backward.
#pragma once
#include "index.cuh"
#include "kernel.cuh"

namespace {

/// Nodes and weights of one level at one point: all that forward and backward share.
template <typename T, int D> struct Active {
    uint32_t entry[1 << D];
    T weight[1 << D];
};

template <typename T, int D>
GF_FN Active<T, D> active_nodes(const GridLevel& level, T scale, uint32_t kernel, const T x[D]) {
    const Cell<T, D> cell = cell_of<T, D>(scale, x);
    T upper[D];
    for (int k = 0; k < D; ++k) upper[k] = profile(kernel, cell.fraction[k]);
    Active<T, D> active;
    for (uint32_t c = 0; c < (1u << D); ++c) {
        active.entry[c] = level.offset + corner_entry<D>(level, cell.node, c);
        active.weight[c] = corner_weight<T, D>(upper, c);
    }
    return active;
}

template <typename T, int D, int F, typename Stored>
GF_FN void prefetch_nodes(const Active<T, D>& active, const Stored* table) {
    for (uint32_t c = 0; c < (1u << D); ++c) prefetch(&table[(size_t)active.entry[c] * F]);
}

/// features[f] = sum_c weight_c table[entry_c, f]
template <typename T, int D, int F, typename Stored>
GF_FN void gather(const Active<T, D>& active, const Stored* table, T features[F]) {
    for (int f = 0; f < F; ++f) features[f] = (T)0;
    for (uint32_t c = 0; c < (1u << D); ++c) {
        const Pack<Stored, F> stored = *(const Pack<Stored, F>*)(table + (size_t)active.entry[c] * F);
        for (int f = 0; f < F; ++f) features[f] += active.weight[c] * (T)stored.value[f];
    }
}

/// gradient[entry_c, f] += weight_c dL_dfeatures[f]
template <typename T, int D, int F>
GF_FN void scatter(const Active<T, D>& active, const T dL_dfeatures[F], T* gradient) {
    for (uint32_t c = 0; c < (1u << D); ++c) {
        T part[F];
        for (int f = 0; f < F; ++f) part[f] = active.weight[c] * dL_dfeatures[f];
        shared_add_all<T, F>(&gradient[(size_t)active.entry[c] * F], part);
    }
}

/// dL_dx[k] += sum_c dphi_c/dx_k <dL_dfeatures, w_c>
template <typename T, int D, int F, typename Stored>
GF_FN void add_position_gradient(const GridLevel& level, T scale, uint32_t kernel, const T x[D], const Stored* table,
                                 const T dL_dfeatures[F], T dL_dx[D]) {
    const Cell<T, D> cell = cell_of<T, D>(scale, x);
    T upper[D];
    for (int k = 0; k < D; ++k) upper[k] = profile(kernel, cell.fraction[k]);
    for (uint32_t c = 0; c < (1u << D); ++c) {
        const size_t entry = level.offset + corner_entry<D>(level, cell.node, c);
        T dL_dphi = (T)0;
        for (int f = 0; f < F; ++f) dL_dphi += dL_dfeatures[f] * (T)table[entry * F + f];
        for (int k = 0; k < D; ++k)
            dL_dx[k] += dL_dphi * scale * profile_derivative(kernel, cell.fraction[k]) *
                        corner_weight_derivative<T, D>(upper, c, k);
    }
}

}  // namespace
