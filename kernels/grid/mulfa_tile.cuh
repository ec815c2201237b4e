// The multiplicative Fourier adaptive kernel of one layer (n = 1) at a tile of samples, forward and backward: the same as
// mulfa.cuh, made of matrix products.
//
// With one layer, v(x, p) = sum_h w_h q_h sin(Omega_h p + psi_h) + b_out, where q = W_1 gamma(x) + b_1 knows the point alone.
// The corners of a cell are p = p_0 + delta_c, with p_0 the lowest one and delta_c the same for all cells of a level, and
//     sin(Omega_h (p_0 + delta_c) + psi_h) = sin(angle_h) cos(Omega_h delta_c) + cos(angle_h) sin(Omega_h delta_c),
// angle = Omega p_0 + psi. So that all corners' values are two products with matrices that are the same for all samples,
//     q = [gamma(x), 1] Q^T                                           Q [H, G]: W_1 | b_1
//     v = [q sin(angle), q cos(angle)] N^T + b_out                    N [P K, 2 H]: w_h cos(Omega_h delta_c) | w_h sin(...)
// and one sine and cosine a neuron, in the place of P. Q and N are prepared once a step (prepare_mulfa); gradients come back
// by Q, N, angle and b_out, and become those of theta once a step (mulfa_gradient).
#pragma once
#include "encode.cuh"
#include "mulfa.cuh"

#define GF_MULFA_GAMMA 64  // most columns of Q
#define GF_MULFA_WIDTH 32   // most neurons; a multiple of 16
#define GF_MULFA_VALUES 64  // most columns of v: P K
#define GF_PLACE 16        // columns of [p_0, 1, 0 ...], by which the gradients of Omega and psi are a product, too

// Gradients by v are smaller than those by the features, by the size of the features.
#if GF_SIMT
#define GF_MULFA_SCALE 4096.0f
#define GF_MULFA_LIMIT 32768.0f
#else
#define GF_MULFA_SCALE 1.0f
#endif

