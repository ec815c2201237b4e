// MulFAGrid at a tile of samples, forward and backward: features from the table with the multiplicative Fourier
// adaptive kernel of mulfa.cuh, computed by matrix products.
//
// `Values` computes v at the corners of a cell from gamma, and propagates its gradient back to theta:
// mulfa_single_layer.cuh for one layer (n = 1), mulfa_multi_layer.cuh for more. Both multiply by matrices that are
// prepared from theta once per step (prepare_mulfa) and accumulate gradients with respect to these matrices, which are
// converted to gradients with respect to theta once per step (mulfa_gradient).
#pragma once
#include "encoding/encode.cuh"
#include "encoding/mulfa.cuh"

#define GF_MULFA_GAMMA 64   // maximum number of columns of [gamma, 1]
#define GF_MULFA_WIDTH 32   // maximum number of neurons; a multiple of 16
#define GF_MULFA_VALUES 64  // maximum number of columns of v: P K
#define GF_PLACE 16         // columns of [p, 1, 0 ...], with which the gradients of Omega and psi are a product too

// Gradients with respect to v are smaller than those with respect to the features, by a factor of the size of the
// features. They are scaled up to fit fp16.
#if GF_SIMT
#define GF_MULFA_SCALE 4096.0f
#define GF_MULFA_LIMIT 32768.0f
#define GF_MULFA_SKEW 8  // 16 bytes of padding per row, so that rows start in different banks
#else
#define GF_MULFA_SCALE 1.0f
#define GF_MULFA_SKEW 0
#endif

