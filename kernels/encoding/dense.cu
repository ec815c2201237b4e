// Dense grids in training: raising their resolution, and total variation.
#include "encoding/encode.cuh"

namespace {

/// Finds the node of an entry of a dense level, x fastest. For padding entries, the last coordinate is past the last
/// node.
template <int D> GF_FN void node_of(const GridLevel& level, uint32_t entry, uint32_t node[D]) {
    const uint32_t r = level.resolution;
    for (int k = 0; k < D - 1; ++k, entry /= r) node[k] = entry % r;
    node[D - 1] = entry;
}

/// Sets the nodes of the finer level to the interpolated features of the coarse level at their positions, clamped to
/// the cube.
template <int D, int F> GF_FN void resample_entry(const ResampleArgs& a, uint32_t i, uint32_t l) {
    const GridLevel from = a.from.levels[l], to = a.to.levels[l];
    uint32_t node[D];
    node_of<D>(to, i, node);
    float x[D], features[F] = {};
    GF_UNROLL
    for (int k = 0; k < D; ++k) x[k] = clamp_to(((float)node[k] - 0.5f) / to.scale, 0.0f, 1.0f);
    if (node[D - 1] < to.resolution)  // otherwise the entry is padding
        gather<float, D, F>(active_nodes<float, D, false>(from, from.scale, a.from.kernel, x), a.coarse, features);
    GF_UNROLL
    for (int f = 0; f < F; ++f) a.fine[((size_t)to.offset + i) * F + f] = features[f];
}

/// gradient_i += weight sum over the neighbours j of node i of (w_i - w_j)
template <int D, int F> GF_FN void add_variation(const VariationArgs& a, uint32_t i, uint32_t l) {
    const GridLevel level = a.grid.levels[l];
    uint32_t node[D];
    node_of<D>(level, i, node);
    if (node[D - 1] >= level.resolution) return;
    const float* own = a.table + ((size_t)level.offset + i) * F;
    float sum[F] = {};
    size_t stride = F;
    GF_UNROLL
    for (int k = 0; k < D; ++k, stride *= level.resolution) {
        const float* below = node[k] > 0 ? own - stride : own;
        const float* above = node[k] + 1 < level.resolution ? own + stride : own;
        GF_UNROLL
        for (int f = 0; f < F; ++f) sum[f] += (own[f] - below[f]) + (own[f] - above[f]);
    }
    float* gradient = a.gradient + ((size_t)level.offset + i) * F;
    GF_UNROLL
    for (int f = 0; f < F; ++f) gradient[f] += a.weight * sum[f];
}

template <int D> GF_FN void resample_entry_in(const ResampleArgs& a, uint32_t i, uint32_t l) {
    switch (a.to.n_features) {
        case 1: resample_entry<D, 1>(a, i, l); break;
        case 2: resample_entry<D, 2>(a, i, l); break;
        case 4: resample_entry<D, 4>(a, i, l); break;
        default: resample_entry<D, 8>(a, i, l); break;
    }
}

template <int D> GF_FN void add_variation_in(const VariationArgs& a, uint32_t i, uint32_t l) {
    switch (a.grid.n_features) {
        case 1: add_variation<D, 1>(a, i, l); break;
        case 2: add_variation<D, 2>(a, i, l); break;
        case 4: add_variation<D, 4>(a, i, l); break;
        default: add_variation<D, 8>(a, i, l); break;
    }
}

}  // namespace

// One item per entry of the finer level, one row per level.
GF_ITEM_KERNEL(resample_levels, ResampleArgs) {
    if (i >= a.to.levels[j].entries) return;
    if (a.to.dimensions == 2) resample_entry_in<2>(a, i, j);
    else resample_entry_in<3>(a, i, j);
}

// The gradient of V(w) = weight / 2 sum over pairs of neighbouring nodes |w_i - w_j|^2, the squared total variation
// (Sun et al., DVGO, CVPR 2022, section 3, use a Huber norm). One item per entry, and no other item writes to that
// entry; one row per level.
GF_ITEM_KERNEL(total_variation, VariationArgs) {
    if (i >= a.grid.levels[j].entries) return;
    if (a.grid.dimensions == 2) add_variation_in<2>(a, i, j);
    else add_variation_in<3>(a, i, j);
}
