// Columns: GF_LANES consecutive numbers, processed together: one per GPU thread, a vector on a host core. They are
// columns of a row of a matrix, or the numbers of a group of samples in one column.
#pragma once
#include "core/target.cuh"

namespace {

#if GF_SIMT
typedef float Columns;
typedef float StoredColumns;
#else
typedef float Columns __attribute__((vector_size(4 * GF_LANES)));
typedef float StoredColumns __attribute__((vector_size(4 * GF_LANES), aligned(4), may_alias));
typedef int32_t IntColumns __attribute__((vector_size(4 * GF_LANES)));
#endif

GF_FN Columns load_columns(const float* from) { return *(const StoredColumns*)from; }
GF_FN void store_columns(float* to, Columns values) { *(StoredColumns*)to = values; }
#if GF_SIMT
GF_FN Columns load_columns(const gf_half* from) { return (float)*from; }
GF_FN void store_columns(gf_half* to, Columns value) { *to = (gf_half)value; }
#endif

/// Returns the sum of the lanes.
GF_FN float sum_of(Columns x) {
#if GF_SIMT
    return x;
#else
    float sum = 0.0f;
    for (int lane = 0; lane < GF_LANES; ++lane) sum += x[lane];
    return sum;
#endif
}

#if !GF_SIMT
GF_FN Columns columns_sqrt(Columns x) {
    Columns root;
    for (int lane = 0; lane < GF_LANES; ++lane) root[lane] = sqrtf(x[lane]);
    return root;
}

/// Swaps each lane with the one at a distance, a power of two.
GF_FN IntColumns swap_lanes(IntColumns x, int distance) {
#if defined(__clang__)
    IntColumns swapped;
    for (int lane = 0; lane < GF_LANES; ++lane) swapped[lane] = x[lane ^ distance];
    return swapped;
#else
    static const int32_t lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    IntColumns lanes;
    memcpy(&lanes, lane, sizeof(lanes));
    return __builtin_shuffle(x, lanes ^ distance);
#endif
}
#endif

/// Loads the numbers of up to GF_LANES samples, of which `n` exist; the others are zero.
GF_FN Columns load_group(const compute_t* from, uint32_t n) {
#if GF_SIMT
    return n ? load_columns(from) : 0.0f;
#else
    if (n >= GF_LANES) return load_columns(from);
    Columns values = {};
    for (uint32_t lane = 0; lane < n; ++lane) values[lane] = from[lane];
    return values;
#endif
}

GF_FN void store_group(compute_t* to, Columns values, uint32_t n) {
#if GF_SIMT
    if (n) store_columns(to, values);
#else
    if (n >= GF_LANES) return store_columns(to, values);
    for (uint32_t lane = 0; lane < n; ++lane) to[lane] = values[lane];
#endif
}

/// Sets the numbers of samples past the last one to zero.
GF_FN void zero_after([[maybe_unused]] float* group, [[maybe_unused]] uint32_t n) {
#if !GF_SIMT
    for (uint32_t lane = n; lane < GF_LANES; ++lane) group[lane] = 0.0f;
#endif
}

#if !GF_SIMT
/// Four numbers, at any aligned address of a float.
typedef float Quad __attribute__((vector_size(16), aligned(4), may_alias));

#if defined(__clang__)
#define GF_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t QuadIndex __attribute__((vector_size(16)));
#define GF_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, QuadIndex{i, j, k, l})
#endif

/// Transposes a block of 4 x 4 numbers; strides are between rows.
GF_FN void transpose_quads(const float* from, size_t from_stride, float* to, size_t to_stride) {
    const Quad a = *(const Quad*)from, b = *(const Quad*)(from + from_stride);
    const Quad c = *(const Quad*)(from + 2 * from_stride), d = *(const Quad*)(from + 3 * from_stride);
    const Quad ab_low = GF_SHUFFLE(a, b, 0, 4, 1, 5), ab_high = GF_SHUFFLE(a, b, 2, 6, 3, 7);
    const Quad cd_low = GF_SHUFFLE(c, d, 0, 4, 1, 5), cd_high = GF_SHUFFLE(c, d, 2, 6, 3, 7);
    *(Quad*)to = GF_SHUFFLE(ab_low, cd_low, 0, 1, 4, 5);
    *(Quad*)(to + to_stride) = GF_SHUFFLE(ab_low, cd_low, 2, 3, 6, 7);
    *(Quad*)(to + 2 * to_stride) = GF_SHUFFLE(ab_high, cd_high, 0, 1, 4, 5);
    *(Quad*)(to + 3 * to_stride) = GF_SHUFFLE(ab_high, cd_high, 2, 3, 6, 7);
}

/// Computes to[c, r] = from[r, c] for n_rows rows of n_columns.
GF_FN void transpose(const float* from, size_t from_stride, uint32_t n_rows, uint32_t n_columns, float* to,
                     size_t to_stride) {
    uint32_t r = 0;
    for (; r + 4 <= n_rows; r += 4) {
        uint32_t c = 0;
        for (; c + 4 <= n_columns; c += 4)
            transpose_quads(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
        for (; c < n_columns; ++c)
            for (uint32_t k = r; k < r + 4; ++k) to[c * to_stride + k] = from[k * from_stride + c];
    }
    for (; r < n_rows; ++r)
        for (uint32_t c = 0; c < n_columns; ++c) to[c * to_stride + r] = from[r * from_stride + c];
}
#endif

}  // namespace
