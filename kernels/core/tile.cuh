// Tile primitives: what a block does with its GF_TILE samples together. Most have two bodies: tensor cores and shared
// memory where threads share the work (SIMT), register-blocked vector loops where one core does all of it (host).
//
// The matrices of a tile are row-major with one row per sample and `stride` elements between rows. Weights are W
// [n_out, n_in].
#pragma once
#include "args.h"
#include "core/target.cuh"

#if GF_SIMT
#define GF_FOR_EACH_IN_TILE(s, rows) if (const uint32_t s = threadIdx.x; s < (rows))
#else
#define GF_FOR_EACH_IN_TILE(s, rows) for (uint32_t s = 0; s < (rows); ++s)
#endif

namespace {

/// A value per sample that lasts from one pass over the tile to the next: a register of the sample's thread, or an
/// array.
template <typename T> struct PerSample {
#if GF_SIMT
    T value{};  // unused in threads past the last sample
    GF_FN T& operator[](uint32_t) { return value; }
#else
    T values[GF_TILE];
    GF_FN T& operator[](uint32_t s) { return values[s]; }
#endif
};

/// Scratch of blocks that need none.
struct NoShared {};

struct Matrix {
    compute_t* data;
    uint32_t stride;
    GF_FN compute_t* row(uint32_t s) const { return data + (size_t)s * stride; }
};

/// The weights of layers, in two copies: each product reads the one whose rows it multiplies. A layer's matrix begins at
/// layer.weights in both.
struct Weights {
    const compute_t* w;             // W [n_out, n_in]
    const compute_t* w_transposed;  // W^T [n_in, n_out]
};

/// Returns the two copies that follow one another in a buffer of `n_weights` weights each.
GF_FN Weights weights_in(const void* buffer, uint32_t n_weights) {
    const compute_t* w = (const compute_t*)buffer;
    return {w, w + n_weights};
}

GF_FN void tile_sync() {
#if GF_SIMT
    __syncthreads();
#endif
}

/// Copies a tile between the block's scratch and device memory, 16 bytes per thread at a time.
GF_FN void copy_tile(Matrix from, Matrix to, uint32_t rows, uint32_t n_columns) {
#if GF_SIMT
    const uint32_t per_row = n_columns / 8;
    for (uint32_t e = threadIdx.x; e < rows * per_row; e += GF_TILE)
        *(uint4*)(to.row(e / per_row) + e % per_row * 8) = *(const uint4*)(from.row(e / per_row) + e % per_row * 8);
#else
    for (uint32_t s = 0; s < rows; ++s) memcpy(to.row(s), from.row(s), n_columns * sizeof(compute_t));
#endif
}

/// A matrix of a tile that the forward pass saves in device memory for the backward pass. A block of threads works in its
/// scratch and copies; one core works in place.
struct Staged {
    Matrix saved;  // no data: not saved
    Matrix scratch;
    uint32_t rows, n_columns;

    /// Returns the matrix to work in.
    GF_FN Matrix matrix() const {
#if GF_SIMT
        return scratch;
#else
        return saved.data ? saved : scratch;
#endif
    }

    /// Saves the matrix, if it is to be saved.
    GF_FN void save() const {
#if GF_SIMT
        if (saved.data) copy_tile(scratch, saved, rows, n_columns);
#endif
    }

