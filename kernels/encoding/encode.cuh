// g(x) = sum over active nodes of phi(x, p) w: one level at one point, forward and backward.
#pragma once
#include "encoding/fourier.cuh"
#include "encoding/hash_index.cuh"
#include "encoding/kernel.cuh"
#include "core/tile.cuh"

namespace {

/// Active nodes of a level at one point and their interpolation weights: everything that the forward and backward pass
/// share.
template <typename T, int D> struct Active {
    uint32_t entry[1 << D];
    T weight[1 << D];
};

template <typename T, int D, int F, typename Stored>
GF_FN void prefetch_nodes(const Active<T, D>& active, const Stored* table) {
    for (uint32_t c = 0; c < (1u << D); ++c) prefetch(&table[(size_t)active.entry[c] * F]);
}

template <typename T, int D, bool HASHED>
GF_FN Active<T, D> active_nodes(const GridLevel& level, T scale, uint32_t kernel, const T x[D]) {
    const Cell<T, D> cell = cell_of<T, D>(scale, x);
    T upper[D];
    GF_UNROLL
    for (int k = 0; k < D; ++k) upper[k] = profile(kernel, cell.fraction[k]);
    Active<T, D> active;
    GF_UNROLL
    for (uint32_t c = 0; c < (1u << D); ++c) {
        active.entry[c] = level.offset + corner_entry<D, HASHED>(level, cell.node, c);
        active.weight[c] = corner_weight<T, D>(upper, c);
    }
    return active;
}

template <typename T, int D>
GF_FN Active<T, D> active_nodes(const GridLevel& level, T scale, uint32_t kernel, const T x[D]) {
    return level.hashed ? active_nodes<T, D, true>(level, scale, kernel, x)
                        : active_nodes<T, D, false>(level, scale, kernel, x);
}

/// Active nodes and interpolation weights of a level at all points of a tile, stored by columns so that the host
/// computes many at a time.
template <int D> struct ActiveTile {
    PerSample<uint32_t> entry[1 << D];
    PerSample<float> weight[1 << D];

    GF_FN Active<float, D> at(uint32_t s) {
        Active<float, D> active;
        GF_UNROLL
        for (int c = 0; c < (1 << D); ++c) {
            active.entry[c] = entry[c][s];
            active.weight[c] = weight[c][s];
        }
        return active;
    }
};

template <int D> struct PointTile {
    PerSample<float> x[D];
};

template <int D> GF_FN PointTile<D> load_points(const float* position, uint32_t rows) {
    PointTile<D> points;
    GF_FOR_EACH_IN_TILE(s, rows) {
        GF_UNROLL
        for (int k = 0; k < D; ++k) points.x[k][s] = position[(size_t)s * D + k];
    }
    return points;
}

/// Computes the coordinates at which a level is looked up for the points of a tile.
template <int D>
GF_FN void level_points(const GridLevel& level, PointTile<D>& points, uint32_t rows, PointTile<D>& own) {
    if (level.band == 0) {
        own = points;
        return;
    }
    GF_FOR_EACH_IN_TILE(s, rows) {
        GF_UNROLL
        for (int k = 0; k < D; ++k) own.x[k][s] = band_coordinate(level.band, points.x[k][s]);
    }
}

template <int D, bool HASHED>
GF_FN void find_active_nodes(const GridLevel& level, uint32_t kernel, PointTile<D>& points, uint32_t rows,
                             ActiveTile<D>& active) {
    GF_FOR_EACH_IN_TILE(s, rows) {
        float x[D];
        GF_UNROLL
        for (int k = 0; k < D; ++k) x[k] = points.x[k][s];
        const Active<float, D> found = active_nodes<float, D, HASHED>(level, level.scale, kernel, x);
        GF_UNROLL
        for (int c = 0; c < (1 << D); ++c) {
            active.entry[c][s] = found.entry[c];
            active.weight[c][s] = found.weight[c];
        }
    }
}

/// Computes the active nodes and interpolation weights of a level at the points of a tile.
template <int D>
GF_FN void find_active(const GridLevel& level, uint32_t kernel, PointTile<D>& points, uint32_t rows, ActiveTile<D>& active) {
    if (level.hashed) find_active_nodes<D, true>(level, kernel, points, rows, active);
    else find_active_nodes<D, false>(level, kernel, points, rows, active);
}

/// Same as find_active, and prefetches the nodes' features.
template <int D, int F, typename Stored>
GF_FN void find_active_tile(const GridLevel& level, uint32_t kernel, PointTile<D>& points, uint32_t rows,
                            const Stored* table, ActiveTile<D>& active) {
    find_active<D>(level, kernel, points, rows, active);
    GF_FOR_EACH_IN_TILE(s, rows) prefetch_nodes<float, D, F>(active.at(s), table);
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
    T values[F];  // copied, since the compiler must assume that `gradient` aliases dL_dfeatures
    GF_UNROLL
    for (int f = 0; f < F; ++f) values[f] = dL_dfeatures[f];
    GF_UNROLL
    for (uint32_t c = 0; c < (1u << D); ++c) {
        T part[F];
        GF_UNROLL
        for (int f = 0; f < F; ++f) part[f] = active.weight[c] * values[f];
        shared_add_all<T, F>(&gradient[(size_t)active.entry[c] * F], part);
    }
}

/// Same as scatter, with the weights [P, K] of a learned kernel function: one for all features, or one per feature.
template <int D, int F>
GF_FN void scatter_learned(const Active<float, D>& active, const float* phi, uint32_t n_outputs, const float dL_dfeatures[F],
                           float* gradient) {
    float values[F];
    GF_UNROLL
    for (int f = 0; f < F; ++f) values[f] = dL_dfeatures[f];
    GF_UNROLL
    for (uint32_t c = 0; c < (1u << D); ++c) {
        float part[F];
        GF_UNROLL
        for (int f = 0; f < F; ++f) part[f] = phi[n_outputs == 1 ? c : c * F + f] * values[f];
        shared_add_all<float, F>(&gradient[(size_t)active.entry[c] * F], part);
    }
}

/// dL_dx[k] += sum_c dphi_c/dx_k <dL_dfeatures, w_c>, by the chain rule through the coordinates at which the level is
/// looked up.
template <typename T, int D, int F, typename Stored>
GF_FN void add_position_gradient(const GridLevel& level, T scale, uint32_t kernel, const T x[D], const Stored* table,
                                 const T dL_dfeatures[F], T dL_dx[D]) {
    T own[D], dL_down[D] = {};
    level_point<T, D>(level, x, own);
    const Cell<T, D> cell = cell_of<T, D>(scale, own);
    T upper[D];
    for (int k = 0; k < D; ++k) upper[k] = profile(kernel, cell.fraction[k]);
    for (uint32_t c = 0; c < (1u << D); ++c) {
        const size_t entry = level.offset + (level.hashed ? corner_entry<D, true>(level, cell.node, c)
                                                          : corner_entry<D, false>(level, cell.node, c));
        T dL_dphi = (T)0;
        for (int f = 0; f < F; ++f) dL_dphi += dL_dfeatures[f] * (T)table[entry * F + f];
        for (int k = 0; k < D; ++k)
            dL_down[k] += dL_dphi * scale * profile_derivative(kernel, cell.fraction[k]) *
                          corner_weight_derivative<T, D>(upper, c, k);
    }
    for (int k = 0; k < D; ++k) dL_dx[k] += dL_down[k] * band_derivative(level.band, x[k]);
}

}  // namespace
