// Products of packed pairs of bf16 numbers by the matrix unit of a core (AMX-BF16). Where GF_AMX is 1, bf16.cuh uses
// them. One instruction multiplies a 16 × 32 matrix by a 32 × 16 matrix: 8192 products, where VDPBF16PS makes 32.
//
// The unit has eight tiles of 16 rows of 64 bytes. Four hold sums, two rows of tiles by two columns of tiles; two hold
// pairs of the left operand, two of the right one.
#pragma once
#if !GF_SIMT && defined(__AMX_BF16__)
#define GF_AMX 1
#include <immintrin.h>

#define GF_AMX_ROWS 16   // rows of a tile
#define GF_AMX_WORDS 16  // 32-bit words of a tile's row: sums, or pairs

namespace {

/// Makes the compiler keep all stores before what follows. It does not know that loads of tiles read memory.
GF_FN void see_memory(const void* address) { asm volatile("" : : "r"(address) : "memory"); }

/// The matrix unit in use: all eight tiles with 16 rows of 64 bytes. The state belongs to the calling thread. A kernel
/// holds one of these for as long as it runs, and leaves the thread as if it had never used the unit.
struct MatrixUnit {
    MatrixUnit() {
        struct alignas(64) {
            uint8_t palette, start_row, reserved[14];
            uint16_t row_bytes[16];
            uint8_t rows[16];
        } config = {};
        config.palette = 1;
        for (int tile = 0; tile < 8; ++tile) {
            config.row_bytes[tile] = 4 * GF_AMX_WORDS;
            config.rows[tile] = GF_AMX_ROWS;
        }
        see_memory(&config);
        _tile_loadconfig(&config);
    }
    ~MatrixUnit() { _tile_release(); }
    MatrixUnit(const MatrixUnit&) = delete;
};

/// Writes the first `n_rows` rows of `sums`, the contents of a tile, to `to`, whose rows are `stride` numbers apart.
template <bool RELU>
GF_FN void write_sums(const float* sums, float* to, size_t stride, uint32_t n_rows) {
    for (uint32_t r = 0; r < n_rows; ++r) {
        __m512 value = _mm512_load_ps(sums + r * GF_AMX_WORDS);
        if (RELU) value = _mm512_max_ps(value, _mm512_setzero_ps());
        _mm512_storeu_ps(to + r * stride, value);
    }
}

// A macro, since the instructions encode tile numbers, which must be constants.
#define GF_WRITE_TILE(tile, row, column)                                                                               \
    if (first_row + 16 * (row) < n_rows) {                                                                             \
        float* to = out + (size_t)(first_row + 16 * (row)) * out_stride + 16 * (column);                               \
        const uint32_t n = n_rows - first_row - 16 * (row);                                                            \
        if (!RELU && n >= GF_AMX_ROWS) {                                                                               \
            _tile_stored(tile, to, 4 * out_stride);                                                                    \
        } else {                                                                                                       \
            _tile_stored(tile, sums, 4 * GF_AMX_WORDS);                                                                \
            write_sums<RELU>(sums, to, out_stride, n < GF_AMX_ROWS ? n : GF_AMX_ROWS);                                 \
        }                                                                                                              \
    }

/// Computes 32 rows of out (+)= left right for 16 V columns, V = 1 or 2. See multiply_tiles.
template <int V, bool ADD, bool RELU>
GF_FN void multiply_tiles_block(const uint32_t* left, size_t left_stride, const uint32_t* right, size_t right_stride,
                                float* out, size_t out_stride, uint32_t first_row, uint32_t n_rows, uint32_t n_pairs) {
    alignas(64) float sums[GF_AMX_ROWS * GF_AMX_WORDS];
    const bool two = first_row + GF_AMX_ROWS < n_rows;
    const uint32_t* upper = left + first_row * left_stride;
    const uint32_t* lower = upper + GF_AMX_ROWS * left_stride;
    if (ADD) {
        float* there = out + first_row * out_stride;
        _tile_loadd(0, there, 4 * out_stride);
        if (V == 2) _tile_loadd(1, there + 16, 4 * out_stride);
        if (two) _tile_loadd(2, there + 16 * out_stride, 4 * out_stride);
        if (two && V == 2) _tile_loadd(3, there + 16 * out_stride + 16, 4 * out_stride);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (uint32_t k = 0; k < n_pairs; k += GF_AMX_WORDS) {
        const uint32_t* pairs = right + k * right_stride;
        _tile_loadd(4, upper + k, 4 * left_stride);
        _tile_loadd(6, pairs, 4 * right_stride);
        _tile_dpbf16ps(0, 4, 6);
        if (V == 2) {
            _tile_loadd(7, pairs + 16, 4 * right_stride);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (two) {
            _tile_loadd(5, lower + k, 4 * left_stride);
            _tile_dpbf16ps(2, 5, 6);
            if (V == 2) _tile_dpbf16ps(3, 5, 7);
        }
    }
    GF_WRITE_TILE(0, 0, 0)
    if (V == 2) { GF_WRITE_TILE(1, 0, 1) }
    GF_WRITE_TILE(2, 1, 0)
    if (V == 2) { GF_WRITE_TILE(3, 1, 1) }
}
#undef GF_WRITE_TILE

/// Computes out [n_rows, n_columns] (+)= left right over packed pairs: left [n_rows, n_pairs], with up to 15 further
/// rows that are read but not used, and right [n_pairs, n_columns]. n_columns and n_pairs are multiples of 16, and so is
/// n_rows with ADD.
template <bool ADD, bool RELU>
static __attribute__((noinline)) void multiply_tiles(const uint32_t* left, size_t left_stride, const uint32_t* right,
                                                     size_t right_stride, float* out, size_t out_stride, uint32_t n_rows,
                                                     uint32_t n_columns, uint32_t n_pairs) {
    see_memory(left);
    uint32_t n = 0;
    for (; n + 32 <= n_columns; n += 32)
        for (uint32_t m = 0; m < n_rows; m += 32)
            multiply_tiles_block<2, ADD, RELU>(left, left_stride, right + n, right_stride, out + n, out_stride, m, n_rows,
                                               n_pairs);
    if (n < n_columns)
        for (uint32_t m = 0; m < n_rows; m += 32)
            multiply_tiles_block<1, ADD, RELU>(left, left_stride, right + n, right_stride, out + n, out_stride, m, n_rows,
                                               n_pairs);
}

/// Transposes 16 rows of 16 words each: row r of the result holds word r of every row.
GF_FN void transpose_words(__m512i rows[16]) {
    __m512i t[16];
    GF_UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Lane l (128 bits) of t[4 g + q] now holds two words of each of two rows: columns 4 l and 4 l + 1 if q is even,
    // 4 l + 2 and 4 l + 3 if it is odd.
    GF_UNROLL
    for (int i = 0; i < 16; i += 4) {
        rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    // rows[4 g + c], 128 bits l: column 4 l + c of rows 4 g to 4 g + 3. What is left is to transpose by 128 bits.
    GF_UNROLL
    for (int c = 0; c < 4; ++c) {
        const __m512i a = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0x88);
        const __m512i b = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0x88);
        const __m512i d = _mm512_shuffle_i32x4(rows[c], rows[4 + c], 0xdd);
        const __m512i e = _mm512_shuffle_i32x4(rows[8 + c], rows[12 + c], 0xdd);
        t[c] = _mm512_shuffle_i32x4(a, b, 0x88);
        t[8 + c] = _mm512_shuffle_i32x4(a, b, 0xdd);
        t[4 + c] = _mm512_shuffle_i32x4(d, e, 0x88);
        t[12 + c] = _mm512_shuffle_i32x4(d, e, 0xdd);
    }
    GF_UNROLL
    for (int i = 0; i < 16; ++i) rows[i] = t[i];
}

}  // namespace
#else
#define GF_AMX 0

namespace {
/// Nothing to prepare where there is no matrix unit.
struct MatrixUnit {};
}  // namespace
#endif
