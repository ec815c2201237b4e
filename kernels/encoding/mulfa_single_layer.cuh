// v of one layer (n = 1) at all corners of a cell, and its gradients.
//
// With one layer, v(x, p) = sum_h w_h q_h sin(Omega_h p + psi_h) + b_out, where q = W_1 gamma(x) + b_1 depends only on
// the point. The corners of a cell are p = p_0 + delta_c, where p_0 is the lowest corner and delta_c is the same for
// all cells of a level, and
//     sin(Omega_h (p_0 + delta_c) + psi_h) = sin(angle_h) cos(Omega_h delta_c) + cos(angle_h) sin(Omega_h delta_c),
// where angle = Omega p_0 + psi. The values at all corners are therefore two products with matrices that are the same
// for all samples,
//     q = [gamma(x), 1] Q^T                           Q [H, G]: W_1 | b_1
//     v = [q sin(angle), q cos(angle)] N^T + b_out    N [P K, 2 H]: w_h cos(Omega_h delta_c) | w_h sin(...)
// and need one sine and cosine per neuron instead of P. Gradients are first computed with respect to Q, N, angle
// and b_out.
#pragma once
#include "encoding/mulfa_tile.cuh"

namespace {

/// Offsets of a level's matrices in the prepared numbers and in their gradients.
struct TurnedPlan {
    Layer query;     // Q
    Layer node;      // N
    Layer place;     // gradients with respect to [Omega, psi, 0 ...]: [GF_PLACE, H]
    uint32_t bias;   // gradients with respect to b_out at each corner: [padded(P K)]
    uint32_t n_level;     // number of prepared numbers per level
    uint32_t n_prepared;  // number of prepared numbers in all levels
};

template <int D> GF_FN TurnedPlan turned_plan(const GridLayout& grid, uint32_t l) {
    const MulfaLayout& m = grid.mulfa;
    TurnedPlan plan;
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

/// Returns Omega_h delta_c: the difference between the corner's angle and that of the lowest corner.
template <int D> GF_FN float corner_angle(const GridLayout& grid, uint32_t l, const float* Omega, uint32_t c) {
    float angle = 0.0f;
    for (int j = 0; j < D; ++j) angle += ((c >> j) & 1u) ? Omega[j] : 0.0f;
    return angle / (grid.levels[l].scale + 1.0f);
}

/// Returns prepared number i, which belongs to level l, and sets `layer` to its matrix, Q or N.
template <int D> GF_FN float turned_number(const GridLayout& grid, const float* theta, uint32_t l, uint32_t i, Layer& layer) {
    const MulfaLayout& m = grid.mulfa;
    const TurnedPlan plan = turned_plan<D>(grid, l);
    const MulfaLayer at = mulfa_layer<D>(m, 0);
    const bool of_query = i < plan.node.weights;
    layer = of_query ? plan.query : plan.node;
    const uint32_t out = (i - layer.weights) / layer.n_in, in = (i - layer.weights) % layer.n_in;
    theta += l * m.stride;
    if (of_query) return query_number(at, theta, out, in);
    const uint32_t c = out / m.n_outputs, k = out % m.n_outputs, h = in % m.width;
    if (c >> D) return 0.0f;
    float sine, cosine;
    sin_cos(corner_angle<D>(grid, l, theta + at.Omega + h * D, c), sine, cosine);
    return theta[mulfa_output<D>(m) + k * m.width + h] * (in < m.width ? cosine : sine);
}

/// Returns the contribution of level l to the gradient with respect to number t of theta.
template <int D>
GF_FN float turned_gradient(const GridLayout& grid, const float* theta, const float* dL_dprepared, uint32_t l, uint32_t t) {
    const MulfaLayout& m = grid.mulfa;
    const TurnedPlan plan = turned_plan<D>(grid, l);
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
struct TurnedShared {
    Scratch<GF_MULFA_GAMMA> gamma;
    Scratch<GF_MULFA_WIDTH> query;      // q; then dL/dq
    Scratch<2 * GF_MULFA_WIDTH> turn;   // sin, cos of the angles; then dL/dangle and [p_0, 1, 0 ...]
    Scratch<2 * GF_MULFA_WIDTH> swung;  // [q sin, q cos]; then its gradient
    Scratch<GF_MULFA_VALUES> values;    // v without b_out; then dL/dv
    alignas(64) float omega[4 * GF_MULFA_WIDTH];  // Omega and psi of the level
};

/// Computes v with K kernel values per node, and its gradients.
template <int D, int K> struct TurnedValues {
    typedef TurnedShared Shared;
    static const int n_values = K;
    static const int P = 1 << D;
    const MulfaWork<D> work;  // by value: members reached through a pointer would not stay in registers
    Shared& shared;
    const MulfaArgs& a;
    uint32_t H, rows, all;

    GF_FN TurnedValues(const MulfaWork<D>& tile, Shared& scratch)
        : work(tile), shared(scratch), a(tile.a), H(tile.H), rows(tile.rows), all(tile.all) {}

    GF_FN Matrix gamma() const {
        return {shared.gamma.data, padded(2 * a.grid.mulfa.n_frequencies * D + 1) + GF_MULFA_SKEW};
    }
    GF_FN Staged staged_query(uint32_t l) const { return work.query(l, shared.query.data); }
    GF_FN Matrix query(uint32_t l) const { return staged_query(l).matrix(); }
    GF_FN Matrix turn() const { return {shared.turn.data, 2 * H + GF_MULFA_SKEW}; }
    GF_FN Matrix place() const { return {shared.turn.data + H, 2 * H + GF_MULFA_SKEW}; }
    GF_FN Matrix swung() const { return {shared.swung.data, 2 * H + GF_MULFA_SKEW}; }
    GF_FN Matrix value() const { return {shared.values.data, padded(P * K) + GF_MULFA_SKEW}; }

    GF_FN void begin(PointTile<D>& points) const { work.find_gamma(points, gamma()); }

    /// Computes q of level l from gamma.
    GF_FN void find_query(const TurnedPlan& plan, uint32_t l) const {
        tile_forward(gamma(), plan.query, work.weights(plan), query(l), rows, false);
        tile_sync();
        staged_query(l).save();
    }

    GF_TILE_FN void find(uint32_t l, PointTile<D>&, MulfaPoint<D>& at, bool again) const {
        const TurnedPlan plan = turned_plan<D>(a.grid, l);
        work.load_omega(l, 0, shared.omega);
        tile_sync();
        if (again) staged_query(l).fetch();
        else find_query(plan, l);
        GF_FOR_EACH_IN_TILE(s, all) {
            float place[D];
            GF_UNROLL
            for (int j = 0; j < D; ++j) place[j] = at.place[j][s];
            const compute_t* __restrict__ q = query(l).row(s);
            compute_t* __restrict__ turned = turn().row(s);
            compute_t* __restrict__ product = swung().row(s);
            for (uint32_t h = 0; h < H; h += GF_LANES) {
                Columns sine, cosine;
                sin_cos(work.angle_at(shared.omega, place, h), sine, cosine);
                const Columns value = load_columns(q + h);
                store_columns(turned + h, sine);
                store_columns(turned + H + h, cosine);
                store_columns(product + h, value * sine);
                store_columns(product + H + h, value * cosine);
            }
        }
        tile_sync();
        tile_forward(swung(), plan.node, work.weights(plan), value(), rows, false);
        tile_sync();
    }

    /// Converts the gradient with respect to [q sin, q cos] into those with respect to q and to the angles.
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
            float place[D];
            GF_UNROLL
            for (int j = 0; j < D; ++j) place[j] = at.place[j][s];
            write_place<D>(turned + H, place);
        }
    }

    GF_TILE_FN void backward(uint32_t l, PointTile<D>&, MulfaPoint<D>& at) const {
        TurnedPlan plan = turned_plan<D>(a.grid, l);
#if !GF_SIMT
        plan.node.n_out = P * K;  // padding has no gradient
        plan.place.n_out = D + 1;
#endif
        const float scale = 1.0f / GF_MULFA_SCALE;
        tile_backward_weights(value(), swung(), plan.node, scale, a.dL_dprepared, rows);
        tile_column_sums(value(), padded(P * K), scale, a.dL_dprepared + plan.bias, rows);
        tile_sync();
        tile_backward_input(value(), plan.node, work.weights(plan), swung(), swung(), rows, false);
        tile_sync();
        turn_back(l, at);
        tile_sync();
        tile_backward_weights(query(l), gamma(), plan.query, scale, a.dL_dprepared, rows);
        tile_backward_weights(place(), turn(), plan.place, scale, a.dL_dprepared, rows);
        tile_sync();
    }
};

}  // namespace
