// Grid kernels outside the fused field: encoding by level, scattering gradients into the table, initial parameters.
#include "encoding/encode.cuh"
#include "core/rng.cuh"
#include "core/tile.cuh"

namespace {

template <int D, int F> GF_FN void scatter_tile(const ScatterArgs& a, uint32_t first, uint32_t rows, uint32_t l) {
    const GridLevel level = a.grid.levels[l];
    const float* dL_dfeatures = a.dL_dfeatures + ((size_t)feature_set(a.grid, l) * a.capacity + first) * F;
    const float share = level_share<float>(a.grid);
    PointTile<D> points = load_points<D>(a.position + D * (size_t)first, rows), own;
    ActiveTile<D> active;
    level_points<D>(level, points, rows, own);
    find_active_tile<D, F>(level, a.grid.kernel, own, rows, a.gradient, active);
    if (!a.phi || l >= a.grid.mulfa.n_levels) {
        GF_FOR_EACH_IN_TILE(s, rows) {
            float values[F];
            GF_UNROLL
            for (int f = 0; f < F; ++f) values[f] = share * dL_dfeatures[(size_t)s * F + f];
            scatter<float, D, F>(active.at(s), values, a.gradient);
        }
        return;
    }
    const uint32_t n_outputs = a.grid.mulfa.n_outputs, n_values = n_outputs << D;
    const float* phi = a.phi + ((size_t)l * a.capacity + first) * n_values;
    GF_FOR_EACH_IN_TILE(s, rows) {
        scatter_learned<D, F>(active.at(s), phi + (size_t)s * n_values, n_outputs, dL_dfeatures + (size_t)s * F,
                              a.gradient);
    }
}

template <int D, int F> GF_FN void encode_level(const EncodeLevelsArgs& a, uint32_t first, uint32_t rows, uint32_t l) {
    const GridLevel level = a.grid.levels[l];
    const compute_t* table = (const compute_t*)a.table;
    PointTile<D> points = load_points<D>(a.samples.position + D * (size_t)first, rows);
    ActiveTile<D> active;
    find_active_tile<D, F>(level, a.grid.kernel, points, rows, table, active);
    GF_FOR_EACH_IN_TILE(s, rows) {
        float features[F];
        Pack<compute_t, F> stored;
        gather<float, D, F>(active.at(s), table, features);
        GF_UNROLL
        for (int f = 0; f < F; ++f) stored.value[f] = (compute_t)features[f];
        *(Pack<compute_t, F>*)((compute_t*)a.features + (size_t)(first + s) * a.n_in + l * F) = stored;
    }
}

template <int D> GF_FN void encode_in(const EncodeLevelsArgs& a, uint32_t first, uint32_t rows, uint32_t l) {
    switch (a.grid.n_features) {
        case 1: encode_level<D, 1>(a, first, rows, l); break;
        case 2: encode_level<D, 2>(a, first, rows, l); break;
        case 4: encode_level<D, 4>(a, first, rows, l); break;
        default: encode_level<D, 8>(a, first, rows, l); break;
    }
}

template <int D> GF_FN void scatter_in(const ScatterArgs& a, uint32_t first, uint32_t rows, uint32_t l) {
    switch (a.grid.n_features) {
        case 1: scatter_tile<D, 1>(a, first, rows, l); break;
        case 2: scatter_tile<D, 2>(a, first, rows, l); break;
        case 4: scatter_tile<D, 4>(a, first, rows, l); break;
        default: scatter_tile<D, 8>(a, first, rows, l); break;
    }
}

}  // namespace

// One row per level, from first_level on. A GPU that processes one level after another finds the level's table in the
// second-level cache. Each block processes GF_ENCODE_TILES tiles, since in later rounds most blocks would have nothing
// to do.
GF_TILE_KERNEL(encode_levels, EncodeLevelsArgs, NoShared) {
    const uint32_t begin = a.samples.count[a.round] + tile * GF_ENCODE_TILES * GF_TILE;
    const uint32_t end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    for (uint32_t t = 0; t < GF_ENCODE_TILES; ++t) {
        const uint32_t first = begin + t * GF_TILE;
        if (first >= end) return;
        const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
        if (a.grid.dimensions == 2) encode_in<2>(a, first, rows, a.first_level + j);
        else encode_in<3>(a, first, rows, a.first_level + j);
    }
}

// One row per level: gradient[entry, f] += weight dL_dfeatures[f]. On the host, one thread owns a level and adds the
// samples in order, so the sums do not depend on the number of threads.
GF_TILE_KERNEL(grid_scatter, ScatterArgs, NoShared) {
    const uint32_t first = tile * GF_TILE, end = *a.count;
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    if (a.grid.dimensions == 2) scatter_in<2>(a, first, rows, j);
    else scatter_in<3>(a, first, rows, j);
}

// One item per parameter: uniform in [-range, range).
GF_ITEM_KERNEL(uniform_parameters, UniformArgs) {
    const Random4 draw = random_draw(a.seed, RANDOM_PARAMETERS, a.stream, i);
    a.value[i] = a.range * (2.0f * random_unit(draw.x[0]) - 1.0f);
}
