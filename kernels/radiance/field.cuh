// The radiance field at a tile of samples: grid features -> density network -> colour network, forward and backward.
//
//   features = grid(position)                          [n, E]
//   h        = density network(features)               [n, 16],  density = exp(h_0)
//   colour   = logistic(colour network(h, SH(d)))      [n, 3]
// Hidden layers end in a ReLU; there are no biases (Instant-NGP, Mueller et al. 2022, section 5.4).
#pragma once
#include "encoding/features.cuh"
#include "network/mlp.cuh"
#include "encoding/spherical_harmonics.cuh"

#define GF_DENSITY_OUT 16  // width of the density network's output; harmonics follow it in the colour network's input
#define GF_LOG_DENSITY_LIMIT 15.0f

namespace {

/// Returns the density from the network's first output, exp clamped at its limit. The backward pass takes the clamped
/// density as the derivative.
GF_FN float density_of(float raw) { return expf(min_of(raw, GF_LOG_DENSITY_LIMIT)); }

GF_FN float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

template <int W> GF_FN void field_forward_tile(const FieldArgs& a, uint32_t tile, NetworkShared<W>& shared) {
    // Marching keeps counting past the capacity when samples do not fit.
    const uint32_t first = a.samples.count[a.round] + tile * GF_TILE;
    const uint32_t end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    const Flow<W> flow = {network_tile(a, first, rows), shared};
    const uint32_t n_density = a.network.n_density_layers;
    const Matrix x = flow.input(0);
    const uint32_t n_in = a.network.layers[0].n_in;
    if (a.features) copy_tile({(compute_t*)a.features + (size_t)first * n_in, n_in}, x, rows, n_in);
    else encode_tile<3>(a.grid, (const compute_t*)a.table, a.samples.position + 3 * (size_t)first, x, rows, n_in);
    tile_sync();
    const Matrix h = flow.run(0, n_density);  // and, in the columns after it, the other inputs of the colour network
    GF_FOR_EACH_IN_TILE(s, rows) {
        a.samples.density[first + s] = density_of((float)h.row(s)[0]);
    }
    if (a.density_only) return;
    const uint32_t n_harmonics = a.network.layers[n_density].n_in - GF_DENSITY_OUT;
    GF_FOR_EACH_IN_TILE(s, rows) {
        const uint32_t ray = a.samples.ray[first + s];
        const float direction[3] = {a.rays.view[ray], a.rays.view[a.rays.capacity + ray],
                                    a.rays.view[2 * (size_t)a.rays.capacity + ray]};
        spherical_harmonics(direction, a.network.sh_degree, n_harmonics, h.row(s) + GF_DENSITY_OUT);
    }
    tile_sync();
    const Matrix color = flow.run(n_density, flow.at.n_layers());
    GF_FOR_EACH_IN_TILE(s, rows) {
        for (int c = 0; c < 3; ++c) a.samples.color[3 * (size_t)(first + s) + c] = logistic((float)color.row(s)[c]);
    }
}

/// Converts the gradient with respect to the colour network's inputs, of which those behind the density network's outputs
/// are spherical harmonics, into the gradient with respect to the viewing direction.
GF_FN void write_view_gradients(const FieldArgs& a, Matrix dx, uint32_t first, uint32_t rows) {
    GF_FOR_EACH_IN_TILE(s, rows) {
        const uint32_t ray = a.samples.ray[first + s];
        float direction[3], dL_dview[3] = {};
        for (int k = 0; k < 3; ++k) direction[k] = a.rays.view[k * (size_t)a.rays.capacity + ray];
        const compute_t* dL_dbasis = dx.row(s) + GF_DENSITY_OUT;
        const auto gradient = [=](int i) { return (float)dL_dbasis[i] * (1.0f / GF_LOSS_SCALE); };
        add_harmonics_gradient(direction, a.network.sh_degree, gradient, dL_dview);
        for (int k = 0; k < 3; ++k) a.dL_dview[3 * (size_t)(first + s) + k] = dL_dview[k];
    }
}

template <int W> GF_FN void field_backward_tile(const FieldArgs& a, uint32_t tile, NetworkShared<W>& shared) {
    const uint32_t first = tile * GF_TILE, end = a.samples.count[a.round + 1];
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    const BackwardFlow<W> flow = {network_tile(a, first, rows), shared, a.dL_dweights};
    const uint32_t n_density = a.network.n_density_layers, n_layers = flow.at.n_layers();
    load_value_gradients(a.samples.dL_dcolor, 3, first, rows, GF_TILE, flow.gradient(n_layers));
    const Matrix dx = flow.run([&](uint32_t layer) {
        if (layer != n_density) return;
        const Matrix dh = flow.gradient(layer);
        if (a.dL_dview) write_view_gradients(a, dh, first, rows);
        GF_FOR_EACH_IN_TILE(s, rows) {
            dh.row(s)[0] = (compute_t)((float)dh.row(s)[0] + GF_LOSS_SCALE * a.samples.dL_ddensity[first + s]);
        }
    });
    write_feature_gradients(a.grid, dx, 1.0f / GF_LOSS_SCALE, a.dL_dfeatures, a.samples.capacity, first, rows);
}

}  // namespace
