// Counts the active neurons of the networks' hidden layers: a neuron whose ReLU is zero for all samples that count no
// longer learns.
#include "args.h"
#include "core/target.cuh"

// One item per neuron, layer after layer: the number of counted samples for which it is active.
GF_ITEM_KERNEL(count_active, ActiveArgs) {
    (void)j;
    const uint32_t n_density = a.network.n_density_layers;
    uint32_t column = i, layer = 0;
    size_t columns = 0;  // of the saved inputs of the layers before
    for (;; ++layer) {
        const uint32_t n_in = a.network.layers[layer].n_in;
        if (layer != 0 && layer != n_density) {  // a network's inputs are not neurons: features; values and direction
            if (column < n_in) break;
            column -= n_in;
        }
        columns += n_in;
    }
    const uint32_t n_in = a.network.layers[layer].n_in, n = min_of(*a.count, a.capacity);
    const compute_t* inputs = (const compute_t*)a.activations + columns * a.capacity + column;
    uint32_t active = 0;
    for (uint32_t s = 0; s < n; ++s) {
        const bool counts = !a.weight || a.weight[s] > a.least_weight;
        active += counts && (float)inputs[(size_t)s * n_in] > 0.0f;
    }
    a.active[i] = active;
}
