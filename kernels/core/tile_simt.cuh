// The primitives of tile.cuh where a block of threads shares the work: cuda and emulated.
//
// Products run on tensor cores: fp16 operands, fp32 accumulation, 16 rows, 8 columns and 16 terms at a time (PTX ISA,
// mma.m16n8k16). With g = lane / 4 and t = lane % 4, a lane holds the following pairs:
//   left matrix     rows g and g + 8, terms 2 t, 2 t + 1 and 2 t + 8, 2 t + 9
//   right matrix    column g, the same terms
//   sum             rows g and g + 8, columns 2 t, 2 t + 1
// Warp w owns rows 32 w ... 32 w + 31 of the tile.
#pragma once
#include "core/tile.cuh"

#define GF_FOR_EACH_IN_TILE(s, n) if (const uint32_t s = threadIdx.x; s < (n))
#define GF_FOR_EACH_GROUP_IN_TILE(s, n) GF_FOR_EACH_IN_TILE(s, n)
#define GF_SHARE_IN_TILE(i, n) for (uint32_t i = threadIdx.x; i < (n); i += GF_TILE)

#define GF_WARPS (GF_TILE / 32)
#define GF_STRIP 4  // adjacent products that share their left matrix

namespace {

template <typename T> struct PerSample {
    T value{};  // unused in threads past the last sample
    GF_FN T& operator[](uint32_t) { return value; }
};

GF_FN void tile_sync() { __syncthreads(); }

/// Each thread copies 16 bytes at a time.
GF_FN void copy_tile(Matrix from, Matrix to, uint32_t rows, uint32_t n_columns) {
    const uint32_t per_row = n_columns / 8;
    for (uint32_t e = threadIdx.x; e < rows * per_row; e += GF_TILE)
        *(uint4*)(to.row(e / per_row) + e % per_row * 8) = *(const uint4*)(from.row(e / per_row) + e % per_row * 8);
}

GF_FN Matrix Staged::matrix() const { return scratch; }

GF_FN void Staged::save() const {
    if (saved.data) copy_tile(scratch, saved, rows, n_columns);
}

GF_FN void Staged::fetch() const {
    copy_tile(saved, scratch, rows, n_columns);
    // Written as one loop per thread: a loop over rows costs the caller registers.
    const uint32_t s = threadIdx.x;
    for (uint32_t c = 0; s >= rows && c < n_columns; ++c) scratch.row(s)[c] = (compute_t)0.0f;
    tile_sync();
}

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

GF_FN void tile_forward(Matrix x, const Layer& layer, Weights weights, Matrix y, uint32_t, bool relu) {
    const auto write = [&](uint32_t row, uint32_t c, float value, float next) {
        store_pair(y.row(row) + c, relu && !(value > 0.0f) ? 0.0f : value, relu && !(next > 0.0f) ? 0.0f : next);
    };
    multiply(x, weights.w + layer.weights, layer.n_out, layer.n_in, write);
}

GF_FN void tile_backward_input(Matrix dy, const Layer& layer, Weights weights, Matrix x, Matrix dx, uint32_t,
                               bool relu) {
    const auto write = [&](uint32_t row, uint32_t c, float value, float next) {
        const compute_t* made = x.row(row) + c;
        const bool open = !relu || (float)made[0] > 0.0f, next_open = !relu || (float)made[1] > 0.0f;
        store_pair(dx.row(row) + c, open ? value : 0.0f, next_open ? next : 0.0f);
    };
    multiply(dy, weights.w_transposed + layer.weights, layer.n_in, layer.n_out, write);
}

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

GF_FN void tile_column_sums(Matrix x, uint32_t n_columns, float scale, float* sums, uint32_t) {
    for (uint32_t c = threadIdx.x; c < n_columns; c += GF_TILE) {
        float sum = 0.0f;
        for (uint32_t s = 0; s < GF_TILE; ++s) sum += (float)x.row(s)[c];
        shared_add(&sums[c], scale * sum);
    }
}

}  // namespace
