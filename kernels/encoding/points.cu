// A field whose nodes are points: the encoding, the active nodes and weights saved for the backward pass, and
// scattering gradients into the table.
#define GF_LEAST_BLOCKS 1
#include "encoding/points.cuh"

namespace {

template <int F> GF_FN void gather_points(const PointsArgs& a, const ActivePoints<float>& active, uint32_t s) {
    float features[F] = {};
    GF_UNROLL
    for (int n = 0; n <= GF_NEAREST; ++n) {
        // A slot without a node refers to the out-of-reach row, with weight zero.
        const uint32_t entry = n < GF_NEAREST ? active.node[n % GF_NEAREST] : a.points.n_nodes;
        const Pack<compute_t, F> stored = *(const Pack<compute_t, F>*)((const compute_t*)a.table + (size_t)entry * F);
        GF_UNROLL
        for (int f = 0; f < F; ++f) features[f] += active.phi[n] * (float)stored.value[f];
    }
    compute_t* row = (compute_t*)a.features + (size_t)s * a.n_in;
    GF_UNROLL
    for (int f = 0; f < F; ++f) row[f] = (compute_t)features[f];
    for (uint32_t c = F; c < a.n_in; ++c) row[c] = (compute_t)0.0f;
}

/// Returns the saved nodes of the samples, which follow the weights.
GF_FN uint32_t* kept_nodes(const float* kept, uint32_t capacity) {
    return (uint32_t*)(kept + (size_t)capacity * (GF_NEAREST + 1));
}

template <int F> GF_FN void scatter_part(const PointsScatterArgs& a, uint32_t first, uint32_t rows, uint32_t part) {
    const uint32_t each = (a.n_nodes + a.n_parts) / a.n_parts;  // rows of the table, rounded up
    const uint32_t begin = part * each, end = begin + each;
    GF_FOR_EACH_IN_TILE(s, rows) {
        const float* phi = a.kept + (size_t)(first + s) * (GF_NEAREST + 1);
        const uint32_t* node = kept_nodes(a.kept, a.capacity) + (size_t)(first + s) * GF_NEAREST;
        float values[F];
        GF_UNROLL
        for (int f = 0; f < F; ++f) values[f] = a.dL_dfeatures[(size_t)(first + s) * F + f];
        GF_ROLLED
        for (int n = 0; n <= GF_NEAREST; ++n) {
            const uint32_t entry = n < GF_NEAREST ? node[n] : a.n_nodes;
            const float weight = phi[n];
            if (entry < begin || entry >= end || weight == 0.0f) continue;
            float values_of_node[F];
            GF_UNROLL
            for (int f = 0; f < F; ++f) values_of_node[f] = weight * values[f];
            shared_add_all<float, F>(&a.gradient[(size_t)entry * F], values_of_node);
        }
    }
}

}  // namespace

GF_TILE_KERNEL(points_encode, PointsArgs, NoShared) {
    const uint32_t first = a.samples.count[a.round] + tile * GF_TILE;
    const uint32_t end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    GF_FOR_EACH_IN_TILE(s, rows) {
        float x[3];
        place_of(a.points, a.samples.position + a.points.dimensions * (size_t)(first + s), x);
        const ActivePoints<float> active(a.points, x);
        switch (a.n_features) {
            case 1: gather_points<1>(a, active, first + s); break;
            case 2: gather_points<2>(a, active, first + s); break;
            case 4: gather_points<4>(a, active, first + s); break;
            default: gather_points<8>(a, active, first + s); break;
        }
    }
}

// Finds the active nodes again. Saving them in every round would be wasteful, since most of these samples are never
// used.
GF_TILE_KERNEL(points_backward, PointsArgs, NoShared) {
    const uint32_t first = tile * GF_TILE, end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    GF_FOR_EACH_IN_TILE(s, rows) {
        float x[3];
        place_of(a.points, a.samples.position + a.points.dimensions * (size_t)(first + s), x);
        const ActivePoints<float> active(a.points, x);
        float* phi = a.kept + (size_t)(first + s) * (GF_NEAREST + 1);
        uint32_t* node = kept_nodes(a.kept, a.samples.capacity) + (size_t)(first + s) * GF_NEAREST;
        GF_UNROLL
        for (int n = 0; n <= GF_NEAREST; ++n) phi[n] = active.phi[n];
        GF_UNROLL
        for (int n = 0; n < GF_NEAREST; ++n) node[n] = active.node[n];
    }
}

// gradient[entry, f] += phi dL_dfeatures[f]. Each launch row adds to one part of the table. On the host, one thread
// owns a part and adds the samples in order.
GF_TILE_KERNEL(points_scatter, PointsScatterArgs, NoShared) {
    const uint32_t first = tile * GF_TILE, end = min_of(*a.count, a.capacity);
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    switch (a.n_features) {
        case 1: scatter_part<1>(a, first, rows, j); break;
        case 2: scatter_part<2>(a, first, rows, j); break;
        case 4: scatter_part<4>(a, first, rows, j); break;
        default: scatter_part<8>(a, first, rows, j); break;
    }
}

// The active nodes alone: the rows of Phi. One item per point.
GF_ITEM_KERNEL(points_nodes_f64, PointsNodesArgs) {
    double x[3];
    place_of(a.points, a.position + a.points.dimensions * (size_t)i, x);
    const ActivePoints<double> active(a.points, x);
    const size_t row = (size_t)i * (GF_NEAREST + 1);
    GF_UNROLL
    for (int n = 0; n < GF_NEAREST; ++n) a.entry[row + n] = active.node[n];
    a.entry[row + GF_NEAREST] = a.points.n_nodes;
    GF_UNROLL
    for (int n = 0; n <= GF_NEAREST; ++n) a.phi[row + n] = active.phi[n];
}
