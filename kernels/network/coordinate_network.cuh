// Coordinate networks: networks that compute values at points of the plane from waves instead of a grid. They are the
// references that the grids are compared with. x is in [0, 1]^2, k is the number of matrices W, H the number of neurons
// per layer.
//
//   Fourier features (Tancik et al., NeurIPS 2020, the Gaussian mapping):
//       z_1 = [cos 2 pi B x, sin 2 pi B x]            B [H, 2] drawn once
//       z_{i+1} = ReLU(W_i z_i + b_i)                 i = 1 ... k - 1
//   Multiplicative filter networks (Fathony et al., ICLR 2021, section 3), with y = 2 x - 1:
//       z_1 = g_1(y),  z_{i+1} = (W_i z_i + b_i) * g_{i+1}(y)
//       FourierNet (section 3.1):  g(y) = sin(omega y + phi)
//       GaborNet (section 3.2):   g(y) = exp(-gamma / 2 |y - mu|^2) sin(omega y + phi)
//   values = W_k z_k + b_k
//
// A tile goes through all layers at once. Its activations are a block of device memory with one matrix [GF_TILE, n]
// after another: z_1; for each further layer u = W z (plus b for filters, which need the sum again in the backward
// pass) and z; and 16 values. The backward pass overwrites them with gradients. Angles are computed in fp32 on every
// target.
#pragma once
#include "network/mlp.cuh"
#include "core/sincos.cuh"

