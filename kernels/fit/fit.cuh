// A field fitted to values, at a tile of samples: grid features -> one network -> values, forward and backward.
//
//   features = grid(position)     [n, E]
//   values   = network(features)  [n, n_outputs], without an activation after the last layer
#pragma once
#include "encoding/features.cuh"
#include "network/mlp.cuh"

namespace {

template <int W> GF_FN void fit_forward_tile(const FitArgs& a, uint32_t tile, NetworkShared<W>& shared) {
    const uint32_t first = tile * GF_TILE, end = a.samples.count[1];
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE), n_in = a.network.layers[0].n_in;
    const Flow<W> flow = {network_tile(a, first, rows), shared};
    const Matrix x = flow.input(0);
    const float* position = a.samples.position + a.grid.dimensions * (size_t)first;
    if (a.features) copy_tile({(compute_t*)a.features + (size_t)first * n_in, n_in}, x, rows, n_in);
    else if (a.grid.dimensions == 2) encode_tile<2>(a.grid, (const compute_t*)a.table, position, x, rows, n_in);
    else encode_tile<3>(a.grid, (const compute_t*)a.table, position, x, rows, n_in);
    tile_sync();
    const Matrix y = flow.run(0, flow.at.n_layers());
    GF_FOR_EACH_IN_TILE(s, rows) {
        for (uint32_t c = 0; c < a.n_outputs; ++c) a.output[(size_t)(first + s) * a.n_outputs + c] = (float)y.row(s)[c];
    }
}

template <int W> GF_FN void fit_backward_tile(const FitArgs& a, uint32_t tile, NetworkShared<W>& shared) {
    const uint32_t first = tile * GF_TILE, end = a.samples.count[1];
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    const BackwardFlow<W> flow = {network_tile(a, first, rows), shared, a.dL_dweights};
    const uint32_t n_layers = flow.at.n_layers();
    load_value_gradients(a.dL_doutput, a.n_outputs, first, rows, GF_TILE, flow.gradient(n_layers));
    const Matrix dx = flow.run([](uint32_t) {});
    write_feature_gradients(a.grid, dx, 1.0f / GF_LOSS_SCALE, a.dL_dfeatures, a.samples.capacity, first, rows);
}

}  // namespace
