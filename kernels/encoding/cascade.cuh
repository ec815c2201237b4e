// The cascade: a multiplicative filter network whose filters are the levels of the grid.
//
//   h_0 = z_0,   h_l = z_l * (1 + h_{<l} G_l)
//
// z_l [F] are the interpolated features of level l, h_{<l} = [h_0 ... h_{l-1}] is a row vector, * is element by
// element, and G_l [l F, F] is learned and zero at the start, where the cascade passes z through. theta holds G_1, G_2,
// ... one after the other, F^2 L (L - 1) / 2 numbers. Relatives: multiplicative filter networks (Fathony et al. 2021),
// factor fields (Chen et al. 2023).
//
// Each sample is computed by itself, level by level; the host computes GF_LANES samples at a time. Columns of the tile
// lie one after the other, GF_CASCADE_STRIDE numbers apart.
#pragma once
#include "core/columns.cuh"
#include "core/tile.cuh"

// Threads that sum over samples read different columns at the same sample: an odd stride puts them in different banks.
#if GF_SIMT
#define GF_CASCADE_STRIDE (GF_TILE + 1)
#else
#define GF_CASCADE_STRIDE GF_TILE
#endif

namespace {

/// One number per sample and column, of at most W columns.
template <int W> struct CascadeColumns {
    alignas(64) float data[W * GF_CASCADE_STRIDE];
    GF_FN float* at(uint32_t column, uint32_t s) { return data + column * GF_CASCADE_STRIDE + s; }
};

/// Scratch of the forward pass.
template <int W> struct CascadeShared {
    CascadeColumns<W> h;
};

/// Scratch of the backward pass.
template <int W> struct CascadeBackwardShared {
    CascadeColumns<W> h;
    CascadeColumns<W> d;  // gradients with respect to h, then to h_{<l} G_l
#if !GF_SIMT
    CascadeColumns<W> dL_dz;  // a thread writes those of its sample to device memory at once
#endif
};

/// Returns G_l.
GF_FN const float* gates_of_level(const float* theta, uint32_t l, uint32_t n_features) {
    return theta + (size_t)n_features * n_features * (l * (l - 1) / 2);
}

/// Computes 1 + h_{<l} G_l for the samples of a group that begins at s.
template <int F, int W>
GF_FN void find_gate(const float* G, CascadeColumns<W>& h, uint32_t l, uint32_t s, Columns gate[F]) {
    // Two sums for each gate, so that additions need not wait for each other.
    Columns odd[F] = {};
    GF_UNROLL
    for (int f = 0; f < F; ++f) gate[f] = Columns{} + 1.0f;
    const uint32_t n = l * F;
    for (uint32_t c = 0; c + 2 <= n; c += 2) {
        const Columns value = load_columns(h.at(c, s)), next = load_columns(h.at(c + 1, s));
        GF_UNROLL
        for (int f = 0; f < F; ++f) {
            gate[f] += G[c * F + f] * value;
            odd[f] += G[(c + 1) * F + f] * next;
        }
    }
    if (n % 2) {
        const Columns value = load_columns(h.at(n - 1, s));
        GF_UNROLL
        for (int f = 0; f < F; ++f) gate[f] += G[(n - 1) * F + f] * value;
    }
    GF_UNROLL
    for (int f = 0; f < F; ++f) gate[f] += odd[f];
}

/// Copies `n` rows of `n_columns` numbers into columns, from `column` on. On a GPU, each thread copies its sample's
/// row.
template <typename T, int W>
GF_FN void rows_to_columns(const T* rows, uint32_t stride, uint32_t n, uint32_t column, uint32_t n_columns,
                           CascadeColumns<W>& to) {
#if GF_SIMT
    GF_FOR_EACH_IN_TILE(s, n) {
        for (uint32_t c = 0; c < n_columns; ++c) *to.at(column + c, s) = (float)rows[(size_t)s * stride + c];
    }
#else
    transpose(rows, stride, n, n_columns, to.at(column, 0), GF_CASCADE_STRIDE);
#endif
}

/// Copies columns back into rows, as rows_to_columns.
template <typename T, int W>
GF_FN void columns_to_rows(CascadeColumns<W>& from, uint32_t column, uint32_t n_columns, uint32_t n, T* rows, uint32_t stride) {
#if GF_SIMT
    GF_FOR_EACH_IN_TILE(s, n) {
        for (uint32_t c = 0; c < n_columns; ++c) rows[(size_t)s * stride + c] = (T)*from.at(column + c, s);
    }
#else
    transpose(from.at(column, 0), GF_CASCADE_STRIDE, n_columns, n, rows, stride);
#endif
}

template <int F, int W>
GF_FN void cascade_forward_tile(const CascadeArgs& a, CascadeShared<W>& shared, uint32_t first, uint32_t rows) {
    const uint32_t n_columns = a.n_levels * F;
    const size_t capacity = a.samples.capacity;
    compute_t* features = (compute_t*)a.features + (size_t)first * a.n_in;
    compute_t* saved = a.saved ? (compute_t*)a.saved + first : nullptr;
    rows_to_columns(features, a.n_in, rows, 0, n_columns, shared.h);
    GF_FOR_EACH_GROUP_IN_TILE(s, rows) {
        for (uint32_t c = 0; c < n_columns && saved; ++c)
            store_group(saved + c * capacity + s, load_columns(shared.h.at(c, s)), rows - s);
        for (uint32_t l = 1; l < a.n_levels; ++l) {
            Columns gate[F];
            find_gate<F>(gates_of_level(a.theta + a.first, l, F), shared.h, l, s, gate);
            GF_UNROLL
            for (int f = 0; f < F; ++f) {
                float* h = shared.h.at(l * F + f, s);
                store_columns(h, load_columns(h) * gate[f]);
            }
        }
        for (uint32_t c = 0; c < n_columns && saved; ++c)
            store_group(saved + (n_columns + c) * capacity + s, load_columns(shared.h.at(c, s)), rows - s);
    }
    columns_to_rows(shared.h, F, n_columns - F, rows, features + F, a.n_in);
}

/// Adds the gradients with respect to all G_l: sums over the tile of h_{<l} times the gradients with respect to
/// h_{<l} G_l.
template <int F, int W> GF_FN void add_gate_gradients(const CascadeArgs& a, CascadeBackwardShared<W>& shared, uint32_t rows) {
    // One item per row of a matrix.
    GF_SHARE_IN_TILE(i, F * (a.n_levels * (a.n_levels - 1) / 2)) {
        uint32_t l = 1, c = i;
        for (; c >= l * F; ++l) c -= l * F;
        Columns sum[F] = {};
        for (uint32_t s = 0; s < rows; s += GF_LANES) {
            const Columns value = load_columns(shared.h.at(c, s));
            GF_UNROLL
            for (int f = 0; f < F; ++f) sum[f] += value * load_columns(shared.d.at(l * F + f, s));
        }
        float total[F];
        GF_UNROLL
        for (int f = 0; f < F; ++f) total[f] = sum_of(sum[f]);
        shared_add_all<float, F>(a.dL_dtheta + a.first + (size_t)i * F, total);
    }
}

template <int F, int W>
GF_FN void cascade_backward_tile(const CascadeArgs& a, CascadeBackwardShared<W>& shared, uint32_t first, uint32_t rows) {
    const uint32_t n_columns = a.n_levels * F;
    const size_t capacity = a.samples.capacity;
    const compute_t *z = (const compute_t*)a.saved + first, *h = z + n_columns * capacity;
    float* gradients = a.dL_dfeatures + (size_t)first * F;
    for (uint32_t l = 0; l < a.n_levels; ++l)
        rows_to_columns(gradients + l * capacity * F, F, rows, l * F, F, shared.d);
    GF_FOR_EACH_GROUP_IN_TILE(s, rows) {
        for (uint32_t c = 0; c < n_columns; ++c) {
            store_columns(shared.h.at(c, s), load_group(h + c * capacity + s, rows - s));
            zero_after(shared.d.at(c, s), rows - s);
        }
        for (uint32_t l = a.n_levels; l-- > 1;) {
            const float* G = gates_of_level(a.theta + a.first, l, F);
            Columns gate[F], dL_dgate[F];
            find_gate<F>(G, shared.h, l, s, gate);
            GF_UNROLL
            for (int f = 0; f < F; ++f) {
                const uint32_t c = l * F + f;
                const Columns dL_dh = load_columns(shared.d.at(c, s));
                dL_dgate[f] = dL_dh * load_group(z + c * capacity + s, rows - s);
                store_columns(shared.d.at(c, s), dL_dgate[f]);
#if GF_SIMT
                gradients[(l * capacity + s) * F + f] = dL_dh * gate[f];
#else
                store_columns(shared.dL_dz.at(c, s), dL_dh * gate[f]);
#endif
            }
            for (uint32_t c = 0; c < l * F; ++c) {
                Columns sum = load_columns(shared.d.at(c, s));
                GF_UNROLL
                for (int f = 0; f < F; ++f) sum += G[c * F + f] * dL_dgate[f];
                store_columns(shared.d.at(c, s), sum);
            }
        }
    }
    columns_to_rows(shared.d, 0, F, rows, gradients, F);  // h_0 is z_0
#if !GF_SIMT
    for (uint32_t l = 1; l < a.n_levels; ++l)
        columns_to_rows(shared.dL_dz, l * F, F, rows, gradients + l * capacity * F, F);
#endif
    tile_sync();
    add_gate_gradients<F>(a, shared, rows);
    tile_sync();
}

template <int W> GF_FN void cascade_forward_tile(const CascadeArgs& a, CascadeShared<W>& shared, uint32_t tile) {
    const uint32_t first = a.samples.count[a.round] + tile * GF_TILE;
    const uint32_t end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    with_features(a.n_features, [&](auto f) { cascade_forward_tile<decltype(f)::value>(a, shared, first, rows); });
}

template <int W> GF_FN void cascade_backward_tile(const CascadeArgs& a, CascadeBackwardShared<W>& shared, uint32_t tile) {
    const uint32_t first = tile * GF_TILE, end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const uint32_t rows = min_of(end - first, (uint32_t)GF_TILE);
    with_features(a.n_features, [&](auto f) { cascade_backward_tile<decltype(f)::value>(a, shared, first, rows); });
}

}  // namespace