namespace {

GF_FN uint32_t padded(uint32_t n) { return (n + 15u) / 16u * 16u; }

/// `columns` values for each sample of a tile.
template <int columns> struct Scratch {
    static const uint32_t stride = columns + GF_MULFA_SKEW;
    alignas(64) compute_t data[GF_TILE * stride];
};

template <int D> struct MulfaPoint {
    PerSample<float> place[D];  // p_0, the lowest corner of the cell
};

/// [p, 1, 0 ...] of a sample.
template <int D> GF_FN void write_place(compute_t* row, const float p[D]) {
    for (int j = 0; j < GF_PLACE; ++j) row[j] = (compute_t)(j == D ? 1.0f : 0.0f);
    GF_UNROLL
    for (int j = 0; j < D; ++j) row[j] = (compute_t)p[j];
}

/// Returns one number of [W_1 | b_1 | 0 ...], the matrix that maps [gamma, 1, 0 ...] to q.
GF_FN float query_number(const MulfaLayer& at, const float* theta, uint32_t out, uint32_t in) {
    return in < at.n_in ? theta[at.W + out * at.n_in + in] : in == at.n_in ? theta[at.b + out] : 0.0f;
}

/// Data and steps that both kinds of `Values` share.
template <int D> struct MulfaWork {
    const MulfaArgs& a;
    uint32_t first, rows;  // samples
    uint32_t H;            // neurons
    uint32_t all;          // rows that are computed: threads compute the whole tile, so products need no bounds checks

    GF_FN MulfaWork(const MulfaArgs& args, uint32_t begin, uint32_t end)
        : a(args), first(begin), rows(min_of(end - begin, (uint32_t)GF_TILE)), H(args.grid.mulfa.width),
          all(GF_SIMT ? (uint32_t)GF_TILE : rows) {}

    /// Returns the prepared matrices of all levels; `plan` knows how many numbers they are.
    template <typename Plan> GF_FN Weights weights(const Plan& plan) const {
        return weights_in(a.prepared, plan.n_prepared);
    }

    /// Returns q of level l, which the forward pass saves if the arguments have memory for it.
    GF_FN Staged query(uint32_t l, compute_t* scratch) const {
        compute_t* const saved = a.query ? (compute_t*)a.query + ((size_t)l * a.samples.capacity + first) * H : nullptr;
        return {{saved, H}, {scratch, H + GF_MULFA_SKEW}, rows, H};
    }

    GF_FN PointTile<D> points() const {
        PointTile<D> points;
        GF_FOR_EACH_IN_TILE(s, all) {
            GF_UNROLL
            for (int k = 0; k < D; ++k) points.x[k][s] = s < rows ? a.samples.position[(size_t)(first + s) * D + k] : 0.0f;
        }
        return points;
    }

    /// Computes [gamma(x), 1, 0 ...] of all samples.
    GF_TILE_FN void find_gamma(PointTile<D>& points, Matrix out) const {
        const uint32_t m = a.grid.mulfa.n_frequencies, used = 2 * m * D;
        GF_UNROLL
        for (int j = 0; j < D; ++j) {
            float power = 1.0f;
            for (uint32_t k = 0; k < m; ++k, power *= 2.0f) {
                GF_FOR_EACH_IN_TILE(s, all) {
                    float sine, cosine;
                    sin_cos_pi(power * points.x[j][s], sine, cosine);
                    out.row(s)[2 * (k * D + j)] = (compute_t)sine;
                    out.row(s)[2 * (k * D + j) + 1] = (compute_t)cosine;
                }
            }
        }
        GF_FOR_EACH_IN_TILE(s, all) {
            for (uint32_t c = used; c < padded(used + 1); ++c) out.row(s)[c] = (compute_t)(c == used ? 1.0f : 0.0f);
        }
    }

    /// Loads Omega and psi of a layer of level l: one row per axis, then psi.
    GF_FN void load_omega(uint32_t l, uint32_t layer, float* omega) const {
        const float* theta = a.theta + l * a.grid.mulfa.stride;
        const MulfaLayer at = mulfa_layer<D>(a.grid.mulfa, layer);
        GF_FOR_EACH_IN_TILE(e, (D + 1) * H) {
            const uint32_t j = e / H, h = e % H;
            omega[e] = j < (uint32_t)D ? theta[at.Omega + h * D + j] : theta[at.psi + h];
        }
    }

    /// Returns Omega p + psi for some neurons, starting at h.
    GF_FN Columns angle_at(const float* omega, const float place[D], uint32_t h) const {
        Columns angle = load_columns(omega + D * H + h);
        GF_UNROLL
        for (int j = 0; j < D; ++j) angle += load_columns(omega + j * H + h) * place[j];
        return angle;
    }

    /// Computes the lowest corner of each sample's cell, unitless.
    GF_FN void find_places(uint32_t l, PointTile<D>& points, MulfaPoint<D>& at) const {
        const float scale = a.grid.levels[l].scale, unit = 1.0f / (scale + 1.0f);
        GF_FOR_EACH_IN_TILE(s, all) {
            float x[D];
            GF_UNROLL
            for (int k = 0; k < D; ++k) x[k] = points.x[k][s];
            const Cell<float, D> cell = cell_of<float, D>(scale, x);
            GF_UNROLL
            for (int k = 0; k < D; ++k) at.place[k][s] = (float)cell.node[k] * unit;
        }
    }
};

/// A tile of samples with F features per level and K kernel values per node, 1 or F. `Values` has
///   n_values                      K
///   Shared                        scratch, in which `value` holds v [TILE, P K] without b_out, and then dL/dv
///   begin(points)                 called before the first level
///   find(l, points, at, again)    computes v of level l; `again`: in the backward pass, from the saved q
///   backward(l, points, at)       from dL/dv to the gradients with respect to the prepared numbers
template <int D, int F, typename Values> struct MulfaTile {
    static const int P = 1 << D, K = Values::n_values;
    const MulfaArgs& a;
    Values values;
    uint32_t first, rows, all;

    GF_FN MulfaTile(const MulfaArgs& args, typename Values::Shared& shared, uint32_t begin, uint32_t end)
        : a(args), values(MulfaWork<D>(args, begin, end), shared), first(begin), rows(values.rows), all(values.all) {}

    GF_FN Matrix value() const { return values.value(); }

    /// Loads v of output k at the corners, including b_out.
    GF_FN void values_of(const float* b_out, uint32_t s, int k, float v[P]) const {
        const compute_t* row = value().row(s);
        GF_UNROLL
        for (int c = 0; c < P; ++c) v[c] = (float)row[c * K + k] + b_out[k];
    }

    /// Returns the features of a node that kernel value k weights: all of them, or one.
    GF_FN Pack<compute_t, F / K> stored_at(uint32_t entry, int k) const {
        return *(const Pack<compute_t, F / K>*)((const compute_t*)a.table + (size_t)entry * F + k);
    }

    GF_FN const float* b_out(uint32_t l) const {
        const MulfaLayout& m = a.grid.mulfa;
        return a.theta + l * m.stride + mulfa_output<D>(m) + K * values.H;
    }

    /// Computes v of level l, and the active nodes with their linear weights.
    GF_FN void begin_level(uint32_t l, PointTile<D>& points, ActiveTile<D>& active, MulfaPoint<D>& at, bool again) const {
        values.work.find_places(l, points, at);
        find_active_tile<D, F>(a.grid.levels[l], KERNEL_LINEAR, points, all, (const compute_t*)a.table, active);
        values.find(l, points, at, again);
    }

    GF_FN void forward_level(uint32_t l, PointTile<D>& points) const {
        ActiveTile<D> active;
        MulfaPoint<D> at;
        begin_level(l, points, active, at, false);
        GF_FOR_EACH_IN_TILE(s, rows) {
            const Active<float, D> linear = active.at(s);
            compute_t* out = (compute_t*)a.features + (size_t)(first + s) * a.n_in + l * F;
            GF_ROLLED
            for (int k = 0; k < K; ++k) {
                float v[P], phi[P];
                values_of(b_out(l), s, k, v);
                mulfa_phi<float, P>(a.grid.kernel, a.grid.mulfa.floor, linear.weight, v, phi);
                float features[F / K] = {};
                GF_UNROLL
                for (int c = 0; c < P; ++c) {
                    const Pack<compute_t, F / K> stored = stored_at(linear.entry[c], k);
                    GF_UNROLL
                    for (int f = 0; f < F / K; ++f) features[f] += phi[c] * (float)stored.value[f];
                }
                GF_UNROLL
                for (int f = 0; f < F / K; ++f) out[k + f] = (compute_t)features[f];
            }
        }
        tile_sync();
    }

    GF_FN void forward() const {
        PointTile<D> x = values.work.points();
        values.begin(x);
        for (uint32_t l = 0; l < a.grid.mulfa.n_levels; ++l) forward_level(l, x);
        GF_FOR_EACH_IN_TILE(s, rows) {
            for (uint32_t c = a.grid.n_levels * F; c < a.n_in; ++c)
                ((compute_t*)a.features)[(size_t)(first + s) * a.n_in + c] = (compute_t)0.0f;
        }
    }

    /// Writes phi of one sample for the scatter, and overwrites its v by dL/dv.
    GF_FN void phi_and_gradient(uint32_t l, uint32_t s, const Active<float, D>& linear) const {
        const size_t at = (size_t)l * a.samples.capacity + first + s;
        GF_ROLLED
        for (int k = 0; k < K; ++k) {
            float v[P], phi[P], dL_dphi[P] = {}, dL_dv[P];
            values_of(b_out(l), s, k, v);
            mulfa_phi<float, P>(a.grid.kernel, a.grid.mulfa.floor, linear.weight, v, phi);
            const Pack<float, F / K> upstream = *(const Pack<float, F / K>*)(a.dL_dfeatures + at * F + k);
            GF_UNROLL
            for (int c = 0; c < P; ++c) {
                const Pack<compute_t, F / K> stored = stored_at(linear.entry[c], k);
                GF_UNROLL
                for (int f = 0; f < F / K; ++f) dL_dphi[c] += upstream.value[f] * (float)stored.value[f];
            }
            mulfa_phi_backward<float, P>(a.grid.kernel, a.grid.mulfa.floor, linear.weight, v, phi, dL_dphi, dL_dv,
                                         (float*)nullptr);
            GF_UNROLL
            for (int c = 0; c < P; ++c) {
                a.phi[at * P * K + c * K + k] = phi[c];
#if GF_SIMT
                dL_dv[c] = clamp_to(GF_MULFA_SCALE * dL_dv[c], -GF_MULFA_LIMIT, GF_MULFA_LIMIT);
#endif
                value().row(s)[c * K + k] = (compute_t)dL_dv[c];
            }
        }
    }

    GF_FN void backward_level(uint32_t l, PointTile<D>& points) const {
        ActiveTile<D> active;
        MulfaPoint<D> at;
        begin_level(l, points, active, at, true);
        GF_FOR_EACH_IN_TILE(s, all) {
            if (s < rows) phi_and_gradient(l, s, active.at(s));
            for (uint32_t c = s < rows ? P * K : 0; c < padded(P * K); ++c) value().row(s)[c] = (compute_t)0.0f;
        }
        tile_sync();
        values.backward(l, points, at);
    }

    GF_FN void backward() const {
        PointTile<D> x = values.work.points();
        values.begin(x);
        for (uint32_t l = 0; l < a.grid.mulfa.n_levels; ++l) backward_level(l, x);
    }
};

template <int D, int F, typename Values>
GF_FN void run_tile(const MulfaArgs& a, uint32_t tile, typename Values::Shared& shared, bool backward) {
    const uint32_t first = (backward ? 0 : a.samples.count[a.round]) + tile * GF_TILE;
    const uint32_t end = min_of(a.samples.count[a.round + 1], a.samples.capacity);
    if (first >= end) return;
    const MulfaTile<D, F, Values> work(a, shared, first, end);
    if (backward) work.backward();
    else work.forward();
}

/// Selects the instance for the number of features per level and for whether each feature has its own kernel value:
/// both are compile-time constants of a tile.
template <int D, template <int, int> class Values>
GF_FN void choose_tile(const MulfaArgs& a, uint32_t tile, typename Values<D, 1>::Shared& shared, bool backward) {
    const bool own = a.grid.mulfa.n_outputs > 1;
    switch (a.grid.n_features) {
        case 1: run_tile<D, 1, Values<D, 1>>(a, tile, shared, backward); break;
        case 2:
            own ? run_tile<D, 2, Values<D, 2>>(a, tile, shared, backward)
                : run_tile<D, 2, Values<D, 1>>(a, tile, shared, backward);
            break;
        case 4:
            own ? run_tile<D, 4, Values<D, 4>>(a, tile, shared, backward)
                : run_tile<D, 4, Values<D, 1>>(a, tile, shared, backward);
            break;
        default:
            own ? run_tile<D, 8, Values<D, 8>>(a, tile, shared, backward)
                : run_tile<D, 8, Values<D, 1>>(a, tile, shared, backward);
            break;
    }
}

}  // namespace
