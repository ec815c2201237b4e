// Coordinate networks, forward and backward, and the preparation of their parameters.
// Each block may use as many registers as it needs.
#define GF_LEAST_BLOCKS 1
#include "network/coordinate_network.cuh"

namespace {

template <int KIND> GF_FN void run_network(const CoordinateNetworkArgs& a, uint32_t tile, bool backward) {
    const uint32_t first = tile * GF_TILE, end = a.samples.count[1];
    if (first >= end) return;
    const WavesTile<KIND> work = {a, tile, first, min_of(end - first, (uint32_t)GF_TILE)};
    if (backward) work.backward();
    else work.forward();
}

GF_FN void choose_network(const CoordinateNetworkArgs& a, uint32_t tile, bool backward) {
    switch (a.kind) {
        case COORDINATE_FOURIER_FEATURES: run_network<COORDINATE_FOURIER_FEATURES>(a, tile, backward); break;
        case COORDINATE_FOURIER_NET: run_network<COORDINATE_FOURIER_NET>(a, tile, backward); break;
        default: run_network<COORDINATE_GABOR_NET>(a, tile, backward); break;
    }
}

}  // namespace

GF_TILE_KERNEL(coordinate_network_forward, CoordinateNetworkArgs, NoShared) { choose_network(a, tile, false); }
GF_TILE_KERNEL(coordinate_network_backward, CoordinateNetworkArgs, NoShared) { choose_network(a, tile, true); }

// One item per prepared number: copies learned parameters into padded matrices.
GF_ITEM_KERNEL(prepare_coordinate_network, PrepareCoordinateNetworkArgs) {
    if (a.place[i] != GF_COORDINATE_NONE) a.prepared[i] = a.theta[a.place[i]];
}

// One item per prepared number: its gradient is the gradient of the learned parameter that it is a copy of.
GF_ITEM_KERNEL(coordinate_network_gradient, PrepareCoordinateNetworkArgs) {
    if (a.place[i] != GF_COORDINATE_NONE) a.dL_dtheta[a.place[i]] = a.dL_dprepared[i];
}
