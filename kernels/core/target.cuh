// Target definitions: how a kernel becomes an entry point, function qualifiers, the compute type, atomics and warp
// operations. Most kernels are written against these definitions and the primitives alone. Where the targets need
// different algorithms, there are two bodies: of the tile primitives (core/tile_simt.cuh, core/tile_host.cuh), of
// vectors (core/columns.cuh, core/simd.cuh, core/sincos.cuh) and of marching (radiance/march.cu). Other files branch on
// GF_SIMT in single places: sizes of scratch, scales of fp16 gradients, padding, and how far ahead to load.
//
// A kernel is written once and becomes, by target:
//   cuda      (nvcc)          a __global__ function, loaded from PTX
//   host      (C++17)         a function over a range of items or tiles, once per instruction level (GF_LEVEL)
//   emulated  (GF_EMULATED)   the CUDA branches, run block by block on fibers; for tests
// GF_SIMT is 1 where many threads run a kernel body together (cuda, emulated) and 0 where a single thread runs it
// (host).
//
// Kernels have three shapes:
//   GF_ITEM_KERNEL(name, Args)         one thread per item; the body sees `a` (arguments), `i` (item) and `j` (row)
//   GF_WARP_KERNEL(name, Args)         one warp per item; its lanes share the work (lane_of_warp, reserve). On the host
//                                      one call does all of it
//   GF_TILE_KERNEL(name, Args, Shared) one block of GF_TILE threads per tile; the body sees `a`, `tile` (its index),
//                                      the row `j` and `shared` (the block's scratch), and works through tile.cuh
// Everything else lives in an unnamed namespace, so that code compiled for one instruction level is never linked into
// another.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "args.h"

// GF_UNROLL unrolls a loop with a small, constant number of iterations. GF_ROLLED keeps a loop rolled on GPUs, where
// unrolling it would cost too many registers.
#if defined(__CUDACC__)
#define GF_UNROLL _Pragma("unroll")
#define GF_ROLLED _Pragma("unroll 1")
#else
#define GF_UNROLL _Pragma("GCC unroll 16")
#define GF_ROLLED
#endif

// A kernel's body as a function. It may leave any of its parameters unused.
#define GF_ITEM_BODY(name, Args)                                                                                       \
    static GF_FN void name##_item([[maybe_unused]] const Args& a, [[maybe_unused]] uint32_t i,                         \
                                  [[maybe_unused]] uint32_t j)
#define GF_TILE_BODY(name, Args, Shared)                                                                               \
    static GF_FN void name##_tile([[maybe_unused]] const Args& a, [[maybe_unused]] uint32_t tile,                      \
                                  [[maybe_unused]] uint32_t j, [[maybe_unused]] Shared& shared)

#if defined(__CUDACC__)
#define GF_SIMT 1
#include <cuda_fp16.h>
#define GF_FN __device__ __forceinline__
#define GF_TILE_FN GF_FN
// Minimum number of blocks resident on a multiprocessor. 0 leaves the choice to the compiler, which then saves
// registers. Files whose kernels need many registers define it as 1 before including this file.
#ifndef GF_LEAST_BLOCKS
#define GF_LEAST_BLOCKS 0
#endif
typedef __half gf_half;

#define GF_ITEM_KERNEL(name, Args)                                                                                     \
    GF_ITEM_BODY(name, Args);                                                                                          \
    extern "C" __global__ void __launch_bounds__(GF_BLOCK, GF_LEAST_BLOCKS) name(const Args a, uint32_t n_items) {          \
        const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;                                                      \
        if (i < n_items) name##_item(a, i, blockIdx.y);                                                                \
    }                                                                                                                  \
    GF_ITEM_BODY(name, Args)

