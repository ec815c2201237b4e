// v of several layers (n > 1), corner by corner. From the second layer on, the first factor of (7) depends on the node
// too, so each corner of a cell goes through the layers separately. The corners share only the first factor of the
// first layer, q = W_1 gamma(x) + b_1.
#pragma once
#include "encoding/mulfa_tile.cuh"

#define GF_MULFA_DEPTH 3  // maximum number of layers

namespace {

/// Offsets of a level's matrices in the prepared numbers and in their gradients. Layers are counted from 0.
template <int D> struct LayeredPlan {
    const MulfaLayout& m;
    uint32_t l;
    uint32_t H;
    uint32_t n_in;        // columns of [gamma, 1, 0 ...]
    uint32_t n_level;     // number of prepared numbers per level
    uint32_t n_prepared;  // number of prepared numbers in all levels

    GF_FN LayeredPlan(const GridLayout& grid, uint32_t level)
        : m(grid.mulfa), l(level), H(m.width), n_in(padded(2 * m.n_frequencies * D + 1)),
          n_level(n_in * H + (m.depth - 1) * H * H + H * padded(m.n_outputs)), n_prepared(m.n_levels * n_level) {}

    GF_FN Layer layer_of(uint32_t weights, uint32_t in, uint32_t out) const {
        Layer layer;
        layer.weights = weights;
        layer.n_in = in;
        layer.n_out = out;
        return layer;
    }
    GF_FN Layer query() const { return layer_of(l * n_level, n_in, H); }  // W_1 | b_1
    GF_FN Layer hidden(uint32_t layer) const { return layer_of(l * n_level + n_in * H + (layer - 1) * H * H, H, H); }
    GF_FN Layer output() const { return layer_of((l + 1) * n_level - H * padded(m.n_outputs), H, padded(m.n_outputs)); }

    /// Returns the offset of the gradients that follow those of the matrices: with respect to [Omega, psi, 0 ...] of
    /// each layer, [GF_PLACE, H]; to b of each layer but the first, [H]; and to b_out.
    GF_FN uint32_t beside() const {
        return n_prepared + l * (m.depth * GF_PLACE * H + (m.depth - 1) * H + padded(m.n_outputs));
    }
    GF_FN Layer place(uint32_t layer) const { return layer_of(beside() + layer * GF_PLACE * H, H, GF_PLACE); }
    GF_FN uint32_t bias(uint32_t layer) const { return beside() + m.depth * GF_PLACE * H + (layer - 1) * H; }
    GF_FN uint32_t output_bias() const { return bias(m.depth); }
};

/// Returns prepared number i, which belongs to level l, and sets `layer` to its matrix.
template <int D> GF_FN float layered_number(const GridLayout& grid, const float* theta, uint32_t l, uint32_t i, Layer& layer) {
    const MulfaLayout& m = grid.mulfa;
    const LayeredPlan<D> plan(grid, l);
    theta += l * m.stride;
    uint32_t number = 0;  // index of the layer
    layer = plan.query();
    while (number + 1 < m.depth && i >= plan.hidden(number + 1).weights) layer = plan.hidden(++number);
    const bool of_output = i >= plan.output().weights;
    if (of_output) layer = plan.output();
    const uint32_t out = (i - layer.weights) / layer.n_in, in = (i - layer.weights) % layer.n_in;
    if (of_output) return out < m.n_outputs ? theta[mulfa_output<D>(m) + out * m.width + in] : 0.0f;
    const MulfaLayer at = mulfa_layer<D>(m, number);
    return number == 0 ? query_number(at, theta, out, in) : theta[at.W + out * at.n_in + in];
}

/// Returns the contribution of level l to the gradient with respect to number t of theta.
template <int D> GF_FN float layered_gradient(const GridLayout& grid, const float* dL_dprepared, uint32_t l, uint32_t t) {
    const MulfaLayout& m = grid.mulfa;
    const LayeredPlan<D> plan(grid, l);
    const uint32_t H = m.width, output = mulfa_output<D>(m);
    if (t >= output + m.n_outputs * H) return dL_dprepared[plan.output_bias() + t - output - m.n_outputs * H];
    if (t >= output) return dL_dprepared[plan.output().weights + t - output];
    uint32_t layer = 0;
    while (t >= mulfa_layer<D>(m, layer).end) ++layer;
    const MulfaLayer at = mulfa_layer<D>(m, layer);
    const float* dplace = dL_dprepared + plan.place(layer).weights;
    if (t >= at.psi) return dplace[D * H + t - at.psi];
    if (t >= at.Omega) return dplace[(t - at.Omega) % D * H + (t - at.Omega) / D];
    if (layer > 0) return dL_dprepared[t >= at.b ? plan.bias(layer) + t - at.b : plan.hidden(layer).weights + t - at.W];
    const float* dQ = dL_dprepared + plan.query().weights;
    return t >= at.b ? dQ[(t - at.b) * plan.n_in + at.n_in] : dQ[(t - at.W) / at.n_in * plan.n_in + (t - at.W) % at.n_in];
}

/// Scratch of a block for one corner of the cells.
struct LayeredCorner {
    Scratch<GF_MULFA_WIDTH> z, spare;                     // used alternately
    Scratch<GF_MULFA_WIDTH> factor[GF_MULFA_DEPTH - 1];  // W z + b of the layers above the first; then dL/dangle
};

/// Scratch of a block.
struct LayeredShared {
    union {  // gamma is only needed before and after the corners
        Scratch<GF_MULFA_GAMMA> gamma;
        LayeredCorner corner;
    };
    Scratch<GF_MULFA_WIDTH> query;    // q
    Scratch<GF_MULFA_WIDTH> dquery;   // dL/dq, the sum over the corners
    Scratch<GF_PLACE> place;          // [p, 1, 0 ...] of a corner
    Scratch<GF_MULFA_VALUES> values;  // v without b_out; then dL/dv
    alignas(64) float omega[GF_MULFA_DEPTH * 4 * GF_MULFA_WIDTH];  // Omega and psi of the level's layers
    alignas(64) float bias[GF_MULFA_DEPTH * GF_MULFA_WIDTH];       // b of the layers above the first
};

/// Computes v with K kernel values per node, and its gradients.
template <int D, int K> struct LayeredValues {
    typedef LayeredShared Shared;
    static const int n_values = K;
    static const int P = 1 << D;
    const MulfaWork<D> work;  // by value: members reached through a pointer would not stay in registers
    Shared& shared;
    const MulfaArgs& a;
    uint32_t H, n, rows, all;

    GF_FN LayeredValues(const MulfaWork<D>& tile, Shared& scratch)
        : work(tile), shared(scratch), a(tile.a), H(tile.H), n(a.grid.mulfa.depth), rows(tile.rows), all(tile.all) {}

    GF_FN Matrix gamma() const { return {shared.gamma.data, Scratch<GF_MULFA_GAMMA>::stride}; }
    GF_FN Matrix narrow(Scratch<GF_MULFA_WIDTH>& scratch) const { return {scratch.data, Scratch<GF_MULFA_WIDTH>::stride}; }
    GF_FN Staged staged_query(uint32_t l) const { return work.query(l, shared.query.data); }
    GF_FN Matrix query(uint32_t l) const { return staged_query(l).matrix(); }
    GF_FN Matrix dquery() const { return narrow(shared.dquery); }
    GF_FN Matrix factor(uint32_t layer) const { return narrow(shared.corner.factor[layer - 1]); }
    GF_FN Matrix place() const { return {shared.place.data, Scratch<GF_PLACE>::stride}; }
    GF_FN Matrix value() const { return {shared.values.data, padded(P * K) + GF_MULFA_SKEW}; }
    GF_FN const float* omega(uint32_t layer) const { return shared.omega + layer * 4 * GF_MULFA_WIDTH; }

    GF_FN void begin(PointTile<D>&) const {}

    /// Computes p of a corner of a sample's cell.
    GF_FN void corner_place(uint32_t l, MulfaPoint<D>& at, uint32_t c, uint32_t s, float p[D]) const {
        const float unit = 1.0f / (a.grid.levels[l].scale + 1.0f);
        GF_UNROLL
        for (int j = 0; j < D; ++j) p[j] = at.place[j][s] + ((c >> j & 1u) ? unit : 0.0f);
    }

    /// Computes z = u * sin(Omega p + psi) of a layer at corner c. In layers above the first, b is first added to u in
    /// place.
    GF_TILE_FN void forward_layer(uint32_t l, uint32_t layer, uint32_t c, MulfaPoint<D>& at, Matrix u, Matrix z) const {
        GF_FOR_EACH_IN_TILE(s, all) {
            float p[D];
            corner_place(l, at, c, s, p);
            compute_t* __restrict__ from = u.row(s);
            compute_t* __restrict__ to = z.row(s);
            for (uint32_t h = 0; h < H; h += GF_LANES) {
                Columns sine, cosine, value = load_columns(from + h);
                sin_cos(work.angle_at(omega(layer), p, h), sine, cosine);
                if (layer > 0) {
                    value += load_columns(shared.bias + layer * GF_MULFA_WIDTH + h);
                    store_columns(from + h, value);
                }
                store_columns(to + h, value * sine);
            }
        }
        tile_sync();
    }

    /// Runs all layers at corner c: leaves z of the last layer in `z`, and the factors of the layers above the first in
    /// scratch.
    GF_TILE_FN void forward_layers(const LayeredPlan<D>& plan, uint32_t l, uint32_t c, MulfaPoint<D>& at, Matrix z) const {
        forward_layer(l, 0, c, at, query(l), z);
        for (uint32_t layer = 1; layer < n; ++layer) {
            tile_forward(z, plan.hidden(layer), work.weights(plan), factor(layer), rows, false);
            tile_sync();
            forward_layer(l, layer, c, at, factor(layer), z);
        }
    }

    GF_FN void load_level(uint32_t l) const {
        const float* theta = a.theta + l * a.grid.mulfa.stride;
        for (uint32_t layer = 0; layer < n; ++layer) {
            work.load_omega(l, layer, shared.omega + layer * 4 * GF_MULFA_WIDTH);
            const uint32_t b = mulfa_layer<D>(a.grid.mulfa, layer).b;
            GF_FOR_EACH_IN_TILE(h, H) shared.bias[layer * GF_MULFA_WIDTH + h] = theta[b + h];
        }
        tile_sync();
    }

    GF_TILE_FN void find(uint32_t l, PointTile<D>& points, MulfaPoint<D>& at, bool again) const {
        const LayeredPlan<D> plan(a.grid, l);
        load_level(l);
        if (again) {
            staged_query(l).fetch();
        } else {
            work.find_gamma(points, gamma());
            tile_sync();
            tile_forward(gamma(), plan.query(), work.weights(plan), query(l), rows, false);
            tile_sync();
            staged_query(l).save();
        }
        const Matrix z = narrow(shared.corner.z), v = narrow(shared.corner.spare);
        for (uint32_t c = 0; c < (uint32_t)P; ++c) {
            forward_layers(plan, l, c, at, z);
            tile_forward(z, plan.output(), work.weights(plan), v, rows, false);
            tile_sync();
            GF_FOR_EACH_IN_TILE(s, all) {
                GF_UNROLL
                for (int k = 0; k < K; ++k) value().row(s)[c * K + k] = v.row(s)[k];
            }
            tile_sync();
        }
    }

    /// Copies dL/dv of corner c into `dv`, padded with zeros to 16 columns, and computes the corner's place.
    GF_FN void take_corner(uint32_t l, uint32_t c, MulfaPoint<D>& at, Matrix dv) const {
        GF_FOR_EACH_IN_TILE(s, all) {
            float p[D];
            corner_place(l, at, c, s, p);
            write_place<D>(place().row(s), p);
            for (uint32_t k = 0; k < padded(K); ++k)
                dv.row(s)[k] = k < (uint32_t)K ? value().row(s)[c * K + k] : (compute_t)0.0f;
        }
        tile_sync();
    }

    /// Backward pass of a layer at corner c: dL/dz in `dz` is overwritten by dL/du, and u by dL/dangle. `below`
    /// receives z of the layer below, whose u is `u_below`.
    GF_TILE_FN void swing_back(uint32_t l, uint32_t layer, uint32_t c, MulfaPoint<D>& at, Matrix dz, Matrix u_below,
                              Matrix below) const {
        GF_FOR_EACH_IN_TILE(s, all) {
            float p[D];
            corner_place(l, at, c, s, p);
            compute_t* __restrict__ gradient = dz.row(s);
            compute_t* __restrict__ u = factor(layer).row(s);
            const compute_t* __restrict__ from = u_below.row(s);
            compute_t* __restrict__ to = below.row(s);
            for (uint32_t h = 0; h < H; h += GF_LANES) {
                Columns sine, cosine;
                sin_cos(work.angle_at(omega(layer), p, h), sine, cosine);
                const Columns upstream = load_columns(gradient + h);
                store_columns(gradient + h, upstream * sine);
                store_columns(u + h, upstream * load_columns(u + h) * cosine);
                sin_cos(work.angle_at(omega(layer - 1), p, h), sine, cosine);
                store_columns(to + h, load_columns(from + h) * sine);
            }
        }
        tile_sync();
    }

    /// Backward pass of the first layer at corner c, given dL/dz in `dz`: adds to dL/dq and writes dL/dangle to
    /// `dangle`.
    GF_FN void swing_back_first(uint32_t l, uint32_t c, MulfaPoint<D>& at, Matrix dz, Matrix dangle) const {
        GF_FOR_EACH_IN_TILE(s, all) {
            float p[D];
            corner_place(l, at, c, s, p);
            const compute_t* __restrict__ gradient = dz.row(s);
            const compute_t* __restrict__ q = query(l).row(s);
            compute_t* __restrict__ sum = dquery().row(s);
            compute_t* __restrict__ to = dangle.row(s);
            for (uint32_t h = 0; h < H; h += GF_LANES) {
                Columns sine, cosine;
                sin_cos(work.angle_at(omega(0), p, h), sine, cosine);
                const Columns upstream = load_columns(gradient + h), before = load_columns(sum + h);
                store_columns(sum + h, (c == 0 ? Columns{} : before) + upstream * sine);
                store_columns(to + h, upstream * load_columns(q + h) * cosine);
            }
        }
        tile_sync();
    }

    /// Computes dL_dprepared += dy^T x for one of the matrices.
    GF_FN void add_gradient(Matrix dy, Matrix x, Layer layer, [[maybe_unused]] uint32_t used) const {
#if !GF_SIMT
        layer.n_out = used;  // padding has no gradient
#endif
        tile_backward_weights(dy, x, layer, 1.0f / GF_MULFA_SCALE, a.dL_dprepared, rows);
    }

    GF_TILE_FN void corner_back(const LayeredPlan<D>& plan, uint32_t l, uint32_t c, MulfaPoint<D>& at) const {
        const float scale = 1.0f / GF_MULFA_SCALE;
        Matrix dz = narrow(shared.corner.z), other = narrow(shared.corner.spare);
        forward_layers(plan, l, c, at, dz);
        take_corner(l, c, at, other);
        add_gradient(other, dz, plan.output(), K);
        tile_column_sums(other, padded(K), scale, a.dL_dprepared + plan.output_bias(), rows);
        tile_sync();
        tile_backward_input(other, plan.output(), work.weights(plan), dz, dz, rows, false);
        tile_sync();
        for (uint32_t layer = n - 1; layer > 0; --layer) {
            swing_back(l, layer, c, at, dz, layer > 1 ? factor(layer - 1) : query(l), other);
            add_gradient(dz, other, plan.hidden(layer), H);
            tile_column_sums(dz, H, scale, a.dL_dprepared + plan.bias(layer), rows);
            add_gradient(place(), factor(layer), plan.place(layer), D + 1);
            tile_sync();
            tile_backward_input(dz, plan.hidden(layer), work.weights(plan), other, other, rows, false);
            tile_sync();
            const Matrix swap = dz;
            dz = other;
            other = swap;
        }
        swing_back_first(l, c, at, dz, other);
        add_gradient(place(), other, plan.place(0), D + 1);
        tile_sync();
    }

    GF_FN void backward(uint32_t l, PointTile<D>& points, MulfaPoint<D>& at) const {
        const LayeredPlan<D> plan(a.grid, l);
        for (uint32_t c = 0; c < (uint32_t)P; ++c) corner_back(plan, l, c, at);
        work.find_gamma(points, gamma());
        tile_sync();
        add_gradient(dquery(), gamma(), plan.query(), H);
        tile_sync();
    }
};

}  // namespace
