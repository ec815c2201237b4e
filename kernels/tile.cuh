// Tile primitives: what a block of GF_TILE samples does together. The only code with two bodies: tensor cores and shared
// memory where threads share the work (SIMT), register-blocked vector loops where one core does it all (host).
//
// A tile's matrices are row-major, one row a sample, `stride` elements from row to row. Weights are W [n_out, n_in].
#pragma once
#include "args.h"
#include "target.cuh"

#if GF_SIMT
#define GF_FOR_EACH_IN_TILE(s, rows) if (const uint32_t s = threadIdx.x; s < (rows))
#else
#define GF_FOR_EACH_IN_TILE(s, rows) for (uint32_t s = 0; s < (rows); ++s)
#endif

namespace {

/// A value that each sample of the tile keeps from one pass to the next: a register of its thread, or an array.
template <typename T> struct PerSample {
#if GF_SIMT
    T value{};  // threads past the last sample carry it unused
    GF_FN T& operator[](uint32_t) { return value; }
#else
    T values[GF_TILE];
    GF_FN T& operator[](uint32_t s) { return values[s]; }
#endif
};

struct Matrix {
    compute_t* data;
    uint32_t stride;
    GF_FN compute_t* row(uint32_t s) const { return data + (size_t)s * stride; }
};

GF_FN void tile_sync() {
#if GF_SIMT
    __syncthreads();
#endif
}

/// Copies a tile between the block's scratch and device memory, 16 bytes a thread at a time.
GF_FN void copy_tile(Matrix from, Matrix to, uint32_t rows, uint32_t n_columns) {
#if GF_SIMT
    const uint32_t per_row = n_columns / 8;
    for (uint32_t e = threadIdx.x; e < rows * per_row; e += GF_TILE)
        *(uint4*)(to.row(e / per_row) + e % per_row * 8) = *(const uint4*)(from.row(e / per_row) + e % per_row * 8);
#else
    for (uint32_t s = 0; s < rows; ++s) memcpy(to.row(s), from.row(s), n_columns * sizeof(compute_t));
#endif
}

#if GF_SIMT
// ------------------------------------------------------------------------------------------------------------------
// Tensor cores: fp16 operands, fp32 accumulation. Warp w owns rows 32 w ... 32 w + 31 of the tile.

#define GF_WARPS (GF_TILE / 32)

/// Where accumulators land before they become fp16 rows: 16 x 16 a warp.
struct TileScratch {
    float stage[GF_WARPS][16 * 16];
};

typedef nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float> Accumulator;

template <typename Write> GF_FN void write_block(TileScratch& scratch, const Accumulator& sum, Write write) {
    float* stage = scratch.stage[threadIdx.x / 32];
    nvcuda::wmma::store_matrix_sync(stage, sum, 16, nvcuda::wmma::mem_row_major);
    __syncwarp();
    for (uint32_t e = threadIdx.x & 31u; e < 256u; e += 32u) write(e / 16u, e % 16u, stage[e]);
    __syncwarp();
}

/// y = x W^T, through a ReLU if asked. Rows past the tile's last sample are computed and never read.
GF_FN void tile_forward(TileScratch& scratch, Matrix x, const Layer& layer, const compute_t* weights, uint32_t,
                        Matrix y, uint32_t, bool relu) {
    using namespace nvcuda;
    const uint32_t first_row = threadIdx.x / 32 * 32;
    const compute_t* w = weights + layer.weights;
    for (uint32_t row = first_row; row < first_row + 32; row += 16) {
        for (uint32_t column = 0; column < layer.n_out; column += 16) {
            Accumulator sum;
            wmma::fill_fragment(sum, 0.0f);
            for (uint32_t k = 0; k < layer.n_in; k += 16) {
                wmma::fragment<wmma::matrix_a, 16, 16, 16, compute_t, wmma::row_major> left;
                wmma::fragment<wmma::matrix_b, 16, 16, 16, compute_t, wmma::col_major> right;
                wmma::load_matrix_sync(left, x.row(row) + k, x.stride);
                wmma::load_matrix_sync(right, w + (size_t)column * layer.n_in + k, layer.n_in);
                wmma::mma_sync(sum, left, right, sum);
            }
            write_block(scratch, sum, [&](uint32_t r, uint32_t c, float value) {
                y.row(row + r)[column + c] = (compute_t)(relu && !(value > 0.0f) ? 0.0f : value);
            });
        }
    }
}

/// dx = dy W, times the derivative of the ReLU that made x if there was one. dx may be x itself.
GF_FN void tile_backward_input(TileScratch& scratch, Matrix dy, const Layer& layer, const compute_t* weights, uint32_t,
                               Matrix x, Matrix dx, uint32_t, bool relu) {
    using namespace nvcuda;
    const uint32_t first_row = threadIdx.x / 32 * 32;
    const compute_t* w = weights + layer.weights;
    for (uint32_t row = first_row; row < first_row + 32; row += 16) {
        for (uint32_t column = 0; column < layer.n_in; column += 16) {
            Accumulator sum;
            wmma::fill_fragment(sum, 0.0f);
            for (uint32_t k = 0; k < layer.n_out; k += 16) {
                wmma::fragment<wmma::matrix_a, 16, 16, 16, compute_t, wmma::row_major> left;
                wmma::fragment<wmma::matrix_b, 16, 16, 16, compute_t, wmma::row_major> right;
                wmma::load_matrix_sync(left, dy.row(row) + k, dy.stride);
                wmma::load_matrix_sync(right, w + (size_t)k * layer.n_in + column, layer.n_in);
                wmma::mma_sync(sum, left, right, sum);
            }
            write_block(scratch, sum, [&](uint32_t r, uint32_t c, float value) {
                const bool open = !relu || (float)x.row(row + r)[column + c] > 0.0f;
                dx.row(row + r)[column + c] = (compute_t)(open ? value : 0.0f);
            });
        }
    }
}

/// dW += scale dy^T x. Rows past the tile's last sample must be zero in dy and finite in x.
GF_FN void tile_backward_weights(TileScratch& scratch, Matrix dy, Matrix x, const Layer& layer, float scale,
                                 float* dL_dweights, uint32_t) {
    using namespace nvcuda;
    const uint32_t blocks_in = layer.n_in / 16, blocks = layer.n_out / 16 * blocks_in;
    for (uint32_t block = threadIdx.x / 32; block < blocks; block += GF_WARPS) {
        const uint32_t out = block / blocks_in * 16, in = block % blocks_in * 16;
        Accumulator sum;
        wmma::fill_fragment(sum, 0.0f);
        for (uint32_t s = 0; s < GF_TILE; s += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, compute_t, wmma::col_major> left;
            wmma::fragment<wmma::matrix_b, 16, 16, 16, compute_t, wmma::row_major> right;
            wmma::load_matrix_sync(left, dy.row(s) + out, dy.stride);
            wmma::load_matrix_sync(right, x.row(s) + in, x.stride);
            wmma::mma_sync(sum, left, right, sum);
        }
        float* dW = dL_dweights + layer.weights;
        write_block(scratch, sum, [&](uint32_t r, uint32_t c, float value) {
            shared_add(&dW[(size_t)(out + r) * layer.n_in + in + c], scale * value);
        });
    }
}

/// sums[c] += scale sum over rows of x[row, c]. Rows past the tile's last sample must be zero.
GF_FN void tile_column_sums(Matrix x, uint32_t n_columns, float scale, float* sums, uint32_t) {
    for (uint32_t c = threadIdx.x; c < n_columns; c += GF_TILE) {
        float sum = 0.0f;
        for (uint32_t s = 0; s < GF_TILE; ++s) sum += (float)x.row(s)[c];
        shared_add(&sums[c], scale * sum);
    }
}

#else
// ------------------------------------------------------------------------------------------------------------------
// Vector units. Every product is out[m, :] += left(m, k) * right[k, :] with the vectors along the neurons, so that no
// operand is ever transposed in the loop; weights come as W and as W^T (prepare_weights).

typedef float Lanes __attribute__((vector_size(4 * GF_LANES), aligned(4), may_alias));

struct TileScratch {};

/// out[m, n] (+)= sum_k left[m * left_m + k * left_k] right[k * right_stride + n] for M rows and V vectors of columns,
/// held in registers.
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

// Registers a block may hold: 32 vectors with AVX-512, else 16.
#if GF_LANES == 16
#define GF_WIDE 4
#define GF_ROWS 4
#else
#define GF_WIDE 2
#define GF_ROWS 4
#endif

/// All rows for V vectors of columns.
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

// Rows of `right` that are far apart share few places in the first-level cache: of matrices wider than this they are first
// put next to each other, so many at a time.
#define GF_NEAR_STRIDE 128
#define GF_PACKED_ROWS 128

/// As multiply_rows, with `right` packed.
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

/// out [n_rows, n_columns] (+)= left [n_rows, n_k] right [n_k, n_columns]; n_columns is a multiple of 16.
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

/// y = x W^T, through a ReLU if asked.
GF_FN void tile_forward(TileScratch&, Matrix x, const Layer& layer, const float* weights, uint32_t n_weights, Matrix y,
                        uint32_t rows, bool relu) {
    const float* transposed = weights + n_weights + layer.weights;  // [n_in, n_out]
    if (relu)
        multiply<false, true>(x.data, x.stride, 1, transposed, layer.n_out, y.data, y.stride, rows, layer.n_out,
                              layer.n_in);
    else
        multiply<false, false>(x.data, x.stride, 1, transposed, layer.n_out, y.data, y.stride, rows, layer.n_out,
                               layer.n_in);
}

/// dx = dy W, times the derivative of the ReLU that made x if there was one. n_out need be no multiple of 16.
GF_FN void tile_backward_input(TileScratch&, Matrix dy, const Layer& layer, const float* weights, uint32_t, Matrix x,
                               Matrix dx, uint32_t rows, bool relu) {
    multiply<false, false>(dy.data, dy.stride, 1, weights + layer.weights, layer.n_in, dx.data, dx.stride, rows,
                           layer.n_in, layer.n_out);
    if (!relu) return;
    for (uint32_t s = 0; s < rows; ++s) {
        const float* __restrict__ made = x.row(s);
        float* __restrict__ gradient = dx.row(s);
        for (uint32_t c = 0; c < layer.n_in; ++c) gradient[c] = made[c] > 0.0f ? gradient[c] : 0.0f;
    }
}

/// dW += dy^T x. The host has no need of a scale, and n_out need be no multiple of 16.
GF_FN void tile_backward_weights(TileScratch&, Matrix dy, Matrix x, const Layer& layer, float, float* dL_dweights,
                                 uint32_t rows) {
    multiply<true, false>(dy.data, 1, dy.stride, x.data, x.stride, dL_dweights + layer.weights, layer.n_in, layer.n_out,
                          layer.n_in, rows);
}

/// sums[c] += sum over rows of x[row, c]; n_columns is a multiple of 16.
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
#endif

}  // namespace
