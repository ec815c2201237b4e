// Kernels with faults that the emulated target must find; src/device/emulated.rs asks it to.
#include "target.cuh"

namespace {

struct FaultArgs {
    float* out;  // [GF_TILE]
};

struct FaultShared {
    float value[GF_TILE];
};

}  // namespace

// Each thread reads what its neighbour writes, with a barrier between (right) or without (a race).
GF_TILE_KERNEL(fault_none, FaultArgs, FaultShared) {
    (void)tile, (void)j;
    shared.value[threadIdx.x] = (float)threadIdx.x;
    __syncthreads();
    a.out[threadIdx.x] = shared.value[(threadIdx.x + 1u) % GF_TILE];
}

GF_TILE_KERNEL(fault_race, FaultArgs, FaultShared) {
    (void)tile, (void)j;
    shared.value[threadIdx.x] = (float)threadIdx.x;
    a.out[threadIdx.x] = shared.value[(threadIdx.x + 1u) % GF_TILE];
}

// Half of the threads never come to the barrier.
GF_TILE_KERNEL(fault_early_end, FaultArgs, FaultShared) {
    (void)tile, (void)j, (void)a, (void)shared;
    if (threadIdx.x < GF_TILE / 2) return;
    __syncthreads();
}

// One lane asks for its warp where the others ask for their block.
GF_TILE_KERNEL(fault_two_barriers, FaultArgs, FaultShared) {
    (void)tile, (void)j, (void)a, (void)shared;
    if (threadIdx.x == 5u) __syncwarp();
    else __syncthreads();
}

// Reads shared memory that nothing wrote.
GF_TILE_KERNEL(fault_unwritten, FaultArgs, FaultShared) {
    (void)tile, (void)j;
    a.out[threadIdx.x] = shared.value[threadIdx.x];
}
