// The primitives of tile.cuh where one core does all the work: host.
//
// Every product is out[m, :] += left(m, k) * right[k, :] with vectors along the neurons, so that no operand is ever
// transposed in the loop. Hence the two copies of the weights.
#pragma once
#include "core/bf16.cuh"
#include "core/tile.cuh"

#define GF_FOR_EACH_IN_TILE(s, n) for (uint32_t s = 0; s < (n); ++s)
#define GF_FOR_EACH_GROUP_IN_TILE(s, n) for (uint32_t s = 0; s < (n); s += GF_LANES)
#define GF_SHARE_IN_TILE(i, n) for (uint32_t i = 0; i < (n); ++i)

namespace {

template <typename T> struct PerSample {
    T values[GF_TILE];
    GF_FN T& operator[](uint32_t s) { return values[s]; }
};

GF_FN void tile_sync() {}

GF_FN void copy_tile(Matrix from, Matrix to, uint32_t rows, uint32_t n_columns) {
    for (uint32_t s = 0; s < rows; ++s) memcpy(to.row(s), from.row(s), n_columns * sizeof(compute_t));
}

GF_FN Matrix Staged::matrix() const { return saved.data ? saved : scratch; }

// In place: nothing to copy.
GF_FN void Staged::save() const {}
GF_FN void Staged::fetch() const {}

typedef float Lanes __attribute__((vector_size(4 * GF_LANES), aligned(4), may_alias));

/// Computes out[m, n] (+)= sum_k left[m * left_m + k * left_k] right[k * right_stride + n] for M rows and V vectors of
/// columns, with the sums held in registers.
template <int M, int V, bool ADD, bool RELU>
GF_FN void multiply_block(const float* __restrict__ left, size_t left_m, size_t left_k, const float* __restrict__ right,
                          size_t right_stride, float* __restrict__ out, size_t out_stride, uint32_t n_k) {
    Lanes sum[M][V];
    for (int m = 0; m < M; ++m)
        for (int v = 0; v < V; ++v) {
            if (ADD) sum[m][v] = *(const Lanes*)(out + m * out_stride + v * GF_LANES);
            else sum[m][v] = Lanes{};
        }
    for (uint32_t k = 0; k < n_k; ++k) {
        Lanes column[V];
        for (int v = 0; v < V; ++v) column[v] = *(const Lanes*)(right + k * right_stride + v * GF_LANES);
        for (int m = 0; m < M; ++m) {
            const float factor = left[m * left_m + k * left_k];
            for (int v = 0; v < V; ++v) sum[m][v] += factor * column[v];
        }
    }
    for (int m = 0; m < M; ++m)
        for (int v = 0; v < V; ++v) {
            Lanes value = sum[m][v];
            if (RELU) value = value > 0.0f ? value : Lanes{};
            *(Lanes*)(out + m * out_stride + v * GF_LANES) = value;
        }
}

// Size of a register block. There are 32 vector registers with AVX-512, otherwise 16.
#if GF_LANES == 16
#define GF_WIDE 4
#define GF_ROWS 4
#else
#define GF_WIDE 2
#define GF_ROWS 4
#endif

/// Computes all rows for V vectors of columns.
template <int M, int V, bool ADD, bool RELU>
static __attribute__((noinline)) void multiply_rows(const float* left, size_t left_m, size_t left_k, const float* right,
                                                    size_t right_stride, float* out, size_t out_stride, uint32_t n_rows,
                                                    uint32_t n_k) {
    uint32_t m = 0;
    for (; m + M <= n_rows; m += M)
        multiply_block<M, V, ADD, RELU>(left + m * left_m, left_m, left_k, right, right_stride, out + m * out_stride,
                                        out_stride, n_k);
    for (; m < n_rows; ++m)
        multiply_block<1, V, ADD, RELU>(left + m * left_m, left_m, left_k, right, right_stride, out + m * out_stride,
                                        out_stride, n_k);
}

// Rows of `right` that are far apart compete for few sets of the first-level cache. If their stride exceeds
// GF_NEAR_STRIDE, they are first copied next to each other, GF_PACKED_ROWS at a time.
#define GF_NEAR_STRIDE 128
#define GF_PACKED_ROWS 128

/// Same as multiply_rows, but packs `right` first.
template <int M, int V, bool ADD, bool RELU>
static __attribute__((noinline)) void multiply_packed(const float* left, size_t left_m, size_t left_k,
                                                      const float* right, size_t right_stride, float* out,
                                                      size_t out_stride, uint32_t n_rows, uint32_t n_k) {
    const size_t width = V * GF_LANES;
    alignas(64) float packed[GF_PACKED_ROWS * V * GF_LANES];
    for (uint32_t first = 0; first < n_k; first += GF_PACKED_ROWS) {
        const uint32_t n = min_of(n_k - first, (uint32_t)GF_PACKED_ROWS);
        for (uint32_t k = 0; k < n; ++k)
            memcpy(packed + k * width, right + (first + k) * right_stride, width * sizeof(float));
        const float* from = left + first * left_k;
        const bool is_first = first == 0, is_last = first + n == n_k;
        if (is_first && is_last)
            multiply_rows<M, V, ADD, RELU>(from, left_m, left_k, packed, width, out, out_stride, n_rows, n);
        else if (is_first)
            multiply_rows<M, V, ADD, false>(from, left_m, left_k, packed, width, out, out_stride, n_rows, n);
        else if (is_last)
            multiply_rows<M, V, true, RELU>(from, left_m, left_k, packed, width, out, out_stride, n_rows, n);
        else
            multiply_rows<M, V, true, false>(from, left_m, left_k, packed, width, out, out_stride, n_rows, n);
    }
}

/// Computes out [n_rows, n_columns] (+)= left [n_rows, n_k] right [n_k, n_columns]; n_columns is a multiple of 16.
template <bool ADD, bool RELU>
GF_FN void multiply(const float* left, size_t left_m, size_t left_k, const float* right, size_t right_stride, float* out,
                    size_t out_stride, uint32_t n_rows, uint32_t n_columns, uint32_t n_k) {
    uint32_t n = 0;
    const bool is_far = right_stride > GF_NEAR_STRIDE;
    for (; is_far && n + GF_WIDE * GF_LANES <= n_columns; n += GF_WIDE * GF_LANES)
        multiply_packed<GF_ROWS, GF_WIDE, ADD, RELU>(left, left_m, left_k, right + n, right_stride, out + n, out_stride,
                                                     n_rows, n_k);
    for (; n + GF_WIDE * GF_LANES <= n_columns; n += GF_WIDE * GF_LANES)
        multiply_rows<GF_ROWS, GF_WIDE, ADD, RELU>(left, left_m, left_k, right + n, right_stride, out + n, out_stride,
                                                   n_rows, n_k);
    for (; n + 2 * GF_LANES <= n_columns; n += 2 * GF_LANES)
        multiply_rows<8, 2, ADD, RELU>(left, left_m, left_k, right + n, right_stride, out + n, out_stride, n_rows, n_k);
    for (; n < n_columns; n += GF_LANES)
        multiply_rows<8, 1, ADD, RELU>(left, left_m, left_k, right + n, right_stride, out + n, out_stride, n_rows, n_k);
}

GF_FN void tile_forward(Matrix x, const Layer& layer, Weights weights, Matrix y, uint32_t rows, bool relu) {
    const float* transposed = weights.w_transposed + layer.weights;
#if GF_BF16
    if (is_bf16(layer)) {
        if (relu) bf16_forward<true>(x, layer, transposed, y, rows);
        else bf16_forward<false>(x, layer, transposed, y, rows);
        return;
    }
#endif
    if (relu)
        multiply<false, true>(x.data, x.stride, 1, transposed, layer.n_out, y.data, y.stride, rows, layer.n_out,
                              layer.n_in);
    else
        multiply<false, false>(x.data, x.stride, 1, transposed, layer.n_out, y.data, y.stride, rows, layer.n_out,
                               layer.n_in);
}

GF_FN void tile_backward_input(Matrix dy, const Layer& layer, Weights weights, Matrix x, Matrix dx, uint32_t rows,
                               bool relu) {
#if GF_BF16
    if (is_bf16(layer)) bf16_backward_input(dy, layer, weights.w + layer.weights, dx, rows);
    else
#endif
        multiply<false, false>(dy.data, dy.stride, 1, weights.w + layer.weights, layer.n_in, dx.data, dx.stride, rows,
                               layer.n_in, layer.n_out);
    if (!relu) return;
    for (uint32_t s = 0; s < rows; ++s) {
        const float* __restrict__ made = x.row(s);
        float* __restrict__ gradient = dx.row(s);
        for (uint32_t c = 0; c < layer.n_in; ++c) gradient[c] = made[c] > 0.0f ? gradient[c] : 0.0f;
    }
}

GF_FN void tile_backward_weights(Matrix dy, Matrix x, const Layer& layer, float, float* dL_dweights, uint32_t rows) {
#if GF_BF16
    if (is_bf16(layer)) return bf16_backward_weights(dy, x, layer, dL_dweights + layer.weights, rows);
#endif
    multiply<true, false>(dy.data, 1, dy.stride, x.data, x.stride, dL_dweights + layer.weights, layer.n_in, layer.n_out,
                          layer.n_in, rows);
}

GF_FN void tile_column_sums(Matrix x, uint32_t n_columns, float, float* sums, uint32_t rows) {
    for (uint32_t c = 0; c < n_columns; c += 16) {
        float sum[16] = {};
        for (uint32_t s = 0; s < rows; ++s) {
            GF_UNROLL
            for (int k = 0; k < 16; ++k) sum[k] += x.row(s)[c + k];
        }
        GF_UNROLL
        for (int k = 0; k < 16; ++k) sums[c + k] += sum[k];
    }
}

}  // namespace