namespace {

// A GPU thread processes one column at a time, a host core a vector of columns.
#if GF_SIMT
#define GF_FOR_COLUMNS(c, n) for (uint32_t c = threadIdx.x; c < (n); c += GF_TILE)
#define GF_COORDINATE_RANGE(rows) ((uint32_t)GF_TILE)  // rows that matrix products read
#else
#define GF_FOR_COLUMNS(c, n) for (uint32_t c = 0; c < (n); c += GF_LANES)
#define GF_COORDINATE_RANGE(rows) (rows)
#endif

/// Adds to numbers that other blocks may be adding to.
GF_FN void add_columns(float* to, Columns values) {
#if GF_SIMT
    shared_add(to, values);
#else
    store_columns(to, load_columns(to) + values);
#endif
}

/// A filter for some columns of neurons: its value and what the backward pass needs.
template <bool GABOR> struct Filter {
    Columns omega0, omega1, phi, mu0, mu1, gamma;

    GF_FN Filter(const float* rows, uint32_t stride, uint32_t c)
        : omega0(load_columns(rows + ROW_OMEGA * stride + c)),
          omega1(load_columns(rows + (ROW_OMEGA + 1) * stride + c)),
          phi(load_columns(rows + ROW_PHI * stride + c)),
          mu0(load_columns(rows + ROW_MU * stride + c)),
          mu1(load_columns(rows + (ROW_MU + 1) * stride + c)),
          gamma(load_columns(rows + ROW_GAMMA * stride + c)) {}

    struct At {
        Columns value;             // g
        Columns by_angle;          // dg / d(omega y + phi)
        Columns off0, off1;        // y - mu
        Columns squared_distance;  // |y - mu|^2
    };

    GF_FN At at(float y0, float y1) const {
        At found;
        sin_cos(omega0 * y0 + omega1 * y1 + phi, found.value, found.by_angle);
        if (GABOR) {
            found.off0 = y0 - mu0;
            found.off1 = y1 - mu1;
            found.squared_distance = found.off0 * found.off0 + found.off1 * found.off1;
            const Columns envelope = exponential(-0.5f * gamma * found.squared_distance);
            found.value *= envelope;
            found.by_angle *= envelope;
        }
        return found;
    }
};

/// Sums over samples of the gradients with respect to a filter's parameters and to b of the product that the filter
/// multiplies.
template <bool GABOR> struct FilterSums {
    Columns b{}, omega0{}, omega1{}, phi{}, mu0{}, mu1{}, gamma{};

    GF_FN void add(const Filter<GABOR>& filter, const typename Filter<GABOR>::At& at, float y0, float y1, Columns dL_dg) {
        const Columns dL_dangle = dL_dg * at.by_angle;
        phi += dL_dangle;
        omega0 += dL_dangle * y0;
        omega1 += dL_dangle * y1;
        if (GABOR) {
            const Columns weighted = dL_dg * at.value;
            mu0 += weighted * filter.gamma * at.off0;
            mu1 += weighted * filter.gamma * at.off1;
            gamma -= 0.5f * weighted * at.squared_distance;
        }
    }

    GF_FN void write(float* rows, uint32_t stride, uint32_t c, float scale, bool has_product) const {
        if (has_product) add_columns(rows + ROW_B * stride + c, scale * b);
        add_columns(rows + ROW_OMEGA * stride + c, scale * omega0);
        add_columns(rows + (ROW_OMEGA + 1) * stride + c, scale * omega1);
        add_columns(rows + ROW_PHI * stride + c, scale * phi);
        if (!GABOR) return;
        add_columns(rows + ROW_MU * stride + c, scale * mu0);
        add_columns(rows + (ROW_MU + 1) * stride + c, scale * mu1);
        add_columns(rows + ROW_GAMMA * stride + c, scale * gamma);
    }
};

/// A network evaluated on a tile of samples.
template <int KIND> struct WavesTile {
    static const bool IS_FILTERED = KIND != COORDINATE_FOURIER_FEATURES;
    static const bool GABOR = KIND == COORDINATE_GABOR_NET;

    const CoordinateNetworkArgs& a;
    uint32_t tile, first, rows;

    /// Returns k, the number of matrices.
    GF_FN uint32_t n_matrices() const { return a.network.n_density_layers; }
    GF_FN Weights weights() const { return weights_in(a.weights, a.network.n_weights); }

    /// Returns a matrix of the tile's activations, located after `column` columns of other matrices.
    GF_FN Matrix matrix(uint32_t column, uint32_t stride) const {
        compute_t* block = (compute_t*)a.activations + (size_t)tile * GF_TILE * a.n_columns;
        return {block + (size_t)column * GF_TILE, stride};
    }
    /// Returns z of layer l = 0 ... k - 1, the input of matrix l.
    GF_FN Matrix input(uint32_t l) const {
        const uint32_t n_first = a.network.layers[0].n_in;
        return l == 0 ? matrix(0, n_first) : matrix(n_first + (2 * l - 1) * a.n_neurons, a.n_neurons);
    }
    /// Returns the output of matrix l - 1, for l = 1 ... k: u of layer l, or the values for l = k.
    GF_FN Matrix product(uint32_t l) const {
        const uint32_t n_first = a.network.layers[0].n_in;
        return matrix(n_first + 2 * (l - 1) * a.n_neurons, l == n_matrices() ? 16 : a.n_neurons);
    }
    GF_FN uint32_t layer_numbers(uint32_t l) const { return l * GF_COORDINATE_ROWS * a.n_neurons; }
    GF_FN const float* numbers(uint32_t l) const { return a.neurons + layer_numbers(l); }
    GF_FN float* number_gradients(uint32_t l) const { return a.dL_dprepared + a.network.n_weights + layer_numbers(l); }
    GF_FN float position(uint32_t s, uint32_t axis) const { return a.samples.position[2 * (size_t)(first + s) + axis]; }

    /// Computes z_1 = [cos 2 pi B x, sin 2 pi B x].
    GF_FN void features() const {
        const Matrix z = input(0);
        const float* b = numbers(0);
        GF_FOR_COLUMNS(c, a.n_neurons) {
            const Columns b0 = load_columns(b + ROW_OMEGA * a.n_neurons + c);
            const Columns b1 = load_columns(b + (ROW_OMEGA + 1) * a.n_neurons + c);
            for (uint32_t s = 0; s < rows; ++s) {
                Columns sine, cosine;
                sin_cos_pi(2.0f * (b0 * position(s, 0) + b1 * position(s, 1)), sine, cosine);
                store_columns(z.row(s) + c, cosine);
                store_columns(z.row(s) + a.n_neurons + c, sine);
            }
            for (uint32_t s = rows; s < GF_COORDINATE_RANGE(rows); ++s) {
                store_columns(z.row(s) + c, Columns{});
                store_columns(z.row(s) + a.n_neurons + c, Columns{});
            }
        }
    }

    /// Computes z = ReLU(u + b).
    GF_FN void rectify(uint32_t l) const {
        const Matrix u = product(l), z = input(l);
        GF_FOR_COLUMNS(c, a.n_neurons) {
            const Columns b = load_columns(numbers(l) + ROW_B * a.n_neurons + c);
            for (uint32_t s = 0; s < rows; ++s) {
                const Columns sum = load_columns(u.row(s) + c) + b;
                store_columns(z.row(s) + c, choose(sum > 0.0f, sum, Columns{}));
            }
            for (uint32_t s = rows; s < GF_COORDINATE_RANGE(rows); ++s) store_columns(z.row(s) + c, Columns{});
        }
    }

    /// Computes z = (u + b) g, with u overwritten by u + b; in the first layer z = g.
    GF_FN void filter(uint32_t l) const {
        const Matrix u = l == 0 ? input(0) : product(l), z = input(l);
        GF_FOR_COLUMNS(c, a.n_neurons) {
            const Filter<GABOR> own(numbers(l), a.n_neurons, c);
            const Columns b = load_columns(numbers(l) + ROW_B * a.n_neurons + c);
            for (uint32_t s = 0; s < rows; ++s) {
                Columns value = own.at(2.0f * position(s, 0) - 1.0f, 2.0f * position(s, 1) - 1.0f).value;
                if (l > 0) {
                    const Columns sum = load_columns(u.row(s) + c) + b;
                    store_columns(u.row(s) + c, sum);
                    value *= sum;
                }
                store_columns(z.row(s) + c, value);
            }
            for (uint32_t s = rows; s < GF_COORDINATE_RANGE(rows); ++s) store_columns(z.row(s) + c, Columns{});
        }
    }

    GF_FN void layer(uint32_t l) const {
        if (!IS_FILTERED && l == 0) features();
        else if (!IS_FILTERED) rectify(l);
        else filter(l);
        tile_sync();
    }

    GF_FN void forward() const {
        layer(0);
        for (uint32_t l = 1; l <= n_matrices(); ++l) {
            tile_forward(input(l - 1), a.network.layers[l - 1], weights(), product(l), rows, false);
            tile_sync();
            if (l < n_matrices()) layer(l);
        }
        const Matrix y = product(n_matrices());
        GF_FOR_EACH_IN_TILE(s, rows) {
            for (uint32_t c = 0; c < a.n_outputs; ++c)
                a.output[(size_t)(first + s) * a.n_outputs + c] = (float)y.row(s)[c] + numbers(n_matrices())[c];
        }
    }

    /// Converts gradients with respect to z into those with respect to u, which overwrite u, and to the filter's
    /// parameters.
    GF_FN void filter_backward(uint32_t l) const {
        const Matrix dz = input(l), u = l == 0 ? input(0) : product(l);
        GF_FOR_COLUMNS(c, a.n_neurons) {
            const Filter<GABOR> own(numbers(l), a.n_neurons, c);
            FilterSums<GABOR> sums;
            for (uint32_t s = 0; s < rows; ++s) {
                const float y0 = 2.0f * position(s, 0) - 1.0f, y1 = 2.0f * position(s, 1) - 1.0f;
                const typename Filter<GABOR>::At at = own.at(y0, y1);
                Columns dL_dg = load_columns(dz.row(s) + c);
                if (l > 0) {
                    const Columns du = dL_dg * at.value;
                    dL_dg *= load_columns(u.row(s) + c);
                    sums.b += du;
                    store_columns(u.row(s) + c, du);
                }
                sums.add(own, at, y0, y1, dL_dg);
            }
            if (l > 0)
                for (uint32_t s = rows; s < GF_COORDINATE_RANGE(rows); ++s) store_columns(u.row(s) + c, Columns{});
            sums.write(number_gradients(l), a.n_neurons, c, 1.0f / GF_LOSS_SCALE, l > 0);
        }
    }

    /// Backward pass of matrix l, the gradient of whose outputs is in product(l + 1), and of the layer before it.
    GF_FN void matrix_backward(uint32_t l) const {
        const Layer& layer = a.network.layers[l];
        const Matrix dy = product(l + 1), z = input(l);
        tile_backward_weights(dy, z, layer, 1.0f / GF_LOSS_SCALE, a.dL_dprepared, rows);
        if (!IS_FILTERED && l == 0) return;
        tile_sync();
        tile_backward_input(dy, layer, weights(), z, IS_FILTERED ? z : product(l), rows, !IS_FILTERED);
        tile_sync();
        if (IS_FILTERED) filter_backward(l);
        else tile_column_sums(product(l), a.n_neurons, 1.0f / GF_LOSS_SCALE, number_gradients(l) + ROW_B, rows);
        tile_sync();
    }

    GF_FN void backward() const {
        // The gradients overwrite the values.
        load_value_gradients(a.dL_doutput, a.n_outputs, first, rows, GF_COORDINATE_RANGE(rows), product(n_matrices()));
        tile_sync();
        tile_column_sums(product(n_matrices()), 16, 1.0f / GF_LOSS_SCALE, number_gradients(n_matrices()) + ROW_B, rows);
        for (uint32_t l = n_matrices(); l-- > 0;) matrix_backward(l);
    }
};

}  // namespace
