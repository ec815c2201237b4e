// Networks that give values by themselves, forward and backward, and what they multiply by.
// Each block may have all the registers it wants.
#define GF_LEAST_BLOCKS 1
#include "waves.cuh"

namespace {

template <int KIND> GF_FN void run_waves(const WavesArgs& a, uint32_t tile, bool backward) {
    const uint32_t first = tile * GF_TILE, end = a.samples.count[1];
    if (first >= end) return;
    const WavesTile<KIND> work = {a, tile, first, min_of(end - first, (uint32_t)GF_TILE)};
    if (backward) work.backward();
    else work.forward();
}

GF_FN void choose_waves(const WavesArgs& a, uint32_t tile, bool backward) {
    switch (a.kind) {
        case WAVES_FOURIER_FEATURES: run_waves<WAVES_FOURIER_FEATURES>(a, tile, backward); break;
        case WAVES_FOURIER_NET: run_waves<WAVES_FOURIER_NET>(a, tile, backward); break;
        default: run_waves<WAVES_GABOR_NET>(a, tile, backward); break;
    }
}

}  // namespace

GF_TILE_KERNEL(waves_forward, WavesArgs, NoShared) { (void)j, (void)shared, choose_waves(a, tile, false); }
GF_TILE_KERNEL(waves_backward, WavesArgs, NoShared) { (void)j, (void)shared, choose_waves(a, tile, true); }

// One item a prepared number: from what is learned into padded matrices.
GF_ITEM_KERNEL(prepare_waves, PrepareWavesArgs) {
    (void)j;
    if (a.place[i] != GF_WAVES_NONE) a.prepared[i] = a.theta[a.place[i]];
}

// One item a prepared number: its gradient is that of the number of theta that it is.
GF_ITEM_KERNEL(waves_gradient, PrepareWavesArgs) {
    (void)j;
    if (a.place[i] != GF_WAVES_NONE) a.dL_dtheta[a.place[i]] = a.dL_dprepared[i];
}
