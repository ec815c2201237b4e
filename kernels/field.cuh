// The radiance field at a tile of samples: grid features -> density network -> colour network, forward and backward.
//
//   features = grid(position)                          [n, E]
//   h        = density network(features)               [n, 16],  density = exp(h_0)
//   colour   = logistic(colour network(h, SH(d)))      [n, 3]
// Hidden layers end in a ReLU; there are no biases (Instant-NGP, Mueller et al. 2022, section 5.4).
#pragma once
#include "grid/encode.cuh"
#include "sphere.cuh"
#include "tile.cuh"

#define GF_DENSITY_OUT 16  // width of the density network's output and of the colour network's direction input
#define GF_LOG_DENSITY_LIMIT 15.0f

// Gradients of samples far from any surface would fall below the smallest fp16 number on their way back: they are scaled
// up before it and down after it (Micikevicius et al., "Mixed precision training", ICLR 2018). Before, they are below 1.
#if GF_SIMT
#define GF_LOSS_SCALE 128.0f
#else
#define GF_LOSS_SCALE 1.0f
#endif

namespace {

/// Scratch of a block: inputs and outputs of a layer, by turns. W is the widest layer.
template <int W> struct FieldShared {
#if GF_SIMT
    static const uint32_t stride = W + 8;  // 16 bytes more: rows begin in different banks
#else
    static const uint32_t stride = W;
#endif
    alignas(64) compute_t a[GF_TILE * stride];
    alignas(64) compute_t b[GF_TILE * stride];
    TileScratch scratch;
};

/// Density from the network's first output; the derivative is cut where the activation is.
GF_FN float density_of(float raw) { return expf(min_of(raw, GF_LOG_DENSITY_LIMIT)); }

GF_FN float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

/// Features of all levels of each sample of the tile: those of level l in columns [l F, l F + F) of x, or averaged in the
/// first F.
template <int F>
GF_FN void encode_levels(const GridLayout& grid, const compute_t* table, PointTile<3>& points, Matrix x, uint32_t rows) {
    const float share = level_share<float>(grid);
    PerSample<float> sum[F];
    GF_ROLLED
    for (uint32_t l = 0; l < grid.n_levels; ++l) {
        const GridLevel level = grid.levels[l];
        PointTile<3> own;
        ActiveTile<3> active;
        level_points<3>(level, points, rows, own);
        find_active_tile<3, F>(level, grid.kernel, own, rows, table, active);
        const uint32_t column = feature_set(grid, l) * F;
        GF_FOR_EACH_IN_TILE(s, rows) {
            float features[F];
            gather<float, 3, F>(active.at(s), table, features);
            if (grid.averaged) {
                GF_UNROLL
                for (int f = 0; f < F; ++f) features[f] = sum[f][s] = (l ? sum[f][s] : 0.0f) + share * features[f];
            }
            for (int f = 0; f < F; ++f) x.row(s)[column + f] = (compute_t)features[f];
        }
    }
}

/// Features of all levels; columns up to the next multiple of 16 are zero.
GF_FN void encode_tile(const GridLayout& grid, const compute_t* table, const float* position, Matrix x, uint32_t rows,
                       uint32_t n_in) {
    PointTile<3> points = load_points<3>(position, rows);
    switch (grid.n_features) {
        case 1: encode_levels<1>(grid, table, points, x, rows); break;
        case 2: encode_levels<2>(grid, table, points, x, rows); break;
        case 4: encode_levels<4>(grid, table, points, x, rows); break;
        default: encode_levels<8>(grid, table, points, x, rows); break;
    }
    const uint32_t used = feature_sets(grid) * grid.n_features;
    GF_FOR_EACH_IN_TILE(s, rows) {
        for (uint32_t c = used; c < n_in; ++c) x.row(s)[c] = (compute_t)0.0f;
    }
}

/// Matrix of the inputs of a layer, kept from forward to backward: [S, n_in], one layer after the other.
GF_FN Matrix kept_input(const FieldArgs& a, uint32_t layer, uint32_t first) {
    size_t columns = 0;
    for (uint32_t l = 0; l < layer; ++l) columns += a.network.layers[l].n_in;
    const uint32_t n_in = a.network.layers[layer].n_in;
    return {(compute_t*)a.activations + columns * a.samples.capacity + (size_t)first * n_in, n_in};
}

/// Inputs of the density network's layers run from `x` through `layers`; returns the matrix of the last output.
/// On the host, layers write straight into the kept matrices; a block of threads works in shared memory and copies.
template <int W> struct Flow {
    const FieldArgs& a;
    FieldShared<W>& shared;
    uint32_t first, rows;

    GF_FN Matrix input(uint32_t layer) const {
#if !GF_SIMT
        if (a.activations && layer < a.network.n_density_layers + a.network.n_color_layers)
            return kept_input(a, layer, first);
#endif
        return {layer % 2 ? shared.b : shared.a, FieldShared<W>::stride};
    }

    GF_FN void keep(uint32_t layer, Matrix x) const {
#if GF_SIMT
        if (a.activations) copy_tile(x, kept_input(a, layer, first), rows, a.network.layers[layer].n_in);
#else
        (void)layer, (void)x;  // already in place
#endif
    }

    /// Runs layers [begin, end); the last has no ReLU.
    GF_FN Matrix run(Matrix x, uint32_t begin, uint32_t end) const {
        const compute_t* weights = (const compute_t*)a.weights;
        for (uint32_t l = begin; l < end; ++l) {
            keep(l, x);
            const Matrix y = input(l + 1);
            tile_forward(shared.scratch, x, a.network.layers[l], weights, a.network.n_weights, y, rows, l + 1 < end);
            tile_sync();
            x = y;
        }
        return x;
    }
};

template <int W> GF_FN void field_forward_tile(const FieldArgs& a, uint32_t tile, FieldShared<W>& shared) {
    // Marching counts on past the capacity when samples find no room.
    const uint32_t first = a.samples.count[a.round] + tile * GF_TILE;
    const uint32_t end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const Flow<W> flow = {a, shared, first, min_of(end - first, (uint32_t)GF_TILE)};
    const uint32_t n_density = a.network.n_density_layers, n_layers = n_density + a.network.n_color_layers;
    Matrix x = flow.input(0);
    const uint32_t n_in = a.network.layers[0].n_in;
    if (a.features) copy_tile({(compute_t*)a.features + (size_t)first * n_in, n_in}, x, flow.rows, n_in);
    else encode_tile(a.grid, (const compute_t*)a.table, a.samples.position + 3 * (size_t)first, x, flow.rows, n_in);
    tile_sync();
    x = flow.run(x, 0, n_density);
    GF_FOR_EACH_IN_TILE(s, flow.rows) {
        a.samples.density[first + s] = density_of((float)x.row(s)[0]);
    }
    if (a.density_only) return;
    GF_FOR_EACH_IN_TILE(s, flow.rows) {
        const uint32_t ray = a.samples.ray[first + s];
        const float direction[3] = {a.rays.view[ray], a.rays.view[a.rays.capacity + ray],
                                    a.rays.view[2 * (size_t)a.rays.capacity + ray]};
        float basis[16];
        spherical_harmonics(direction, a.network.sh_degree, basis);
        for (int i = 0; i < 16; ++i) x.row(s)[GF_DENSITY_OUT + i] = (compute_t)basis[i];
    }
    tile_sync();
    x = flow.run(x, n_density, n_layers);
    GF_FOR_EACH_IN_TILE(s, flow.rows) {
        for (int c = 0; c < 3; ++c) a.samples.color[3 * (size_t)(first + s) + c] = logistic((float)x.row(s)[c]);
    }
}

/// Gradients of a layer, from dy (its output) to dx (its input).
template <int W> struct BackwardFlow {
    const FieldArgs& a;
    FieldShared<W>& shared;
    uint32_t first, rows;

    /// The layer's input: where it was kept (host), or fetched into the buffer that dx will overwrite.
    GF_FN Matrix fetch(uint32_t layer, Matrix buffer) const {
        const Matrix kept = kept_input(a, layer, first);
#if GF_SIMT
        copy_tile(kept, buffer, rows, a.network.layers[layer].n_in);
        for (uint32_t s = rows + threadIdx.x; s < GF_TILE; s += GF_TILE)
            for (uint32_t c = 0; c < a.network.layers[layer].n_in; ++c) buffer.row(s)[c] = (compute_t)0.0f;
        return buffer;
#else
        (void)buffer;
        return kept;
#endif
    }

    GF_FN void layer(uint32_t l, Matrix dy, Matrix dx) const {
        const bool after_relu = l != 0 && l != a.network.n_density_layers;
        const Matrix x = fetch(l, dx);
        tile_sync();
        tile_backward_weights(shared.scratch, dy, x, a.network.layers[l], 1.0f / GF_LOSS_SCALE, a.dL_dweights, rows);
        tile_sync();
        tile_backward_input(shared.scratch, dy, a.network.layers[l], (const compute_t*)a.weights, a.network.n_weights, x,
                            dx, rows, after_relu);
        tile_sync();
    }
};

/// Writes columns of a tile's gradient as [L, S, F], or of averaged levels as [S, F].
GF_FN void write_feature_gradients(const FieldArgs& a, Matrix dx, uint32_t first, uint32_t rows) {
    const uint32_t n_features = a.grid.n_features;
    GF_FOR_EACH_IN_TILE(s, rows) {
        for (uint32_t l = 0; l < feature_sets(a.grid); ++l)
            for (uint32_t f = 0; f < n_features; ++f)
                a.dL_dfeatures[((size_t)l * a.samples.capacity + first + s) * n_features + f] =
                    (float)dx.row(s)[l * n_features + f] * (1.0f / GF_LOSS_SCALE);
    }
}

/// From the gradient by the colour network's inputs, of which the last 16 are spherical harmonics, that by the direction.
GF_FN void write_view_gradients(const FieldArgs& a, Matrix dx, uint32_t first, uint32_t rows) {
    GF_FOR_EACH_IN_TILE(s, rows) {
        const uint32_t ray = a.samples.ray[first + s];
        float direction[3], dL_dbasis[16], dL_dview[3] = {};
        for (int k = 0; k < 3; ++k) direction[k] = a.rays.view[k * (size_t)a.rays.capacity + ray];
        for (int i = 0; i < 16; ++i) dL_dbasis[i] = (float)dx.row(s)[GF_DENSITY_OUT + i] * (1.0f / GF_LOSS_SCALE);
        add_harmonics_gradient(direction, a.network.sh_degree, dL_dbasis, dL_dview);
        for (int k = 0; k < 3; ++k) a.dL_dview[3 * (size_t)(first + s) + k] = dL_dview[k];
    }
}

template <int W> GF_FN void field_backward_tile(const FieldArgs& a, uint32_t tile, FieldShared<W>& shared) {
    const uint32_t first = tile * GF_TILE, end = a.samples.count[a.round + 1];
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    const BackwardFlow<W> flow = {a, shared, first, rows};
    const uint32_t n_density = a.network.n_density_layers, n_layers = n_density + a.network.n_color_layers;
    Matrix dy = {shared.a, FieldShared<W>::stride}, dx = {shared.b, FieldShared<W>::stride};
    GF_FOR_EACH_IN_TILE(s, (uint32_t)GF_TILE) {
        for (int c = 0; c < 16; ++c)
            dy.row(s)[c] = (compute_t)(
                s < rows && c < 3 ? GF_LOSS_SCALE * a.samples.dL_dcolor[3 * (size_t)(first + s) + c] : 0.0f);
    }
    for (uint32_t l = n_layers; l-- > 0;) {
        flow.layer(l, dy, dx);
        const Matrix swap = dy;
        dy = dx;
        dx = swap;
        if (l == n_density) {
            if (a.dL_dview) write_view_gradients(a, dy, first, rows);
            GF_FOR_EACH_IN_TILE(s, rows) {
                dy.row(s)[0] = (compute_t)((float)dy.row(s)[0] + GF_LOSS_SCALE * a.samples.dL_ddensity[first + s]);
            }
        }
    }
    write_feature_gradients(a, dy, first, rows);
}

}  // namespace
