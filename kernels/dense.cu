// Dense grids in training: their resolution raised on the way, and their total variation.
#include "grid/encode.cuh"

namespace {

/// A node of a dense level from its entry, x fastest.
GF_FN void node_of(const GridLevel& level, uint32_t entry, uint32_t node[3]) {
    const uint32_t r = level.resolution;
    node[0] = entry % r;
    node[1] = entry / r % r;
    node[2] = entry / r / r;
}

/// The finer level's nodes get what the coarse level gives at their places; those outside of the cube what its faces give.
template <int F> GF_FN void resample_entry(const ResampleArgs& a, uint32_t i, uint32_t l) {
    const GridLevel from = a.from.levels[l], to = a.to.levels[l];
    uint32_t node[3];
    node_of(to, i, node);
    float x[3], features[F] = {};
    GF_UNROLL
    for (int k = 0; k < 3; ++k) x[k] = clamp_to(((float)node[k] - 0.5f) / to.scale, 0.0f, 1.0f);
    if (node[2] < to.resolution)  // else the entry is padding
        gather<float, 3, F>(active_nodes<float, 3, false>(from, from.scale, a.from.kernel, x), a.coarse, features);
    GF_UNROLL
    for (int f = 0; f < F; ++f) a.fine[((size_t)to.offset + i) * F + f] = features[f];
}

/// gradient_i += weight sum over the neighbours j of node i of (w_i - w_j)
template <int F> GF_FN void add_variation(const VariationArgs& a, uint32_t i, uint32_t l) {
    const GridLevel level = a.grid.levels[l];
    uint32_t node[3];
    node_of(level, i, node);
    if (node[2] >= level.resolution) return;
    const float* own = a.table + ((size_t)level.offset + i) * F;
    float sum[F] = {};
    size_t stride = F;
    GF_UNROLL
    for (int k = 0; k < 3; ++k, stride *= level.resolution) {
        const float* below = node[k] > 0 ? own - stride : own;
        const float* above = node[k] + 1 < level.resolution ? own + stride : own;
        GF_UNROLL
        for (int f = 0; f < F; ++f) sum[f] += (own[f] - below[f]) + (own[f] - above[f]);
    }
    float* gradient = a.gradient + ((size_t)level.offset + i) * F;
    GF_UNROLL
    for (int f = 0; f < F; ++f) gradient[f] += a.weight * sum[f];
}

}  // namespace

// One item an entry of the level's finer version, one row a level.
GF_ITEM_KERNEL(resample_levels, ResampleArgs) {
    if (i >= a.to.levels[j].entries) return;
    switch (a.to.n_features) {
        case 1: resample_entry<1>(a, i, j); break;
        case 2: resample_entry<2>(a, i, j); break;
        case 4: resample_entry<4>(a, i, j); break;
        default: resample_entry<8>(a, i, j); break;
    }
}

// Of V(w) = weight / 2 sum over pairs of neighbouring nodes |w_i - w_j|^2, the squared total variation (Sun et al., DVGO,
// CVPR 2022, section 3, has it with a Huber norm). One item an entry, which it alone writes; one row a level.
GF_ITEM_KERNEL(total_variation, VariationArgs) {
    if (i >= a.grid.levels[j].entries) return;
    switch (a.grid.n_features) {
        case 1: add_variation<1>(a, i, j); break;
        case 2: add_variation<2>(a, i, j); break;
        case 4: add_variation<4>(a, i, j); break;
        default: add_variation<8>(a, i, j); break;
    }
}
