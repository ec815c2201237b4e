// MulFAGrid in training: the multiplicative Fourier adaptive kernel over a grid in space.
// Shared memory leaves room for two blocks, each of which may have all the registers it wants.
#define GF_LEAST_BLOCKS 1
#include "grid/mulfa_tile.cuh"

namespace {

template <int F, int K> GF_FN void run_tile(const MulfaArgs& a, uint32_t tile, MulfaShared& shared, bool backward) {
    const uint32_t first = (backward ? 0 : a.samples.count[a.round]) + tile * GF_TILE;
    const uint32_t end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const MulfaTile<3, F, K> work(a, shared, first, end);
    if (backward) work.backward();
    else work.forward();
}

/// Features of a level, and whether each has its own kernel value, are known when a tile is compiled.
GF_FN void choose_tile(const MulfaArgs& a, uint32_t tile, MulfaShared& shared, bool backward) {
    const bool own = a.grid.mulfa.n_outputs > 1;
    switch (a.grid.n_features) {
        case 1: run_tile<1, 1>(a, tile, shared, backward); break;
        case 2: own ? run_tile<2, 2>(a, tile, shared, backward) : run_tile<2, 1>(a, tile, shared, backward); break;
        case 4: own ? run_tile<4, 4>(a, tile, shared, backward) : run_tile<4, 1>(a, tile, shared, backward); break;
        default: own ? run_tile<8, 8>(a, tile, shared, backward) : run_tile<8, 1>(a, tile, shared, backward); break;
    }
}

}  // namespace

GF_TILE_KERNEL(mulfa_encode, MulfaArgs, MulfaShared) { (void)j, choose_tile(a, tile, shared, false); }
GF_TILE_KERNEL(mulfa_backward, MulfaArgs, MulfaShared) { (void)j, choose_tile(a, tile, shared, true); }

// One item a prepared number: the matrices of all levels, in the order of mulfa_plan.
GF_ITEM_KERNEL(prepare_mulfa, PrepareMulfaArgs) {
    (void)j;
    const uint32_t l = i / mulfa_plan<3>(a.grid, 0).n_level;
    const MulfaPlan plan = mulfa_plan<3>(a.grid, l);
    const bool of_query = i < plan.node.weights;
    const Layer layer = of_query ? plan.query : plan.node;
    const uint32_t out = (i - layer.weights) / layer.n_in, in = (i - layer.weights) % layer.n_in;
    const float value = prepared_number<3>(a.grid, a.theta, l, of_query, out, in);
    compute_t* prepared = (compute_t*)a.prepared;
    prepared[i] = (compute_t)value;
#if !GF_SIMT
    prepared[plan.n_prepared + layer.weights + in * layer.n_out + out] = value;
#endif
}

// One item a number of theta: its gradient, from those of what was prepared.
GF_ITEM_KERNEL(mulfa_gradient, PrepareMulfaArgs) {
    (void)j;
    const MulfaLayout& m = a.grid.mulfa;
    const uint32_t t = i % m.n_theta, own = i / m.n_theta;
    float sum = 0.0f;
    GF_ROLLED
    for (uint32_t l = 0; l < m.n_levels; ++l)
        if (m.stride == 0 || l == own) sum += theta_gradient<3>(a.grid, a.theta, a.dL_dprepared, l, t);
    a.dL_dtheta[i] = sum;
}