    /// Gets back what was saved, with zeros in the rows past the last sample that products read, and synchronises the block.
    GF_FN void fetch() const {
#if GF_SIMT
        copy_tile(saved, scratch, rows, n_columns);
        for (uint32_t s = rows + threadIdx.x; s < GF_TILE; s += GF_TILE)
            for (uint32_t c = 0; c < n_columns; ++c) scratch.row(s)[c] = (compute_t)0.0f;
        tile_sync();
#endif
    }
};

#if GF_SIMT
// ------------------------------------------------------------------------------------------------------------------
// Tensor cores: fp16 operands, fp32 accumulation, in products of 16 rows, 8 columns and 16 terms (PTX ISA,
// mma.m16n8k16).
// With g = lane / 4 and t = lane % 4, a lane holds the following pairs:
//   left matrix     rows g and g + 8, terms 2 t, 2 t + 1 and 2 t + 8, 2 t + 9
//   right matrix    column g, the same terms
//   sum             rows g and g + 8, columns 2 t, 2 t + 1
// Warp w owns rows 32 w ... 32 w + 31 of the tile.

#define GF_WARPS (GF_TILE / 32)
#define GF_STRIP 4  // adjacent products that share their left matrix

struct Left {
    uint32_t pair[4];
};
struct Right {
    uint32_t pair[2];
};
struct Sum {
    float value[4];
};

GF_FN uint32_t lane_group() { return lane_of_warp() / 4; }
GF_FN uint32_t lane_pair() { return lane_of_warp() % 4 * 2; }

GF_FN uint32_t pair_of(compute_t low, compute_t high) {
    const compute_t both[2] = {low, high};
    uint32_t pair;
    memcpy(&pair, both, sizeof pair);
    return pair;
}

GF_FN uint32_t load_pair(const compute_t* from) {
    const Pack<compute_t, 2> both = *(const Pack<compute_t, 2>*)from;
    return pair_of(both.value[0], both.value[1]);
}

GF_FN void store_pair(compute_t* to, float low, float high) {
    *(Pack<compute_t, 2>*)to = Pack<compute_t, 2>{{(compute_t)low, (compute_t)high}};
}

/// Loads a pair from one column: `row` and the row after it.
GF_FN uint32_t load_column_pair(Matrix x, uint32_t row, uint32_t column) {
    return pair_of(x.row(row)[column], x.row(row + 1)[column]);
}

GF_FN Left load_left(Matrix x, uint32_t row, uint32_t k) {
    const compute_t* upper = x.row(row + lane_group()) + k + lane_pair();
    const compute_t* lower = upper + 8 * (size_t)x.stride;
    return {{load_pair(upper), load_pair(lower), load_pair(upper + 8), load_pair(lower + 8)}};
}

/// Loads the right matrix w^T, w [columns, n_k].
GF_FN Right load_right(const compute_t* w, uint32_t n_k, uint32_t column, uint32_t k) {
    const compute_t* from = w + (size_t)(column + lane_group()) * n_k + k + lane_pair();
    return {{load_pair(from), load_pair(from + 8)}};
}

/// Loads the left matrix x^T, whose terms are samples.
GF_FN Left load_left_of_samples(Matrix x, uint32_t column, uint32_t s) {
    const uint32_t c = column + lane_group(), at = s + lane_pair();
    return {{load_column_pair(x, at, c), load_column_pair(x, at, c + 8), load_column_pair(x, at + 8, c),
             load_column_pair(x, at + 8, c + 8)}};
}

GF_FN Right load_right_of_samples(Matrix x, uint32_t column, uint32_t s) {
    const uint32_t c = column + lane_group(), at = s + lane_pair();
    return {{load_column_pair(x, at, c), load_column_pair(x, at + 8, c)}};
}

GF_FN void multiply_add(Sum& sum, const Left& left, const Right& right) {
#if defined(GF_EMULATED)
    gf_emulated_mma_m16n8k16(sum.value, left.pair, right.pair);
#else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum.value[0]), "+f"(sum.value[1]), "+f"(sum.value[2]), "+f"(sum.value[3])
        : "r"(left.pair[0]), "r"(left.pair[1]), "r"(left.pair[2]), "r"(left.pair[3]), "r"(right.pair[0]), "r"(right.pair[1]));
#endif
}

/// Computes left w^T, w [n_columns, n_k], for the warp's rows and outputs it by write(row, column, value, value at the
/// next column).
template <typename Write>
GF_FN void multiply(Matrix left, const compute_t* w, uint32_t n_columns, uint32_t n_k, Write write) {
    const uint32_t first = threadIdx.x / 32 * 32;
    for (uint32_t column = 0; column < n_columns; column += 8 * GF_STRIP) {
        const uint32_t blocks = min_of((n_columns - column) / 8, (uint32_t)GF_STRIP);
        Sum sum[2][GF_STRIP] = {};
        for (uint32_t k = 0; k < n_k; k += 16) {
            const Left upper = load_left(left, first, k), lower = load_left(left, first + 16, k);
            GF_UNROLL
            for (uint32_t b = 0; b < GF_STRIP; ++b) {
                if (b >= blocks) continue;
                const Right right = load_right(w, n_k, column + 8 * b, k);
                multiply_add(sum[0][b], upper, right);
                multiply_add(sum[1][b], lower, right);
            }
        }
        GF_UNROLL
        for (uint32_t half = 0; half < 2; ++half) {
            const uint32_t row = first + 16 * half + lane_group();
            GF_UNROLL
            for (uint32_t b = 0; b < GF_STRIP; ++b) {
                if (b >= blocks) continue;
                const float* value = sum[half][b].value;
                write(row, column + 8 * b + lane_pair(), value[0], value[1]);
                write(row + 8, column + 8 * b + lane_pair(), value[2], value[3]);
            }
        }
    }
}

/// Computes y = x W^T, followed by a ReLU if `relu` is set. Rows past the tile's last sample are computed but never
/// read.
GF_FN void tile_forward(Matrix x, const Layer& layer, Weights weights, Matrix y, uint32_t, bool relu) {
    multiply(x, weights.w + layer.weights, layer.n_out, layer.n_in, [&](uint32_t row, uint32_t c, float value, float next) {
        store_pair(y.row(row) + c, relu && !(value > 0.0f) ? 0.0f : value, relu && !(next > 0.0f) ? 0.0f : next);
    });
}

