// Features of all levels of a grid at a tile of samples (the input columns of a network), and their gradients.
#pragma once
#include "encoding/encode.cuh"

namespace {

/// Computes the features of all levels for each sample of the tile: those of level l in columns [l F, l F + F) of x, or
/// their average over all levels in the first F columns.
template <int D, int F>
GF_FN void encode_levels(const GridLayout& grid, const compute_t* table, PointTile<D>& points, Matrix x, uint32_t rows) {
    const float share = level_share<float>(grid);
    PerSample<float> sum[F];
    GF_ROLLED
    for (uint32_t l = 0; l < grid.n_levels; ++l) {
        const GridLevel level = grid.levels[l];
        PointTile<D> own;
        ActiveTile<D> active;
        level_points<D>(level, points, rows, own);
        find_active_tile<D, F>(level, grid.kernel, own, rows, table, active);
        const uint32_t column = feature_set(grid, l) * F;
        GF_FOR_EACH_IN_TILE(s, rows) {
            float features[F];
            gather<float, D, F>(active.at(s), table, features);
            if (grid.averaged) {
                GF_UNROLL
                for (int f = 0; f < F; ++f) features[f] = sum[f][s] = (l ? sum[f][s] : 0.0f) + share * features[f];
            }
            for (int f = 0; f < F; ++f) x.row(s)[column + f] = (compute_t)features[f];
        }
    }
}

/// Computes the features of all levels at position [rows, D]; columns up to the next multiple of 16 are zero.
template <int D>
GF_FN void encode_tile(const GridLayout& grid, const compute_t* table, const float* position, Matrix x, uint32_t rows,
                       uint32_t n_in) {
    PointTile<D> points = load_points<D>(position, rows);
    switch (grid.n_features) {
        case 1: encode_levels<D, 1>(grid, table, points, x, rows); break;
        case 2: encode_levels<D, 2>(grid, table, points, x, rows); break;
        case 4: encode_levels<D, 4>(grid, table, points, x, rows); break;
        default: encode_levels<D, 8>(grid, table, points, x, rows); break;
    }
    const uint32_t used = feature_sets(grid) * grid.n_features;
    GF_FOR_EACH_IN_TILE(s, rows) {
        for (uint32_t c = used; c < n_in; ++c) x.row(s)[c] = (compute_t)0.0f;
    }
}

template <int F>
GF_FN void write_level_gradients(uint32_t n_sets, Matrix dx, float scale, float* dL_dfeatures, uint32_t capacity,
                                 uint32_t rows) {
    for (uint32_t l = 0; l < n_sets; ++l) {
        Pack<float, F>* out = (Pack<float, F>*)dL_dfeatures + (size_t)l * capacity;
        GF_FOR_EACH_IN_TILE(s, rows) {
            Pack<float, F> gradient;
            GF_UNROLL
            for (int f = 0; f < F; ++f) gradient.value[f] = (float)dx.row(s)[l * F + f] * scale;
            out[s] = gradient;
        }
    }
}

/// Writes the columns of a tile's gradient, times a scale, as [L, S, F], or as [S, F] for averaged levels.
GF_FN void write_feature_gradients(const GridLayout& grid, Matrix dx, float scale, float* dL_dfeatures, uint32_t capacity,
                                   uint32_t first, uint32_t rows) {
    const uint32_t n_sets = feature_sets(grid);
    float* out = dL_dfeatures + (size_t)first * grid.n_features;
    switch (grid.n_features) {
        case 1: write_level_gradients<1>(n_sets, dx, scale, out, capacity, rows); break;
        case 2: write_level_gradients<2>(n_sets, dx, scale, out, capacity, rows); break;
        case 4: write_level_gradients<4>(n_sets, dx, scale, out, capacity, rows); break;
        default: write_level_gradients<8>(n_sets, dx, scale, out, capacity, rows); break;
    }
}

}  // namespace
