// Tile primitives: what a block does with its GF_TILE samples together. This file says what they are; their bodies are
// in tile_simt.cuh (tensor cores and shared memory, where a block of threads shares the work: cuda and emulated) and
// tile_host.cuh (register-blocked vector loops, where one core does all of it).
//
// - The matrices of a tile are row-major with one row per sample. `rows` is the number of samples, GF_TILE in all tiles
//   but the last. A block of threads works on all GF_TILE rows of a matrix, so that products need no bounds checks: all
//   rows must exist, and the contents of those past the last sample do not matter unless a primitive says so. The host
//   works on `rows` rows alone.
// - A layer's weights are W [n_out, n_in]. Numbers of columns (n_in, n_out, n_columns) are multiples of 16 unless a
//   primitive says otherwise; callers pad with zeros.
// - Matrices that a primitive writes do not overlap those that it reads unless it says so.
// - No primitive but Staged::fetch synchronises: where a thread reads what others have written, or overwrites what
//   others have read, the caller puts a tile_sync() in between.
#pragma once
#include "args.h"
#include "core/target.cuh"

namespace {

// GF_FOR_EACH_IN_TILE(s, n) is the head of a loop over s = 0 ... n - 1, whose iterations a block's threads share, one
// per thread. n is at most GF_TILE.
//
// GF_FOR_EACH_GROUP_IN_TILE(s, n) is the same in groups of GF_LANES samples, of which s is the first.
//
// GF_SHARE_IN_TILE(i, n) is the head of a loop over any number of items that a block's threads share.

/// A value per sample, value[s], that lasts from one such loop to the next: a register of the sample's thread, or an
/// array.
template <typename T> struct PerSample;

/// Scratch of blocks that need none.
struct NoShared {};

struct Matrix {
    compute_t* data;
    uint32_t stride;  // elements between rows
    GF_FN compute_t* row(uint32_t s) const { return data + (size_t)s * stride; }
};

/// The weights of layers, in two copies: each product reads the one whose rows it multiplies. A layer's matrix begins
/// at layer.weights in both.
struct Weights {
    const compute_t* w;             // W [n_out, n_in]
    const compute_t* w_transposed;  // W^T [n_in, n_out]
};

/// Returns the two copies that follow one another in a buffer of `n_weights` weights each.
GF_FN Weights weights_in(const void* buffer, uint32_t n_weights) {
    const compute_t* w = (const compute_t*)buffer;
    return {w, w + n_weights};
}

/// Waits until all threads of the block have arrived, and makes what they have written visible to all.
GF_FN void tile_sync();

/// Copies a tile between the block's scratch and device memory. n_columns is a multiple of 8, and rows begin at
/// multiples of 16 bytes. Rows past the last sample are not copied.
GF_FN void copy_tile(Matrix from, Matrix to, uint32_t rows, uint32_t n_columns);

/// A matrix of a tile that the forward pass saves in device memory for the backward pass. A block of threads works in
/// its scratch and copies (copy_tile); one core works in place.
struct Staged {
    Matrix saved;  // no data: not saved
    Matrix scratch;
    uint32_t rows, n_columns;

    /// Returns the matrix to work in: the scratch, or (host) the saved matrix if there is one.
    GF_FN Matrix matrix() const;

    /// Saves matrix() as it is, if it is to be saved.
    GF_FN void save() const;

    /// Loads what was saved into matrix(), with zeros in the rows past the last sample, and synchronises the block.
    GF_FN void fetch() const;
};

/// Computes y = x W^T, followed by a ReLU if `relu` is set.
GF_FN void tile_forward(Matrix x, const Layer& layer, Weights weights, Matrix y, uint32_t rows, bool relu);

/// Computes dx = dy W, times the derivative of the ReLU that produced x if `relu` is set. On the host, n_out may be any
/// number. Without `relu`, x is not read, and dx may be x itself. With `relu`, dx may be x on GPUs, where each element
/// of x is read before it is overwritten, but not on the host, which masks dx once it is complete.
GF_FN void tile_backward_input(Matrix dy, const Layer& layer, Weights weights, Matrix x, Matrix dx, uint32_t rows,
                               bool relu);

/// Computes dW += scale dy^T x, where dW begins at dL_dweights + layer.weights; on GPUs, other blocks may be adding to
/// it too. Rows past the last sample must be zero in dy and finite in x. On the host, `scale` must be 1, and n_out may
/// be any number.
GF_FN void tile_backward_weights(Matrix dy, Matrix x, const Layer& layer, float scale, float* dL_dweights,
                                 uint32_t rows);

/// Computes sums[c] += scale sum over rows of x[row, c]; on GPUs, other blocks may be adding to it too. Rows past the
/// last sample must be zero. On the host, `scale` must be 1.
GF_FN void tile_column_sums(Matrix x, uint32_t n_columns, float scale, float* sums, uint32_t rows);

}  // namespace

#if GF_SIMT
#include "core/tile_simt.cuh"
#else
#include "core/tile_host.cuh"
#endif