/// Computes dx = dy W, times the derivative of the ReLU that produced x if `relu` is set. dx may be x itself.
GF_FN void tile_backward_input(Matrix dy, const Layer& layer, Weights weights, Matrix x, Matrix dx, uint32_t, bool relu) {
    const auto write = [&](uint32_t row, uint32_t c, float value, float next) {
        const compute_t* made = x.row(row) + c;
        const bool open = !relu || (float)made[0] > 0.0f, next_open = !relu || (float)made[1] > 0.0f;
        store_pair(dx.row(row) + c, open ? value : 0.0f, next_open ? next : 0.0f);
    };
    multiply(dy, weights.w_transposed + layer.weights, layer.n_in, layer.n_out, write);
}

/// Computes dW += scale dy^T x. Rows past the tile's last sample must be zero in dy and finite in x.
GF_FN void tile_backward_weights(Matrix dy, Matrix x, const Layer& layer, float scale, float* dL_dweights, uint32_t) {
    const uint32_t strips = (layer.n_in / 8 + GF_STRIP - 1) / GF_STRIP;
    for (uint32_t strip = threadIdx.x / 32; strip < layer.n_out / 16 * strips; strip += GF_WARPS) {
        const uint32_t out = strip / strips * 16, in = strip % strips * 8 * GF_STRIP;
        const uint32_t blocks = min_of((layer.n_in - in) / 8, (uint32_t)GF_STRIP);
        Sum sum[GF_STRIP] = {};
        for (uint32_t s = 0; s < GF_TILE; s += 16) {
            const Left left = load_left_of_samples(dy, out, s);
            GF_UNROLL
            for (uint32_t b = 0; b < GF_STRIP; ++b)
                if (b < blocks) multiply_add(sum[b], left, load_right_of_samples(x, in + 8 * b, s));
        }
        float* upper = dL_dweights + layer.weights + (size_t)(out + lane_group()) * layer.n_in + in + lane_pair();
        float* lower = upper + 8 * (size_t)layer.n_in;
        GF_UNROLL
        for (uint32_t b = 0; b < GF_STRIP; ++b) {
            if (b >= blocks) continue;
            const float* value = sum[b].value;
            const float scaled[4] = {scale * value[0], scale * value[1], scale * value[2], scale * value[3]};
            shared_add_all<float, 2>(upper + 8 * b, scaled);
            shared_add_all<float, 2>(lower + 8 * b, scaled + 2);
        }
    }
}

/// Computes sums[c] += scale sum over rows of x[row, c]. Rows past the tile's last sample must be zero.
GF_FN void tile_column_sums(Matrix x, uint32_t n_columns, float scale, float* sums, uint32_t) {
    for (uint32_t c = threadIdx.x; c < n_columns; c += GF_TILE) {
        float sum = 0.0f;
        for (uint32_t s = 0; s < GF_TILE; ++s) sum += (float)x.row(s)[c];
        shared_add(&sums[c], scale * sum);
    }
}

#else
// ------------------------------------------------------------------------------------------------------------------
// Vector units. Every product is out[m, :] += left(m, k) * right[k, :] with vectors along the neurons, so that no
// operand is ever transposed in the loop. Hence the two copies of the weights.

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

/// Computes y = x W^T, followed by a ReLU if `relu` is set.
GF_FN void tile_forward(Matrix x, const Layer& layer, Weights weights, Matrix y, uint32_t rows, bool relu) {
    const float* transposed = weights.w_transposed + layer.weights;
    if (relu)
        multiply<false, true>(x.data, x.stride, 1, transposed, layer.n_out, y.data, y.stride, rows, layer.n_out,
                              layer.n_in);
    else
        multiply<false, false>(x.data, x.stride, 1, transposed, layer.n_out, y.data, y.stride, rows, layer.n_out,
                               layer.n_in);
}

/// Computes dx = dy W, times the derivative of the ReLU that produced x if `relu` is set. n_out does not need to be a
/// multiple of 16.
GF_FN void tile_backward_input(Matrix dy, const Layer& layer, Weights weights, Matrix x, Matrix dx, uint32_t rows,
                               bool relu) {
    multiply<false, false>(dy.data, dy.stride, 1, weights.w + layer.weights, layer.n_in, dx.data, dx.stride, rows,
                           layer.n_in, layer.n_out);
    if (!relu) return;
    for (uint32_t s = 0; s < rows; ++s) {
        const float* __restrict__ made = x.row(s);
        float* __restrict__ gradient = dx.row(s);
        for (uint32_t c = 0; c < layer.n_in; ++c) gradient[c] = made[c] > 0.0f ? gradient[c] : 0.0f;
    }
}

/// Computes dW += dy^T x. The host needs no scale, and n_out does not need to be a multiple of 16.
GF_FN void tile_backward_weights(Matrix dy, Matrix x, const Layer& layer, float, float* dL_dweights,
                                 uint32_t rows) {
    multiply<true, false>(dy.data, 1, dy.stride, x.data, x.stride, dL_dweights + layer.weights, layer.n_in, layer.n_out,
                          layer.n_in, rows);
}

/// Computes sums[c] += sum over rows of x[row, c]; n_columns is a multiple of 16.
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
