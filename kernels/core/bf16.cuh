// Products of the host target with factors rounded to bf16 and sums in fp32 (AVX512-BF16). An instruction makes twice as
// many products as in fp32. Where GF_BF16 is 1, the tile primitives use them for the networks' layers.
//
// VDPBF16PS adds the products of two neighbouring numbers to each sum. Both operands are therefore packed in pairs along
// the dimension that is summed over, a pair to a 32-bit word with the first number in its lower half.
#pragma once
#include "core/amx.cuh"
#if !GF_SIMT && defined(__AVX512BF16__)
#define GF_BF16 1
#include <immintrin.h>

// Layers with more neurons than this are multiplied in fp32, so that packed operands fit in scratch on the stack.
#define GF_BF16_WIDTH 128

namespace {

/// An operand of a product, packed in pairs.
struct alignas(64) Packed {
    uint32_t word[GF_TILE * GF_BF16_WIDTH / 2];
};

/// Returns how many pairs a sum over n numbers takes. Tiles of the matrix unit hold 16, of which the last may be zeros.
GF_FN uint32_t pairs_of(uint32_t n) { return GF_AMX ? (n + 31) / 32 * 16 : (n + 1) / 2; }

/// Packs pairs of neighbours within rows: word[r * pairs_of(n_columns) + c] holds columns 2c and 2c + 1 of row r.
/// n_columns is a multiple of 16.
GF_FN void pack_columns(const float* from, size_t stride, uint32_t n_rows, uint32_t n_columns, Packed& to) {
    for (uint32_t r = 0; r < n_rows; ++r) {
        const float* row = from + r * stride;
        uint32_t* out = to.word + r * (size_t)pairs_of(n_columns);
        uint32_t c = 0;
        for (; c + 32 <= n_columns; c += 32) {
            const __m512bh two = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(row + c + 16), _mm512_loadu_ps(row + c));
            _mm512_storeu_si512(out + c / 2, (__m512i)two);
        }
        if (c < n_columns) {
            const __m256bh one = _mm512_cvtneps_pbh(_mm512_loadu_ps(row + c));
            _mm256_storeu_si256((__m256i*)(out + c / 2), (__m256i)one);
            if (GF_AMX) _mm256_storeu_si256((__m256i*)(out + c / 2 + 8), _mm256_setzero_si256());
        }
    }
}

