// Encoding with the local kernel function (local.cuh): forward, gradients with respect to its coefficients, and the
// scatter into the table. One row per level.
#define GF_LEAST_BLOCKS 1  // the factors of a block of features need many registers
#include "encoding/local.cuh"
#include "core/columns.cuh"
#include "core/tile.cuh"
#include "encoding/encode.cuh"

namespace {

/// Sets the numbers of samples past the last one to zero, up to a whole group.
GF_FN void zero_after_sample(PerSample<float>& values, uint32_t rows) {
    const uint32_t whole = rows / GF_LANES * GF_LANES;
    if (whole < rows) zero_after(&values[whole], rows - whole);
}

/// Features of a level that are computed together: their factors stay in registers.
template <int F> struct LocalBlock {
    static const int size = F < 4 ? F : 4;
};

/// A tile of samples on one level: active nodes and the terms of the kernel function.
template <int D, int F, int K> struct LocalTile {
    static const int B = LocalBlock<F>::size;
    static const int n_terms = local_terms(K);
    PerSample<float> fraction[D];
    PerSample<float> term[D][2 * K + 1];
    PerSample<uint32_t> entry[1 << D];

    template <bool HASHED>
    GF_FN void find_nodes(const GridLevel& level, const float* position, uint32_t rows) {
        GF_FOR_EACH_IN_TILE(s, rows) {
            float x[D];
            GF_UNROLL
            for (int j = 0; j < D; ++j) x[j] = position[(size_t)s * D + j];
            const Cell<float, D> cell = cell_of<float, D>(level.scale, x);
            const LocalBasis<float, D, K> basis = local_basis<float, D, K>(cell.fraction);
            GF_UNROLL
            for (int j = 0; j < D; ++j) {
                fraction[j][s] = basis.fraction[j];
                GF_UNROLL
                for (int n = 0; n < 2 * K; ++n) term[j][n][s] = basis.term[j][n];
            }
            GF_UNROLL
            for (uint32_t c = 0; c < (1u << D); ++c)
                entry[c][s] = level.offset + corner_entry<D, HASHED>(level, cell.node, c);
        }
    }

    GF_FN void find(const GridLevel& level, const float* position, uint32_t rows) {
        if (level.hashed) find_nodes<true>(level, position, rows);
        else find_nodes<false>(level, position, rows);
    }

    /// Sets the terms of samples past the last one to zero, up to a whole group.
    GF_FN void zero_after_last(uint32_t rows) {
        for (int j = 0; j < D; ++j) {
            zero_after_sample(fraction[j], rows);
            for (int n = 0; n < 2 * K; ++n) zero_after_sample(term[j][n], rows);
        }
    }

    template <typename Stored> GF_FN void prefetch_rows(const Stored* table, uint32_t rows) {
        GF_FOR_EACH_IN_TILE(s, rows) {
            for (uint32_t c = 0; c < (1u << D); ++c) prefetch(&table[(size_t)entry[c][s] * F]);
        }
    }

    /// Returns the terms of a group of samples that begins at s; they are zero past the last sample.
    GF_FN LocalBasis<Columns, D, K> group(uint32_t s) {
        LocalBasis<Columns, D, K> basis;
        GF_UNROLL
        for (int j = 0; j < D; ++j) {
            basis.fraction[j] = load_columns(&fraction[j][s]);
            GF_UNROLL
            for (int n = 0; n < 2 * K; ++n) basis.term[j][n] = load_columns(&term[j][n][s]);
        }
        return basis;
    }

    GF_FN LocalBasis<float, D, K> basis(uint32_t s) {
        LocalBasis<float, D, K> basis;
        GF_UNROLL
        for (int j = 0; j < D; ++j) {
            basis.fraction[j] = fraction[j][s];
            GF_UNROLL
            for (int n = 0; n < 2 * K; ++n) basis.term[j][n] = term[j][n][s];
        }
        return basis;
    }
};

template <int D, int F, int K> GF_FN void local_forward(const LocalArgs& a, uint32_t first, uint32_t rows, uint32_t l) {
    typedef LocalTile<D, F, K> Tile;
    const int B = Tile::B;
    const compute_t* table = (const compute_t*)a.table;
    const float* theta = a.theta + l * D * Tile::n_terms * F;
    Tile tile;
    tile.find(a.grid.levels[l], a.samples.position + D * (size_t)first, rows);
    tile.prefetch_rows(table, rows);
    GF_FOR_EACH_IN_TILE(s, rows) {
        const LocalBasis<float, D, K> basis = tile.basis(s);
        compute_t* row = (compute_t*)a.features + (size_t)(first + s) * a.n_in;
        GF_UNROLL
        for (int b = 0; b < F; b += B) {
            const LocalFactors<float, D, B> factors = local_factors<float, D, F, K, B>(basis, theta + b);
            float sum[B] = {};
            GF_UNROLL
            for (uint32_t c = 0; c < (1u << D); ++c) {
                const Pack<compute_t, B> stored = *(const Pack<compute_t, B>*)(table + (size_t)tile.entry[c][s] * F + b);
                GF_UNROLL
                for (int k = 0; k < B; ++k) sum[k] += factors.phi(c, k) * (float)stored.value[k];
            }
            Pack<compute_t, B> features;
            GF_UNROLL
            for (int k = 0; k < B; ++k) features.value[k] = (compute_t)sum[k];
            *(Pack<compute_t, B>*)(row + l * F + b) = features;
        }
        if (l == 0)
            for (uint32_t c = a.grid.n_levels * F; c < a.n_in; ++c) row[c] = (compute_t)0.0f;
    }
}

/// Scratch of a block: the coefficients' gradients.
struct LocalShared {
    alignas(64) float dL_dtheta[3 * local_terms(GF_LOCAL_FREQUENCIES) * 8];
};

/// Adds the gradients with respect to the coefficients of one feature, given those with respect to phi at the nodes, of
/// a group of samples that begins at s.
template <int D, int F, int K>
GF_FN void add_coefficient_gradients(LocalTile<D, F, K>& tile, const float* theta, Columns dL_dphi[1 << D], uint32_t s,
                                     Columns sum[D][local_terms(K)]) {
    const LocalBasis<Columns, D, K> basis = tile.group(s);
    const LocalFactors<Columns, D, 1> factors = local_factors<Columns, D, F, K, 1>(basis, theta);
    Columns dL_dfactor[D][2][1];
    local_factor_gradients<Columns, D>(factors, dL_dphi, dL_dfactor);
    GF_UNROLL
    for (int j = 0; j < D; ++j)
        local_coefficient_gradients<Columns, D, K, 1>(basis, j, dL_dfactor[j],
                                                      [&](int term, int, Columns gradient) { sum[j][term] += gradient; });
}

/// Adds a value of each sample to a sum. Threads of a warp add up theirs first.
GF_FN void add_over_tile(float* sum, float value) {
#if GF_SIMT
    for (uint32_t away = 16; away > 0; away /= 2) value += __shfl_sync(GF_ALL_LANES, value, lane_of_warp() ^ away);
    if (lane_of_warp() == 0) atomicAdd(sum, value);
#else
    *sum += value;
#endif
}

template <int D, int F, int K>
GF_FN void local_backward(const LocalArgs& a, LocalShared& shared, uint32_t first, uint32_t rows, uint32_t l) {
    typedef LocalTile<D, F, K> Tile;
    const int B = Tile::B, n_theta = D * Tile::n_terms * F;
    static_assert(n_theta <= GF_TILE, "a thread for each coefficient");
    const compute_t* table = (const compute_t*)a.table;
    const float *theta = a.theta + l * n_theta, *dL_dfeatures = a.dL_dfeatures + ((size_t)l * a.samples.capacity + first) * F;
    Tile tile;
    tile.find(a.grid.levels[l], a.samples.position + D * (size_t)first, rows);
    tile.prefetch_rows(table, rows);
    tile.zero_after_last(rows);
    GF_FOR_EACH_IN_TILE(n, (uint32_t)n_theta) shared.dL_dtheta[n] = 0.0f;
    tile_sync();
    GF_ROLLED
    for (int b = 0; b < F; b += B) {
        PerSample<float> dL_dphi[B][1 << D];
        GF_FOR_EACH_IN_TILE(s, rows) {
            const Pack<float, B> upstream = *(const Pack<float, B>*)(dL_dfeatures + (size_t)s * F + b);
            GF_UNROLL
            for (uint32_t c = 0; c < (1u << D); ++c) {
                const Pack<compute_t, B> stored = *(const Pack<compute_t, B>*)(table + (size_t)tile.entry[c][s] * F + b);
                GF_UNROLL
                for (int k = 0; k < B; ++k) dL_dphi[k][c][s] = upstream.value[k] * (float)stored.value[k];
            }
        }
        for (int k = 0; k < B; ++k)
            for (uint32_t c = 0; c < (1u << D); ++c) zero_after_sample(dL_dphi[k][c], rows);
        GF_UNROLL
        for (int k = 0; k < B; ++k) {
            Columns sum[D][Tile::n_terms] = {};
            GF_FOR_EACH_GROUP_IN_TILE(s, rows) {
                Columns own[1 << D];
                GF_UNROLL
                for (uint32_t c = 0; c < (1u << D); ++c) own[c] = load_columns(&dL_dphi[k][c][s]);
                add_coefficient_gradients<D, F, K>(tile, theta + b + k, own, s, sum);
            }
            // All threads take part in the sums, those past the last sample with zeros.
            GF_UNROLL
            for (int j = 0; j < D; ++j) {
                GF_UNROLL
                for (int term = 0; term < Tile::n_terms; ++term)
                    add_over_tile(&shared.dL_dtheta[(j * Tile::n_terms + term) * F + b + k], sum_of(sum[j][term]));
            }
        }
    }
    tile_sync();
    GF_FOR_EACH_IN_TILE(n, (uint32_t)n_theta) shared_add(&a.dL_dtheta[l * n_theta + n], shared.dL_dtheta[n]);
    tile_sync();
}

template <int D, int F, int K>
GF_FN void local_scatter(const LocalScatterArgs& a, uint32_t first, uint32_t rows, uint32_t l) {
    typedef LocalTile<D, F, K> Tile;
    const int B = Tile::B;
    const float* theta = a.theta + l * D * Tile::n_terms * F;
    const float* dL_dfeatures = a.scatter.dL_dfeatures + ((size_t)l * a.scatter.capacity + first) * F;
    float* gradient = a.scatter.gradient;
    Tile tile;
    tile.find(a.scatter.grid.levels[l], a.scatter.position + D * (size_t)first, rows);
    tile.prefetch_rows(gradient, rows);
    GF_FOR_EACH_IN_TILE(s, rows) {
        const LocalBasis<float, D, K> basis = tile.basis(s);
        GF_UNROLL
        for (int b = 0; b < F; b += B) {
            const LocalFactors<float, D, B> factors = local_factors<float, D, F, K, B>(basis, theta + b);
            const Pack<float, B> upstream = *(const Pack<float, B>*)(dL_dfeatures + (size_t)s * F + b);
            GF_UNROLL
            for (uint32_t c = 0; c < (1u << D); ++c) {
                float part[B];
                GF_UNROLL
                for (int k = 0; k < B; ++k) part[k] = factors.phi(c, k) * upstream.value[k];
                shared_add_all<float, B>(&gradient[(size_t)tile.entry[c][s] * F + b], part);
            }
        }
    }
}

/// Calls `run` with a grid's features per level and frequencies as Constants.
template <typename Run> GF_FN void with_local(const GridLayout& grid, Run run) {
    with_features(grid.n_features, [&](auto f) { with_frequencies(grid.local_frequencies, [&](auto k) { run(f, k); }); });
}

/// Runs the forward pass on GF_ENCODE_TILES tiles, as encode_levels does.
template <int D> GF_FN void local_encode_tiles(const LocalArgs& a, uint32_t block, uint32_t l) {
    const uint32_t begin = a.samples.count[a.round] + block * GF_ENCODE_TILES * GF_TILE;
    const uint32_t end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    for (uint32_t t = 0; t < GF_ENCODE_TILES; ++t) {
        const uint32_t first = begin + t * GF_TILE;
        if (first >= end) return;
        const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
        with_local(a.grid, [&](auto f, auto k) { local_forward<D, decltype(f)::value, decltype(k)::value>(a, first, rows, l); });
    }
}

template <int D> GF_FN void local_backward_tile(const LocalArgs& a, LocalShared& shared, uint32_t tile, uint32_t l) {
    const uint32_t first = tile * GF_TILE, end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    with_local(a.grid, [&](auto f, auto k) {
        local_backward<D, decltype(f)::value, decltype(k)::value>(a, shared, first, rows, l);
    });
}

template <int D> GF_FN void local_scatter_tile(const LocalScatterArgs& a, uint32_t tile, uint32_t l) {
    const uint32_t first = tile * GF_TILE, end = *a.scatter.count;
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    with_local(a.scatter.grid, [&](auto f, auto k) {
        local_scatter<D, decltype(f)::value, decltype(k)::value>(a, first, rows, l);
    });
}

}  // namespace

GF_TILE_KERNEL(local_encode_2d, LocalArgs, NoShared) { local_encode_tiles<2>(a, tile, j); }
GF_TILE_KERNEL(local_encode_3d, LocalArgs, NoShared) { local_encode_tiles<3>(a, tile, j); }
GF_TILE_KERNEL(local_backward_2d, LocalArgs, LocalShared) { local_backward_tile<2>(a, shared, tile, j); }
GF_TILE_KERNEL(local_backward_3d, LocalArgs, LocalShared) { local_backward_tile<3>(a, shared, tile, j); }
GF_TILE_KERNEL(local_scatter_2d, LocalScatterArgs, NoShared) { local_scatter_tile<2>(a, tile, j); }
GF_TILE_KERNEL(local_scatter_3d, LocalScatterArgs, NoShared) { local_scatter_tile<3>(a, tile, j); }
