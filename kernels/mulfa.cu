// MulFAGrid in training: the multiplicative Fourier adaptive kernel over a grid in the plane or in space.
// Shared memory leaves room for two blocks, each of which may have all the registers it wants.
#define GF_LEAST_BLOCKS 1
#include "grid/mulfa_tile.cuh"

namespace {

template <int D, int F, int K> GF_FN void run_tile(const MulfaArgs& a, uint32_t tile, MulfaShared& shared, bool backward) {
    const uint32_t first = (backward ? 0 : a.samples.count[a.round]) + tile * GF_TILE;
    const uint32_t end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const MulfaTile<D, F, K> work(a, shared, first, end);
    if (backward) work.backward();
    else work.forward();
}

/// Features of a level, and whether each has its own kernel value, are known when a tile is compiled.
template <int D> GF_FN void choose_tile(const MulfaArgs& a, uint32_t tile, MulfaShared& shared, bool backward) {
    const bool own = a.grid.mulfa.n_outputs > 1;
    switch (a.grid.n_features) {
        case 1: run_tile<D, 1, 1>(a, tile, shared, backward); break;
        case 2: own ? run_tile<D, 2, 2>(a, tile, shared, backward) : run_tile<D, 2, 1>(a, tile, shared, backward); break;
        case 4: own ? run_tile<D, 4, 4>(a, tile, shared, backward) : run_tile<D, 4, 1>(a, tile, shared, backward); break;
        default: own ? run_tile<D, 8, 8>(a, tile, shared, backward) : run_tile<D, 8, 1>(a, tile, shared, backward); break;
    }
}

template <int D> GF_FN void prepare_number(const PrepareMulfaArgs& a, uint32_t i) {
    const uint32_t l = i / mulfa_plan<D>(a.grid, 0).n_level;
    const MulfaPlan plan = mulfa_plan<D>(a.grid, l);
    const bool of_query = i < plan.node.weights;
    const Layer layer = of_query ? plan.query : plan.node;
    const uint32_t out = (i - layer.weights) / layer.n_in, in = (i - layer.weights) % layer.n_in;
    const float value = prepared_number<D>(a.grid, a.theta, l, of_query, out, in);
    compute_t* prepared = (compute_t*)a.prepared;
    prepared[i] = (compute_t)value;
#if !GF_SIMT
    prepared[plan.n_prepared + layer.weights + in * layer.n_out + out] = value;
#endif
}

template <int D> GF_FN float gradient_of_levels(const PrepareMulfaArgs& a, uint32_t i) {
    const MulfaLayout& m = a.grid.mulfa;
    const uint32_t t = i % m.n_theta, own = i / m.n_theta;
    float sum = 0.0f;
    GF_ROLLED
    for (uint32_t l = 0; l < m.n_levels; ++l)
        if (m.stride == 0 || l == own) sum += theta_gradient<D>(a.grid, a.theta, a.dL_dprepared, l, t);
    return sum;
}

}  // namespace

GF_TILE_KERNEL(mulfa_encode_2d, MulfaArgs, MulfaShared) { (void)j, choose_tile<2>(a, tile, shared, false); }
GF_TILE_KERNEL(mulfa_encode_3d, MulfaArgs, MulfaShared) { (void)j, choose_tile<3>(a, tile, shared, false); }
GF_TILE_KERNEL(mulfa_backward_2d, MulfaArgs, MulfaShared) { (void)j, choose_tile<2>(a, tile, shared, true); }
GF_TILE_KERNEL(mulfa_backward_3d, MulfaArgs, MulfaShared) { (void)j, choose_tile<3>(a, tile, shared, true); }

// One item a prepared number: the matrices of all levels, in the order of mulfa_plan.
GF_ITEM_KERNEL(prepare_mulfa, PrepareMulfaArgs) {
    (void)j;
    if (a.grid.dimensions == 2) prepare_number<2>(a, i);
    else prepare_number<3>(a, i);
}

// One item a number of theta: its gradient, from those of what was prepared.
GF_ITEM_KERNEL(mulfa_gradient, PrepareMulfaArgs) {
    (void)j;
    a.dL_dtheta[i] = a.grid.dimensions == 2 ? gradient_of_levels<2>(a, i) : gradient_of_levels<3>(a, i);
}