#define GF_WARP_KERNEL(name, Args)                                                                                     \
    GF_ITEM_BODY(name, Args);                                                                                          \
    extern "C" __global__ void __launch_bounds__(GF_BLOCK) name(const Args a, uint32_t n_items) {                           \
        const uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) / 32;                                               \
        if (i < n_items) name##_item(a, i, blockIdx.y);                                                                \
    }                                                                                                                  \
    GF_ITEM_BODY(name, Args)

#define GF_TILE_KERNEL(name, Args, Shared)                                                                             \
    GF_TILE_BODY(name, Args, Shared);                                                                                  \
    extern "C" __global__ void __launch_bounds__(GF_BLOCK, GF_LEAST_BLOCKS) name(const Args a, uint32_t) {              \
        extern __shared__ __align__(128) unsigned char gf_shared[];                                                    \
        name##_tile(a, blockIdx.x, blockIdx.y, *reinterpret_cast<Shared*>(gf_shared));                                 \
    }                                                                                                                  \
    extern "C" __device__ const uint32_t name##_shared_bytes = sizeof(Shared);                                         \
    GF_TILE_BODY(name, Args, Shared)

#elif defined(GF_EMULATED)
#define GF_SIMT 1
#include "core/emulated.h"

#else
#define GF_SIMT 0
#include <math.h>
#include <string.h>
#define GF_FN inline __attribute__((always_inline))
// For functions that process a whole tile. They are large enough to be worth a call, so that a template used by many
// others is compiled only once.
#define GF_TILE_FN inline __attribute__((noinline))
#define __restrict__ __restrict

#include "core/amx.cuh"

#define GF_JOIN_(a, b, c) a##b##c
#define GF_JOIN(a, b, c) GF_JOIN_(a, b, c)
#define GF_SYMBOL(name) GF_JOIN(name, _, GF_LEVEL)

// The arguments are copied to the stack, so that the compiler knows that no store in the body changes them.
#define GF_ITEM_KERNEL(name, Args)                                                                                     \
    GF_ITEM_BODY(name, Args);                                                                                          \
    extern "C" void GF_SYMBOL(name)(const Args* arguments, uint32_t begin, uint32_t end, uint32_t j) {                 \
        const Args a = *arguments;                                                                                     \
        for (uint32_t i = begin; i < end; ++i) name##_item(a, i, j);                                                   \
    }                                                                                                                  \
    GF_ITEM_BODY(name, Args)

#define GF_WARP_KERNEL(name, Args) GF_ITEM_KERNEL(name, Args)

#define GF_TILE_KERNEL(name, Args, Shared)                                                                             \
    GF_TILE_BODY(name, Args, Shared);                                                                                  \
    extern "C" void GF_SYMBOL(name)(const Args* arguments, uint32_t begin, uint32_t end, uint32_t j) {                 \
        const Args a = *arguments;                                                                                     \
        [[maybe_unused]] const MatrixUnit unit;                                                                        \
        alignas(64) Shared shared;                                                                                     \
        for (uint32_t tile = begin; tile < end; ++tile) name##_tile(a, tile, j, shared);                               \
    }                                                                                                                  \
    GF_TILE_BODY(name, Args, Shared)
#endif

// Numbers processed at a time: one per GPU thread, one vector per host core.
#if GF_SIMT
#define GF_LANES 1
#elif defined(__AVX512F__)
#define GF_LANES 16
#elif defined(__AVX__)
#define GF_LANES 8
#else
#define GF_LANES 4
#endif

