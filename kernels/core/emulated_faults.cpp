// Kernels with faults that the emulated target must find; the tests in src/device/emulated.rs launch them.
#include "core/target.cuh"

namespace {

struct FaultArgs {
    float* out;  // [GF_TILE]
};

struct FaultShared {
    float value[GF_TILE];
};

}  // namespace

// Each thread reads what its neighbour wrote: with a barrier in between here, without one (a race) in fault_race.
GF_TILE_KERNEL(fault_none, FaultArgs, FaultShared) {
    shared.value[threadIdx.x] = (float)threadIdx.x;
    __syncthreads();
    a.out[threadIdx.x] = shared.value[(threadIdx.x + 1u) % GF_TILE];
}

GF_TILE_KERNEL(fault_race, FaultArgs, FaultShared) {
    shared.value[threadIdx.x] = (float)threadIdx.x;
    a.out[threadIdx.x] = shared.value[(threadIdx.x + 1u) % GF_TILE];
}

// Half of the threads never reach the barrier.
GF_TILE_KERNEL(fault_early_end, FaultArgs, FaultShared) {
    if (threadIdx.x < GF_TILE / 2) return;
    __syncthreads();
}

// One lane waits at a warp barrier, all others at the block barrier.
GF_TILE_KERNEL(fault_two_barriers, FaultArgs, FaultShared) {
    if (threadIdx.x == 5u) __syncwarp();
    else __syncthreads();
}

// Reads uninitialized shared memory.
GF_TILE_KERNEL(fault_unwritten, FaultArgs, FaultShared) {
    a.out[threadIdx.x] = shared.value[threadIdx.x];
}
