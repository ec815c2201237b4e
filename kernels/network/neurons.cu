// Counts the active neurons of the networks' hidden layers: a neuron whose ReLU is zero for all samples that count no
// longer learns.
#include "args.h"
#include "network/mlp.cuh"

// One item per neuron, layer after layer: the number of counted samples for which it is active.
GF_ITEM_KERNEL(count_active, ActiveArgs) {
    const NetworkTile at = {a.network, {}, (compute_t*)a.activations, a.capacity, 0, 0};
    uint32_t neuron = i, layer = 0;
    for (;; ++layer) {
        const uint32_t n_in = a.network.layers[layer].n_in;
        if (!at.follows_relu(layer)) continue;
        if (neuron < n_in) break;
        neuron -= n_in;
    }
    const Matrix inputs = at.saved_input(layer);
    const uint32_t n = min_of(*a.count, a.capacity);
    uint32_t active = 0;
    for (uint32_t s = 0; s < n; ++s) {
        const bool counts = !a.weight || a.weight[s] > a.least_weight;
        active += counts && (float)inputs.row(s)[neuron] > 0.0f;
    }
    a.active[i] = active;
}