namespace {

GF_FN uint32_t padded(uint32_t n) { return (n + 15u) / 16u * 16u; }

/// Places of a level's matrices among what is prepared, and in the gradients.
struct MulfaPlan {
    Layer query;     // Q
    Layer node;      // N
    Layer place;     // gradients of [Omega, psi, 0 ...]: [GF_PLACE, H]
    uint32_t bias;   // gradients of b_out for each corner: [padded(P K)]
    uint32_t n_level;     // prepared numbers of a level
    uint32_t n_prepared;  // of all levels
};

template <int D> GF_FN MulfaPlan mulfa_plan(const GridLayout& grid, uint32_t l) {
    const MulfaLayout& m = grid.mulfa;
    MulfaPlan plan;
    plan.query.n_in = padded(2 * m.n_frequencies * D + 1);
    plan.query.n_out = m.width;
    plan.node.n_in = 2 * m.width;
    plan.node.n_out = padded(m.n_outputs << D);
    const uint32_t n_query = plan.query.n_in * plan.query.n_out;
    plan.n_level = n_query + plan.node.n_in * plan.node.n_out;
    plan.n_prepared = m.n_levels * plan.n_level;
    plan.query.weights = l * plan.n_level;
    plan.node.weights = plan.query.weights + n_query;
    plan.place.n_in = m.width;
    plan.place.n_out = GF_PLACE;
    plan.place.weights = plan.n_prepared + l * GF_PLACE * m.width;
    plan.bias = plan.n_prepared + m.n_levels * GF_PLACE * m.width + l * plan.node.n_out;
    return plan;
}

/// Omega_h delta_c: how far the corner's angle is from the lowest one's.
template <int D> GF_FN float corner_angle(const GridLayout& grid, uint32_t l, const float* Omega, uint32_t c) {
    float angle = 0.0f;
    for (int j = 0; j < D; ++j) angle += ((c >> j) & 1u) ? Omega[j] : 0.0f;
    return angle / (grid.levels[l].scale + 1.0f);
}

/// One number of Q or N.
template <int D> GF_FN float prepared_number(const GridLayout& grid, const float* theta, uint32_t l, bool of_query, uint32_t out,
                                             uint32_t in) {
    const MulfaLayout& m = grid.mulfa;
    const MulfaLayer at = mulfa_layer<D>(m, 0);
    theta += l * m.stride;
    if (of_query) return in < at.n_in ? theta[at.W + out * at.n_in + in] : in == at.n_in ? theta[at.b + out] : 0.0f;
    const uint32_t c = out / m.n_outputs, k = out % m.n_outputs, h = in % m.width;
    if (c >> D) return 0.0f;
    float sine, cosine;
    sin_cos(corner_angle<D>(grid, l, theta + at.Omega + h * D, c), sine, cosine);
    return theta[mulfa_output<D>(m) + k * m.width + h] * (in < m.width ? cosine : sine);
}

/// Number t of the gradient by theta, as far as it comes from level l.
template <int D>
GF_FN float theta_gradient(const GridLayout& grid, const float* theta, const float* dL_dprepared, uint32_t l, uint32_t t) {
    const MulfaLayout& m = grid.mulfa;
    const MulfaPlan plan = mulfa_plan<D>(grid, l);
    const MulfaLayer at = mulfa_layer<D>(m, 0);
    const uint32_t output = at.end, H = m.width, K = m.n_outputs;
    const float *dQ = dL_dprepared + plan.query.weights, *dN = dL_dprepared + plan.node.weights;
    const float* dplace = dL_dprepared + plan.place.weights;
    theta += l * m.stride;
    if (t < at.b) return dQ[(t - at.W) / at.n_in * plan.query.n_in + (t - at.W) % at.n_in];
    if (t < at.Omega) return dQ[(t - at.b) * plan.query.n_in + at.n_in];
    if (t >= at.psi && t < output) return dplace[D * H + t - at.psi];
    float sum = 0.0f;
    if (t < at.psi) {  // Omega: through the angle of the lowest corner, and through N
        const uint32_t h = (t - at.Omega) / D, j = (t - at.Omega) % D;
        for (uint32_t c = 0; c < (1u << D); ++c) {
            if (!((c >> j) & 1u)) continue;
            float sine, cosine;
            sin_cos(corner_angle<D>(grid, l, theta + at.Omega + h * D, c), sine, cosine);
            for (uint32_t k = 0; k < K; ++k) {
                const float* row = dN + (c * K + k) * 2 * H;
                sum += theta[output + k * H + h] * (cosine * row[H + h] - sine * row[h]);
            }
        }
        return dplace[j * H + h] + sum / (grid.levels[l].scale + 1.0f);
    }
    const bool of_bias = t >= output + K * H;
    const uint32_t k = of_bias ? t - output - K * H : (t - output) / H, h = (t - output) % H;
    for (uint32_t c = 0; c < (1u << D); ++c) {
        if (of_bias) {
            sum += dL_dprepared[plan.bias + c * K + k];
            continue;
        }
        float sine, cosine;
        sin_cos(corner_angle<D>(grid, l, theta + at.Omega + h * D, c), sine, cosine);
        const float* row = dN + (c * K + k) * 2 * H;
        sum += cosine * row[h] + sine * row[H + h];
    }
    return sum;
}

/// Scratch of a block.
struct MulfaShared {
#if GF_SIMT
    static const uint32_t skew = 8;  // 16 bytes more a row: rows begin in different banks
#else
    static const uint32_t skew = 0;
#endif
    alignas(64) compute_t gamma[GF_TILE * (GF_MULFA_GAMMA + skew)];
    alignas(64) compute_t query[GF_TILE * (GF_MULFA_WIDTH + skew)];      // q; then dL/dq
    alignas(64) compute_t turn[GF_TILE * (2 * GF_MULFA_WIDTH + skew)];   // sin, cos of the angles; then dL/dangle and [p_0, 1, 0 ...]
    alignas(64) compute_t swung[GF_TILE * (2 * GF_MULFA_WIDTH + skew)];  // [q sin, q cos]; then the gradient by it
    alignas(64) compute_t value[GF_TILE * (GF_MULFA_VALUES + skew)];     // v without b_out; then dL/dv
    alignas(64) float omega[4 * GF_MULFA_WIDTH];                         // Omega and psi of the level: a row an axis, then psi
    TileScratch scratch;
};

template <int D> struct MulfaPoint {
    PerSample<float> place[D];  // p_0
};

/// A tile at work. F features a level; K kernel values a node, 1 or F.
template <int D, int F, int K> struct MulfaTile {
    static const int P = 1 << D;
    const MulfaArgs& a;
    MulfaShared& shared;
    uint32_t first, rows;  // samples
    uint32_t H;            // neurons
    uint32_t all;          // rows that are worked out: a block of threads does all, so that products need no care

    GF_FN MulfaTile(const MulfaArgs& args, MulfaShared& scratch, uint32_t begin, uint32_t end)
        : a(args), shared(scratch), first(begin), rows(min_of(end - begin, (uint32_t)GF_TILE)),
          H(args.grid.mulfa.width), all(GF_SIMT ? (uint32_t)GF_TILE : rows) {}

    GF_FN Matrix gamma() const { return {shared.gamma, padded(2 * a.grid.mulfa.n_frequencies * D + 1) + shared.skew}; }
    /// q of level l: where it is kept (host), or in the block's scratch.
    GF_FN Matrix query(uint32_t l) const {
#if !GF_SIMT
        if (a.query) return kept_query(l);
#else
        (void)l;
#endif
        return {shared.query, H + shared.skew};
    }
    GF_FN Matrix kept_query(uint32_t l) const {
        return {(compute_t*)a.query + ((size_t)l * a.samples.capacity + first) * H, H};
    }
    GF_FN Matrix turn() const { return {shared.turn, 2 * H + shared.skew}; }
    GF_FN Matrix place() const { return {shared.turn + H, 2 * H + shared.skew}; }
    GF_FN Matrix swung() const { return {shared.swung, 2 * H + shared.skew}; }
    GF_FN Matrix value() const { return {shared.value, padded(P * K) + shared.skew}; }

    GF_FN PointTile<D> points() const {
        PointTile<D> points;
        GF_FOR_EACH_IN_TILE(s, all) {
            GF_UNROLL
            for (int k = 0; k < D; ++k) points.x[k][s] = s < rows ? a.samples.position[(size_t)(first + s) * D + k] : 0.0f;
        }
        return points;
    }

    /// [gamma(x), 1, 0 ...] of all samples.
    GF_FN void find_gamma(PointTile<D>& points) const {
        const uint32_t m = a.grid.mulfa.n_frequencies, used = 2 * m * D;
        const Matrix out = gamma();
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

    GF_FN void load_omega(uint32_t l) const {
        const float* theta = a.theta + l * a.grid.mulfa.stride;
        const MulfaLayer at = mulfa_layer<D>(a.grid.mulfa, 0);
        GF_FOR_EACH_IN_TILE(e, (D + 1) * H) {
            const uint32_t j = e / H, h = e % H;
            shared.omega[e] = j < (uint32_t)D ? theta[at.Omega + h * D + j] : theta[at.psi + h];
        }
    }

    /// The lowest corner of each sample's cell, unitless.
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

    /// q of level l, from gamma.
    GF_FN void find_query(const MulfaPlan& plan, uint32_t l) const {
        tile_forward(shared.scratch, gamma(), plan.query, (const compute_t*)a.prepared, plan.n_prepared, query(l), rows, false);
        tile_sync();
#if GF_SIMT
        if (a.query) copy_tile(query(l), kept_query(l), rows, H);
#endif
    }

    /// q of level l, as it was kept.
    GF_FN void fetch_query(uint32_t l) const {
#if GF_SIMT
        copy_tile(kept_query(l), query(l), rows, H);
        GF_FOR_EACH_IN_TILE(s, (uint32_t)GF_TILE) {
            for (uint32_t h = 0; s >= rows && h < H; ++h) query(l).row(s)[h] = (compute_t)0.0f;
        }
        tile_sync();
#else
        (void)l;
#endif
    }

    /// v of all corners, without b_out, from the query's part and the nodes' part.
    GF_FN void find_values(const MulfaPlan& plan, uint32_t l, MulfaPoint<D>& at) const {
        GF_FOR_EACH_IN_TILE(s, all) {
            float place[D];
            GF_UNROLL
            for (int j = 0; j < D; ++j) place[j] = at.place[j][s];
            const compute_t* __restrict__ q = query(l).row(s);
            compute_t* __restrict__ turned = turn().row(s);
            compute_t* __restrict__ product = swung().row(s);
            for (uint32_t h = 0; h < H; h += GF_LANES) {
                Columns angle = load_columns(shared.omega + D * H + h), sine, cosine;
                GF_UNROLL
                for (int j = 0; j < D; ++j) angle += load_columns(shared.omega + j * H + h) * place[j];
                sin_cos(angle, sine, cosine);
                const Columns value = load_columns(q + h);
                store_columns(turned + h, sine);
                store_columns(turned + H + h, cosine);
                store_columns(product + h, value * sine);
                store_columns(product + H + h, value * cosine);
            }
        }
        tile_sync();
        tile_forward(shared.scratch, swung(), plan.node, (const compute_t*)a.prepared, plan.n_prepared, value(), rows, false);
        tile_sync();
    }

    /// v of output k at the corners, b_out included.
    GF_FN void values_of(const float* b_out, uint32_t s, int k, float v[P]) const {
        const compute_t* row = value().row(s);
        GF_UNROLL
        for (int c = 0; c < P; ++c) v[c] = (float)row[c * K + k] + b_out[k];
    }

    /// Of a node's features, those that kernel value k weighs: all, or one.
    GF_FN Pack<compute_t, F / K> stored_at(uint32_t entry, int k) const {
        return *(const Pack<compute_t, F / K>*)((const compute_t*)a.table + (size_t)entry * F + k);
    }

    GF_FN const float* b_out(uint32_t l) const {
        const MulfaLayout& m = a.grid.mulfa;
        return a.theta + l * m.stride + mulfa_output<D>(m) + K * H;
    }

    /// Works out level l as far as v, and the active nodes with their linear weights.
    GF_FN void begin_level(uint32_t l, const MulfaPlan& plan, PointTile<D>& points, ActiveTile<D>& active,
                           MulfaPoint<D>& at, bool backward) const {
        load_omega(l);
        find_places(l, points, at);
        find_active_tile<D, F>(a.grid.levels[l], KERNEL_LINEAR, points, all, (const compute_t*)a.table, active);
        tile_sync();
        if (backward) fetch_query(l);
        else find_query(plan, l);
        find_values(plan, l, at);
    }

    GF_FN void forward_level(uint32_t l, PointTile<D>& points) const {
        ActiveTile<D> active;
        MulfaPoint<D> at;
        begin_level(l, mulfa_plan<D>(a.grid, l), points, active, at, false);
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

    /// Features of a level that has the linear kernel.
    GF_FN void linear_level(uint32_t l, PointTile<D>& points) const {
        ActiveTile<D> active;
        const compute_t* table = (const compute_t*)a.table;
        find_active_tile<D, F>(a.grid.levels[l], KERNEL_LINEAR, points, all, table, active);
        GF_FOR_EACH_IN_TILE(s, rows) {
            float features[F];
            gather<float, D, F>(active.at(s), table, features);
            compute_t* out = (compute_t*)a.features + (size_t)(first + s) * a.n_in + l * F;
            GF_UNROLL
            for (int f = 0; f < F; ++f) out[f] = (compute_t)features[f];
        }
    }

    /// phi of such a level, for the scatter.
    GF_FN void linear_phi(uint32_t l, PointTile<D>& points) const {
        ActiveTile<D> active;
        find_active<D>(a.grid.levels[l], KERNEL_LINEAR, points, all, active);
        GF_FOR_EACH_IN_TILE(s, rows) {
            float* phi = a.phi + ((size_t)l * a.samples.capacity + first + s) * P * K;
            GF_UNROLL
            for (int c = 0; c < P; ++c)
                for (int k = 0; k < K; ++k) phi[c * K + k] = active.weight[c][s];
        }
    }

    GF_FN void forward() const {
        PointTile<D> x = points();
        find_gamma(x);
        for (uint32_t l = 0; l < a.grid.mulfa.n_levels; ++l) forward_level(l, x);
        for (uint32_t l = a.grid.mulfa.n_levels; l < a.grid.n_levels; ++l) linear_level(l, x);
        GF_FOR_EACH_IN_TILE(s, rows) {
            for (uint32_t c = a.grid.n_levels * F; c < a.n_in; ++c)
                ((compute_t*)a.features)[(size_t)(first + s) * a.n_in + c] = (compute_t)0.0f;
        }
    }

    /// phi for the scatter, and dL/dv in the place of v, of one sample.
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

    /// From the gradient by [q sin, q cos] to those by q and by the angles.
    GF_FN void turn_back(uint32_t l, MulfaPoint<D>& at) const {
        GF_FOR_EACH_IN_TILE(s, all) {
            compute_t* __restrict__ q = query(l).row(s);
            compute_t* __restrict__ turned = turn().row(s);
            const compute_t* __restrict__ gradient = swung().row(s);
            for (uint32_t h = 0; h < H; h += GF_LANES) {
                const Columns sine = load_columns(turned + h), cosine = load_columns(turned + H + h);
                const Columns by_sine = load_columns(gradient + h), by_cosine = load_columns(gradient + H + h);
                const Columns value = load_columns(q + h);
                store_columns(q + h, by_sine * sine + by_cosine * cosine);
                store_columns(turned + h, value * (by_sine * cosine - by_cosine * sine));
            }
            for (int j = 0; j < GF_PLACE; ++j) turned[H + j] = (compute_t)(j == D ? 1.0f : 0.0f);
            GF_UNROLL
            for (int j = 0; j < D; ++j) turned[H + j] = (compute_t)at.place[j][s];
        }
    }

    GF_FN void backward_level(uint32_t l, PointTile<D>& points) const {
        ActiveTile<D> active;
        MulfaPoint<D> at;
        MulfaPlan plan = mulfa_plan<D>(a.grid, l);
        begin_level(l, plan, points, active, at, true);
        GF_FOR_EACH_IN_TILE(s, all) {
            if (s < rows) phi_and_gradient(l, s, active.at(s));
            for (uint32_t c = s < rows ? P * K : 0; c < padded(P * K); ++c) value().row(s)[c] = (compute_t)0.0f;
        }
        tile_sync();
#if !GF_SIMT
        plan.node.n_out = P * K;  // padding has no gradient
        plan.place.n_out = D + 1;
#endif
        const float scale = 1.0f / GF_MULFA_SCALE;
        tile_backward_weights(shared.scratch, value(), swung(), plan.node, scale, a.dL_dprepared, rows);
        tile_column_sums(value(), padded(P * K), scale, a.dL_dprepared + plan.bias, rows);
        tile_sync();
        tile_backward_input(shared.scratch, value(), plan.node, (const compute_t*)a.prepared, plan.n_prepared, swung(),
                            swung(), rows, false);
        tile_sync();
        turn_back(l, at);
        tile_sync();
        tile_backward_weights(shared.scratch, query(l), gamma(), plan.query, scale, a.dL_dprepared, rows);
        tile_backward_weights(shared.scratch, place(), turn(), plan.place, scale, a.dL_dprepared, rows);
        tile_sync();
    }

    GF_FN void backward() const {
        PointTile<D> x = points();
        find_gamma(x);
        for (uint32_t l = 0; l < a.grid.mulfa.n_levels; ++l) backward_level(l, x);
        for (uint32_t l = a.grid.mulfa.n_levels; l < a.grid.n_levels; ++l) linear_phi(l, x);
    }
};

}  // namespace
