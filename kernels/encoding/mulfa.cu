// MulFAGrid in training: the multiplicative Fourier adaptive kernel with one layer, over a grid in the plane or in
// space; and the preparation of theta for any number of layers.
// Shared memory leaves room for only two blocks, each of which may use as many registers as it needs.
#define GF_LEAST_BLOCKS 1
#include "encoding/mulfa_multi_layer.cuh"
#include "encoding/mulfa_single_layer.cuh"

namespace {

/// Computes number i of the prepared numbers of all levels, and its transposed copy.
template <int D> GF_FN void prepare_number(const PrepareMulfaArgs& a, uint32_t i) {
    const bool is_turned = a.grid.mulfa.depth == 1;
    const uint32_t n_level = is_turned ? turned_plan<D>(a.grid, 0).n_level : LayeredPlan<D>(a.grid, 0).n_level;
    const uint32_t l = i / n_level;
    Layer layer;
    const float value =
        is_turned ? turned_number<D>(a.grid, a.theta, l, i, layer) : layered_number<D>(a.grid, a.theta, l, i, layer);
    compute_t* prepared = (compute_t*)a.prepared;
    prepared[i] = (compute_t)value;
    const uint32_t out = (i - layer.weights) / layer.n_in, in = (i - layer.weights) % layer.n_in;
    prepared[a.grid.mulfa.n_levels * n_level + layer.weights + in * layer.n_out + out] = (compute_t)value;
}

template <int D> GF_FN float gradient_of_levels(const PrepareMulfaArgs& a, uint32_t i) {
    const MulfaLayout& m = a.grid.mulfa;
    const uint32_t t = i % m.n_theta, own = i / m.n_theta;
    float sum = 0.0f;
    GF_ROLLED
    for (uint32_t l = 0; l < m.n_levels; ++l) {
        if (m.stride != 0 && l != own) continue;
        sum += m.depth == 1 ? turned_gradient<D>(a.grid, a.theta, a.dL_dprepared, l, t)
                            : layered_gradient<D>(a.grid, a.dL_dprepared, l, t);
    }
    return sum;
}

}  // namespace

GF_TILE_KERNEL(mulfa_encode_2d, MulfaArgs, TurnedShared) { choose_tile<2, TurnedValues>(a, tile, shared, false); }
GF_TILE_KERNEL(mulfa_encode_3d, MulfaArgs, TurnedShared) { choose_tile<3, TurnedValues>(a, tile, shared, false); }
GF_TILE_KERNEL(mulfa_backward_2d, MulfaArgs, TurnedShared) { choose_tile<2, TurnedValues>(a, tile, shared, true); }
GF_TILE_KERNEL(mulfa_backward_3d, MulfaArgs, TurnedShared) { choose_tile<3, TurnedValues>(a, tile, shared, true); }

// One item per prepared number: the matrices of all levels, in the order of turned_plan or LayeredPlan.
GF_ITEM_KERNEL(prepare_mulfa, PrepareMulfaArgs) {
    if (a.grid.dimensions == 2) prepare_number<2>(a, i);
    else prepare_number<3>(a, i);
}

// One item per number of theta: its gradient, from the gradients with respect to the prepared numbers.
GF_ITEM_KERNEL(mulfa_gradient, PrepareMulfaArgs) {
    a.dL_dtheta[i] = a.grid.dimensions == 2 ? gradient_of_levels<2>(a, i) : gradient_of_levels<3>(a, i);
}
