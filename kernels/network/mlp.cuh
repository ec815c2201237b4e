// Fully connected networks at a tile of samples, forward and backward: layers without biases, with a ReLU after every
// layer but the last of each network (Instant-NGP, Mueller et al. 2022, section 5.4).
#pragma once
#include "core/tile.cuh"

// The gradients of samples far from any surface would fall below the smallest fp16 number during the backward pass.
// They are scaled up before it and back down after it (Micikevicius et al., "Mixed precision training", ICLR 2018).
// Before scaling they are below 1.
#if GF_SIMT
#define GF_LOSS_SCALE 128.0f
#else
#define GF_LOSS_SCALE 1.0f
#endif

namespace {

/// Scratch of a block: two matrices, which the layers read and write alternately. W is the width of the widest layer.
template <int W> struct NetworkShared {
#if GF_SIMT
    static const uint32_t stride = W + 8;  // 16 bytes of padding, so that rows start in different banks
#else
    static const uint32_t stride = W;
#endif
    alignas(64) compute_t a[GF_TILE * stride];
    alignas(64) compute_t b[GF_TILE * stride];

    /// Returns the matrix of the inputs of a layer, or of their gradient. Those of layer + 1 are its outputs.
    GF_FN Matrix matrix(uint32_t layer) { return {layer % 2 ? b : a, stride}; }
};

/// Networks at a tile of samples: the data that their layers compute with.
struct NetworkTile {
    const NetworkLayout& network;
    Weights weights;         // compute copies, see prepare_weights
    compute_t* activations;  // inputs of each layer, [S, n_in], one matrix after another; null: not saved
    uint32_t capacity;       // S
    uint32_t first, rows;    // first sample and number of samples of the tile

    /// Returns whether a layer's inputs are the neurons of a hidden layer, which end in a ReLU. The inputs of the first
    /// layer of each network are not.
    GF_FN bool follows_relu(uint32_t layer) const { return layer != 0 && layer != network.n_density_layers; }

    GF_FN uint32_t n_layers() const { return network.n_density_layers + network.n_color_layers; }

    /// Returns the matrix in which a layer's inputs are saved.
    GF_FN Matrix saved_input(uint32_t layer) const {
        size_t columns = 0;
        for (uint32_t l = 0; l < layer; ++l) columns += network.layers[l].n_in;
        const uint32_t n_in = network.layers[layer].n_in;
        return {activations + columns * capacity + (size_t)first * n_in, n_in};
    }

    /// Returns the inputs of a layer, which the forward pass saves if there are activations.
    GF_FN Staged input(uint32_t layer, Matrix scratch) const {
        const uint32_t n_in = network.layers[layer].n_in;
        Matrix saved = {nullptr, n_in};
        if (activations) saved = saved_input(layer);
        return {saved, scratch, rows, n_in};
    }
};

/// Builds the networks of a kernel's arguments, FieldArgs or FitArgs.
template <typename Args> GF_FN NetworkTile network_tile(const Args& a, uint32_t first, uint32_t rows) {
    const Weights weights = weights_in(a.weights, a.network.n_weights);
    return {a.network, weights, (compute_t*)a.activations, a.samples.capacity, first, rows};
}

/// Loads the gradients with respect to a tile's values, scaled up, into the columns of the last layer. Columns past the
/// last value are zero, and so are rows past the last sample, up to `n_rows` rows in all.
GF_FN void load_value_gradients(const float* dL_doutput, uint32_t n_outputs, uint32_t first, uint32_t rows, uint32_t n_rows,
                                Matrix dy) {
    GF_FOR_EACH_IN_TILE(s, n_rows) {
        for (uint32_t c = 0; c < 16; ++c) {
            const bool is_there = s < rows && c < n_outputs;
            dy.row(s)[c] = (compute_t)(is_there ? GF_LOSS_SCALE * dL_doutput[(size_t)(first + s) * n_outputs + c] : 0.0f);
        }
    }
}

/// Forward pass through layers.
template <int W> struct Flow {
    NetworkTile at;
    NetworkShared<W>& shared;

    GF_FN Staged staged(uint32_t layer) const { return at.input(layer, shared.matrix(layer)); }

    /// Returns the inputs of a layer; of n_layers(): the last outputs, which are not saved.
    GF_FN Matrix input(uint32_t layer) const {
        return layer < at.n_layers() ? staged(layer).matrix() : shared.matrix(layer);
    }

    /// Runs layers [begin, end), the last one without a ReLU: from input(begin) to input(end), which it returns.
    GF_FN Matrix run(uint32_t begin, uint32_t end) const {
        for (uint32_t l = begin; l < end; ++l) {
            staged(l).save();
            tile_forward(input(l), at.network.layers[l], at.weights, input(l + 1), at.rows, l + 1 < end);
            tile_sync();
        }
        return input(end);
    }
};

/// Backward pass through layers. It adds to the gradients with respect to their weights.
template <int W> struct BackwardFlow {
    NetworkTile at;
    NetworkShared<W>& shared;
    float* dL_dweights;

    /// Returns the gradient with respect to the inputs of a layer; of n_layers(): with respect to the last outputs.
    GF_FN Matrix gradient(uint32_t layer) const { return shared.matrix(layer); }

    GF_FN void layer(uint32_t l) const {
        const Matrix dy = gradient(l + 1), dx = gradient(l);
        const Staged staged = at.input(l, dx);  // its scratch, if it uses any, is overwritten by dx
        staged.fetch();
        const Matrix x = staged.matrix();
        tile_backward_weights(dy, x, at.network.layers[l], 1.0f / GF_LOSS_SCALE, dL_dweights, at.rows);
        tile_sync();
        tile_backward_input(dy, at.network.layers[l], at.weights, x, dx, at.rows, at.follows_relu(l));
        tile_sync();
    }

    /// Runs all layers, the last one first, and returns gradient(0). `after(l)` is called once gradient(l) is complete
    /// and may change it.
    template <typename After> GF_FN Matrix run(After after) const {
        for (uint32_t l = at.n_layers(); l-- > 0;) {
            layer(l);
            after(l);
        }
        return gradient(0);
    }
};

}  // namespace
