// Kernels of the radiance field, for networks up to 64 and up to 128 neurons wide.
#include "radiance/field.cuh"

GF_TILE_KERNEL(field_forward_64, FieldArgs, NetworkShared<64>) { field_forward_tile(a, tile, shared); }
GF_TILE_KERNEL(field_forward_128, FieldArgs, NetworkShared<128>) { field_forward_tile(a, tile, shared); }
GF_TILE_KERNEL(field_backward_64, FieldArgs, NetworkShared<64>) { field_backward_tile(a, tile, shared); }
GF_TILE_KERNEL(field_backward_128, FieldArgs, NetworkShared<128>) { field_backward_tile(a, tile, shared); }

// The encoding alone, written to the saved inputs of the first layer: for measurements.
GF_TILE_KERNEL(encode_samples, FieldArgs, NetworkShared<128>) {
    const uint32_t first = tile * GF_TILE, end = a.samples.count[a.round + 1];
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE), n_in = a.network.layers[0].n_in;
    const Matrix x = {shared.a, n_in};
    encode_tile<3>(a.grid, (const compute_t*)a.table, a.samples.position + 3 * (size_t)first, x, rows, n_in);
    tile_sync();
    copy_tile(x, network_tile(a, first, rows).saved_input(0), rows, n_in);
}

// The copies of the weights that the tile primitives compute with: W of all layers, followed by W^T of all layers. One
// item per weight.
GF_ITEM_KERNEL(prepare_weights, PrepareWeightsArgs) {
    compute_t* compute = (compute_t*)a.compute;
    compute[i] = (compute_t)a.weights[i];
    const uint32_t n_layers = a.network.n_density_layers + a.network.n_color_layers;
    uint32_t l = 0;
    while (l + 1 < n_layers && i >= a.network.layers[l + 1].weights) ++l;
    const Layer layer = a.network.layers[l];
    const uint32_t out = (i - layer.weights) / layer.n_in, in = (i - layer.weights) % layer.n_in;
    compute[a.network.n_weights + layer.weights + in * layer.n_out + out] = (compute_t)a.weights[i];
}
