// Index functions U: which nodes of a level are active at a point, and where their features are stored.
//
// A regular level has scale s and resolution ceil(s) + 1. A point x of [0, 1]^D lies at u = x s + 0.5, in cell
// floor(u), at fraction u - floor(u). The 2^D corners of the cell are active. Corner c is the cell plus the bits of c
// (bit k is axis k). Instant-NGP (Mueller et al. 2022), section 3.
#pragma once
#include "args.h"
#include "core/target.cuh"

namespace {

template <typename T, int D> struct Cell {
    uint32_t node[D];  // lowest corner
    T fraction[D];
};

template <typename T, int D> GF_FN Cell<T, D> cell_of(T scale, const T x[D]) {
    Cell<T, D> cell;
    GF_UNROLL
    for (int k = 0; k < D; ++k) {
        const T u = x[k] * scale + (T)0.5;
        const T whole = (T)(int32_t)u;  // same as floor, since u > 0
        cell.node[k] = (uint32_t)(int32_t)whole;
        cell.fraction[k] = u - whole;
    }
    return cell;
}

/// Returns the entry of a node within its level. Dense levels wrap around like hashed ones: the index of a node past
/// the last plane (x = 1 only) is less than twice the number of entries, so a single subtraction computes the
/// remainder.
template <int D, bool HASHED> GF_FN uint32_t entry_of(const GridLevel& level, const uint32_t node[D]) {
    if (HASHED) {
        const uint32_t prime[3] = {1u, 2654435761u, 805459861u};
        uint32_t hash = 0;
        GF_UNROLL
        for (int k = 0; k < D; ++k) hash ^= node[k] * prime[k];
        return hash & (level.entries - 1);  // a hashed level has 2^log2_hashmap_size entries
    }
    uint32_t index = node[D - 1];
    GF_UNROLL
    for (int k = D - 2; k >= 0; --k) index = index * level.resolution + node[k];
    return index >= level.entries ? index - level.entries : index;
}

template <int D, bool HASHED>
GF_FN uint32_t corner_entry(const GridLevel& level, const uint32_t lowest[D], uint32_t corner) {
    uint32_t node[D];
    GF_UNROLL
    for (int k = 0; k < D; ++k) node[k] = lowest[k] + ((corner >> k) & 1u);
    return entry_of<D, HASHED>(level, node);
}

}  // namespace