/// Returns 16 pairs: columns c to c + 15 of rows 2r and 2r + 1. Missing rows count as zeros.
GF_FN __m512i pair_of_rows(const float* from, size_t stride, uint32_t n_rows, uint32_t r, uint32_t c) {
    alignas(64) static const uint16_t ORDER[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                   8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    if (2 * r >= n_rows) return _mm512_setzero_si512();
    const float* row = from + 2 * r * stride + c;
    const __m512 upper = 2 * r + 1 < n_rows ? _mm512_loadu_ps(row + stride) : _mm512_setzero_ps();
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(upper, _mm512_loadu_ps(row));
    return _mm512_permutexvar_epi16(_mm512_load_si512(ORDER), both);
}

/// Packs pairs of neighbouring rows: word[r * n_columns + c] holds column c of rows 2r and 2r + 1. n_columns is a
/// multiple of 16.
GF_FN void pack_rows(const float* from, size_t stride, uint32_t n_rows, uint32_t n_columns, Packed& to) {
    for (uint32_t r = 0; r < pairs_of(n_rows); ++r)
        for (uint32_t c = 0; c < n_columns; c += 16)
            _mm512_store_si512(to.word + r * (size_t)n_columns + c, pair_of_rows(from, stride, n_rows, r, c));
}

#if GF_AMX
/// Packs pairs of neighbouring rows, transposed: word[c * pairs_of(n_rows) + r] holds column c of rows 2r and 2r + 1.
GF_FN void pack_rows_transposed(const float* from, size_t stride, uint32_t n_rows, uint32_t n_columns, Packed& to) {
    const uint32_t n_pairs = pairs_of(n_rows);
    for (uint32_t r = 0; r < n_pairs; r += 16)
        for (uint32_t c = 0; c < n_columns; c += 16) {
            __m512i words[16];
            GF_UNROLL
            for (int i = 0; i < 16; ++i) words[i] = pair_of_rows(from, stride, n_rows, r + i, c);
            transpose_words(words);
            GF_UNROLL
            for (int i = 0; i < 16; ++i) _mm512_store_si512(to.word + (c + i) * (size_t)n_pairs + r, words[i]);
        }
}
#endif

#if !GF_AMX
/// Computes out[m, n] (+)= sum over pairs k of left[m * left_m + k * left_k] . right[k * right_stride + n] for M rows and
/// 16 V columns.
template <int M, int V, bool ADD, bool RELU>
GF_FN void multiply_pairs_block(const uint32_t* left, size_t left_m, size_t left_k, const uint32_t* right,
                                size_t right_stride, float* out, size_t out_stride, uint32_t n_pairs) {
    __m512 sum[M][V];
    for (int m = 0; m < M; ++m)
        for (int v = 0; v < V; ++v)
            sum[m][v] = ADD ? _mm512_loadu_ps(out + m * out_stride + 16 * v) : _mm512_setzero_ps();
    for (uint32_t k = 0; k < n_pairs; ++k) {
        __m512bh column[V];
        for (int v = 0; v < V; ++v) column[v] = (__m512bh)_mm512_load_si512(right + k * right_stride + 16 * v);
        for (int m = 0; m < M; ++m) {
            const __m512bh factor = (__m512bh)_mm512_set1_epi32((int)left[m * left_m + k * left_k]);
            for (int v = 0; v < V; ++v) sum[m][v] = _mm512_dpbf16_ps(sum[m][v], factor, column[v]);
        }
    }
    for (int m = 0; m < M; ++m)
        for (int v = 0; v < V; ++v) {
            __m512 value = sum[m][v];
            if (RELU) value = value > 0.0f ? value : __m512{};
            _mm512_storeu_ps(out + m * out_stride + 16 * v, value);
        }
}

/// Computes all rows for V vectors of columns.
template <int M, int V, bool ADD, bool RELU>
static __attribute__((noinline)) void multiply_pairs_rows(const uint32_t* left, size_t left_m, size_t left_k,
                                                          const uint32_t* right, size_t right_stride, float* out,
                                                          size_t out_stride, uint32_t n_rows, uint32_t n_pairs) {
    uint32_t m = 0;
    for (; m + M <= n_rows; m += M)
        multiply_pairs_block<M, V, ADD, RELU>(left + m * left_m, left_m, left_k, right, right_stride, out + m * out_stride,
                                              out_stride, n_pairs);
    for (; m < n_rows; ++m)
        multiply_pairs_block<1, V, ADD, RELU>(left + m * left_m, left_m, left_k, right, right_stride, out + m * out_stride,
                                              out_stride, n_pairs);
}

/// Computes out [n_rows, n_columns] (+)= left right over packed pairs; n_columns is a multiple of 16.
template <bool ADD, bool RELU>
GF_FN void multiply_pairs(const Packed& left, size_t left_m, size_t left_k, const Packed& right, size_t right_stride,
                          float* out, size_t out_stride, uint32_t n_rows, uint32_t n_columns, uint32_t n_pairs) {
    const uint32_t *l = left.word, *r = right.word;
    uint32_t n = 0;
    for (; n + 64 <= n_columns; n += 64)
        multiply_pairs_rows<6, 4, ADD, RELU>(l, left_m, left_k, r + n, right_stride, out + n, out_stride, n_rows, n_pairs);
    for (; n + 32 <= n_columns; n += 32)
        multiply_pairs_rows<8, 2, ADD, RELU>(l, left_m, left_k, r + n, right_stride, out + n, out_stride, n_rows, n_pairs);
    for (; n < n_columns; n += 16)
        multiply_pairs_rows<16, 1, ADD, RELU>(l, left_m, left_k, r + n, right_stride, out + n, out_stride, n_rows, n_pairs);
}
#endif

/// Returns whether a layer's products are made with bf16.
GF_FN bool is_bf16(const Layer& layer) {
    return layer.n_in <= GF_BF16_WIDTH && layer.n_out <= GF_BF16_WIDTH && layer.n_out % 16 == 0;
}

/// Computes out [n_rows, n_columns] (+)= left [n_rows, n_k] right [n_k, n_columns], with left packed by columns and right
/// by rows.
template <bool ADD, bool RELU>
GF_FN void multiply_packed_pairs(const Packed& left, const Packed& right, Matrix out, uint32_t n_rows, uint32_t n_columns,
                                 uint32_t n_k) {
    const uint32_t n_pairs = pairs_of(n_k);
#if GF_AMX
    multiply_tiles<ADD, RELU>(left.word, n_pairs, right.word, n_columns, out.data, out.stride, n_rows, n_columns, n_pairs);
#else
    multiply_pairs<ADD, RELU>(left, n_pairs, 1, right, n_columns, out.data, out.stride, n_rows, n_columns, n_pairs);
#endif
}

/// The primitives tile_forward, tile_backward_input (without its ReLU) and tile_backward_weights.
template <bool RELU>
GF_FN void bf16_forward(Matrix x, const Layer& layer, const float* w_transposed, Matrix y, uint32_t rows) {
    Packed left, right;
    pack_columns(x.data, x.stride, rows, layer.n_in, left);
    pack_rows(w_transposed, layer.n_out, layer.n_in, layer.n_out, right);
    multiply_packed_pairs<false, RELU>(left, right, y, rows, layer.n_out, layer.n_in);
}

GF_FN void bf16_backward_input(Matrix dy, const Layer& layer, const float* w, Matrix dx, uint32_t rows) {
    Packed left, right;
    pack_columns(dy.data, dy.stride, rows, layer.n_out, left);
    pack_rows(w, layer.n_in, layer.n_out, layer.n_in, right);
    multiply_packed_pairs<false, false>(left, right, dx, rows, layer.n_in, layer.n_out);
}

GF_FN void bf16_backward_weights(Matrix dy, Matrix x, const Layer& layer, float* dL_dw, uint32_t rows) {
    Packed left, right;
    pack_rows(x.data, x.stride, rows, layer.n_in, right);
#if GF_AMX
    pack_rows_transposed(dy.data, dy.stride, rows, layer.n_out, left);
    multiply_packed_pairs<true, false>(left, right, {dL_dw, layer.n_in}, layer.n_out, layer.n_in, rows);
#else
    pack_rows(dy.data, dy.stride, rows, layer.n_out, left);
    multiply_pairs<true, false>(left, 1, layer.n_out, right, layer.n_in, dL_dw, layer.n_in, layer.n_out, layer.n_in,
                                pairs_of(rows));
#endif
}

}  // namespace
#else
#define GF_BF16 0
#endif