namespace {

// Type that networks and encodings compute with: fp16 copies on GPUs, fp32 on the host.
#if GF_SIMT
typedef gf_half compute_t;
#else
typedef float compute_t;
#endif

/// Adds to a number that other threads may be adding to. On the host, only one thread adds to any number.
template <typename T>
GF_FN void shared_add(T* address, T value) {
#if GF_SIMT
    atomicAdd(address, value);
#else
    *address += value;
#endif
}

/// Replaces a non-negative number by the maximum of itself and `value`. Other threads may be doing the same, on the
/// host too. NaN is ignored.
GF_FN void shared_max(float* address, float value) {
#if GF_SIMT
    // The bits of non-negative floats are ordered like their values.
    if (value > *(volatile float*)address) atomicMax((int*)address, __float_as_int(value));
#else
    float there;
    __atomic_load(address, &there, __ATOMIC_RELAXED);
    while (value > there &&
           !__atomic_compare_exchange(address, &there, &value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
#endif
}

/// N consecutive numbers, aligned to their total size so that they are loaded at once.
template <typename T, int N> struct alignas(sizeof(T) * N) Pack {
    T value[N];
};

/// Adds N numbers to N consecutive ones, aligned to their total size. From sm_90 on, one atomic operation adds up to
/// four.
template <typename T, int N> GF_FN void shared_add_all(T* address, const T values[N]) {
#if GF_SIMT
    for (int n = 0; n < N; ++n) shared_add(&address[n], values[n]);
#else
    // Reads all numbers before writing any, so that N numbers become one vector operation where N is the vector length.
    T sum[N];
    GF_UNROLL
    for (int n = 0; n < N; ++n) sum[n] = address[n] + values[n];
    GF_UNROLL
    for (int n = 0; n < N; ++n) address[n] = sum[n];
#endif
}

#if defined(GF_EMULATED) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900)
template <> GF_FN void shared_add_all<float, 2>(float* address, const float values[2]) {
    atomicAdd((float2*)address, float2{values[0], values[1]});
}
template <> GF_FN void shared_add_all<float, 4>(float* address, const float values[4]) {
    atomicAdd((float4*)address, float4{values[0], values[1], values[2], values[3]});
}
template <> GF_FN void shared_add_all<float, 8>(float* address, const float values[8]) {
    shared_add_all<float, 4>(address, values);
    shared_add_all<float, 4>(address + 4, values + 4);
}
#endif

// Warp size and lane index. On the host, a warp has a single lane.
#if GF_SIMT
#define GF_WARP 32u
#define GF_ALL_LANES 0xffffffffu
GF_FN uint32_t lane_of_warp() { return threadIdx.x & 31u; }
#else
#define GF_WARP 1u
GF_FN uint32_t lane_of_warp() { return 0; }
#endif

/// Reserves `count` consecutive places by advancing a counter and returns the first. For warp kernels: all lanes call
/// it together with the same count.
GF_FN uint32_t reserve(uint32_t* counter, uint32_t count) {
#if GF_SIMT
    uint32_t first = 0;
    if (lane_of_warp() == 0 && count != 0) first = atomicAdd(counter, count);
    return __shfl_sync(GF_ALL_LANES, first, 0);
#else
    const uint32_t first = *counter;
    *counter += count;
    return first;
#endif
}

/// Prefetches memory that will be read soon. Does nothing on GPUs, which hide the latency behind other threads.
GF_FN void prefetch([[maybe_unused]] const void* address) {
#if !GF_SIMT
    __builtin_prefetch(address, 0, 2);
#endif
}

GF_FN float exponential(float x) { return expf(x); }
GF_FN double exponential(double x) { return exp(x); }

template <typename T> GF_FN T min_of(T a, T b) { return b < a ? b : a; }
template <typename T> GF_FN T max_of(T a, T b) { return a < b ? b : a; }
template <typename T> GF_FN T clamp_to(T x, T low, T high) { return min_of(max_of(x, low), high); }

/// A number known at compile time, as the argument of a generic lambda.
template <int N> struct Constant {
    static const int value = N;
};

/// Calls `run` with a grid's number of features per level, 1, 2, 4 or 8, as a Constant.
template <typename Run> GF_FN void with_features(uint32_t n_features, Run run) {
    switch (n_features) {
        case 1: run(Constant<1>()); break;
        case 2: run(Constant<2>()); break;
        case 4: run(Constant<4>()); break;
        default: run(Constant<8>()); break;
    }
}

}  // namespace
