// The only file that knows what is being compiled.
//
// Every kernel is written once and becomes, by target:
//   cuda      (nvcc)          a __global__ function, loaded from PTX
//   host      (C++17)         a function over a range of items or tiles, once per instruction level (GF_LEVEL)
//   emulated  (GF_EMULATED)   the CUDA branches, run block by block on fibers; for tests
// GF_SIMT is 1 where a kernel body is run by one of many threads (cuda, emulated) and 0 where it runs alone (host).
//
// Kernels have three shapes:
//   GF_ITEM_KERNEL(name, Args)         one thread per item; the body sees `a` (arguments), `i` (item) and `j` (row)
//   GF_WARP_KERNEL(name, Args)         one warp per item; its lanes share the work (lane_of_warp, reserve), and on the host
//                                      one call does it all
//   GF_TILE_KERNEL(name, Args, Shared) one block of GF_TILE threads per tile; the body sees `a`, `tile` (its index), the
//                                      row `j` and `shared` (scratch of the block), and works through tile.cuh
// Everything else lives in an unnamed namespace, so that code made for one instruction level never meets another's.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define GF_TILE 128

// Before a loop of a constant, small number of turns whose body should stand alone; and before one that is not worth a GPU's
// registers.
#if defined(__CUDACC__)
#define GF_UNROLL _Pragma("unroll")
#define GF_ROLLED _Pragma("unroll 1")
#else
#define GF_UNROLL _Pragma("GCC unroll 16")
#define GF_ROLLED
#endif

#if defined(__CUDACC__)
#define GF_SIMT 1
#include <cuda_fp16.h>
#define GF_FN __device__ __forceinline__
#define GF_TILE_FN GF_FN
// Blocks that should fit on a multiprocessor at a time; 0 leaves it to the compiler, which then saves registers. A file of
// kernels that need many says 1 before it includes this one.
#ifndef GF_LEAST_BLOCKS
#define GF_LEAST_BLOCKS 0
#endif
typedef __half gf_half;

#define GF_ITEM_KERNEL(name, Args)                                                            \
    static GF_FN void name##_item(const Args& a, uint32_t i, uint32_t j);                     \
    extern "C" __global__ void __launch_bounds__(128, GF_LEAST_BLOCKS) name(const Args a, uint32_t n_items) { \
        const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;                             \
        if (i < n_items) name##_item(a, i, blockIdx.y);                                       \
    }                                                                                         \
    static GF_FN void name##_item(const Args& a, uint32_t i, uint32_t j)

#define GF_WARP_KERNEL(name, Args)                                                            \
    static GF_FN void name##_item(const Args& a, uint32_t i, uint32_t j);                     \
    extern "C" __global__ void __launch_bounds__(128) name(const Args a, uint32_t n_items) {  \
        const uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) / 32;                      \
        if (i < n_items) name##_item(a, i, blockIdx.y);                                       \
    }                                                                                         \
    static GF_FN void name##_item(const Args& a, uint32_t i, uint32_t j)

#define GF_TILE_KERNEL(name, Args, Shared)                                                                   \
    static GF_FN void name##_tile(const Args& a, uint32_t tile, uint32_t j, Shared& shared);                             \
    extern "C" __global__ void __launch_bounds__(GF_TILE, GF_LEAST_BLOCKS) name(const Args a, uint32_t) {    \
        extern __shared__ __align__(128) unsigned char gf_shared[];                                          \
        name##_tile(a, blockIdx.x, blockIdx.y, *reinterpret_cast<Shared*>(gf_shared));                                   \
    }                                                                                                        \
    extern "C" __device__ const uint32_t name##_shared_bytes = sizeof(Shared);                               \
    static GF_FN void name##_tile(const Args& a, uint32_t tile, uint32_t j, Shared& shared)

#elif defined(GF_EMULATED)
#define GF_SIMT 1
#include "emulated.h"

#else
#define GF_SIMT 0
#include <math.h>
#include <string.h>
#define GF_FN inline __attribute__((always_inline))
// Work on a whole tile, large enough for a call of its own: a template that many others use is compiled once.
#define GF_TILE_FN inline __attribute__((noinline))
#define __restrict__ __restrict

#define GF_JOIN_(a, b, c) a##b##c
#define GF_JOIN(a, b, c) GF_JOIN_(a, b, c)
#define GF_SYMBOL(name) GF_JOIN(name, _, GF_LEVEL)

// The arguments are copied to the stack, so that the compiler knows that no store of the body changes them.
#define GF_ITEM_KERNEL(name, Args)                                                                             \
    static GF_FN void name##_item(const Args& a, uint32_t i, uint32_t j);                                             \
    extern "C" void GF_SYMBOL(name)(const Args* arguments, uint32_t begin, uint32_t end, uint32_t j) {         \
        const Args a = *arguments;                                                                             \
        for (uint32_t i = begin; i < end; ++i) name##_item(a, i, j);                                           \
    }                                                                                                          \
    static GF_FN void name##_item(const Args& a, uint32_t i, uint32_t j)

#define GF_WARP_KERNEL(name, Args) GF_ITEM_KERNEL(name, Args)

#define GF_TILE_KERNEL(name, Args, Shared)                                                                     \
    static GF_FN void name##_tile(const Args& a, uint32_t tile, uint32_t j, Shared& shared);                                      \
    extern "C" void GF_SYMBOL(name)(const Args* arguments, uint32_t begin, uint32_t end, uint32_t j) {         \
        const Args a = *arguments;                                                                             \
        alignas(64) Shared shared;                                                                             \
        for (uint32_t tile = begin; tile < end; ++tile) name##_tile(a, tile, j, shared);                          \
    }                                                                                                          \
    static GF_FN void name##_tile(const Args& a, uint32_t tile, uint32_t j, Shared& shared)
#endif

// Numbers that are worked on at a time: a thread has one, a host core a vector.
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

// Numbers of the fast path: fp16 copies on GPUs, fp32 on the host.
#if GF_SIMT
typedef gf_half compute_t;
#else
typedef float compute_t;
#endif

/// Adds to a number that other threads may be adding to. On the host one thread owns what it adds to.
template <typename T>
GF_FN void shared_add(T* address, T value) {
#if GF_SIMT
    atomicAdd(address, value);
#else
    *address += value;
#endif
}

/// Raises a number, not negative, to one that may be larger; other threads may be raising it, on the host too. What is not a
/// number leaves it.
GF_FN void shared_max(float* address, float value) {
#if GF_SIMT
    // Of numbers that are not negative, bits are in the order of values.
    if (value > *(volatile float*)address) atomicMax((int*)address, __float_as_int(value));
#else
    float there;
    __atomic_load(address, &there, __ATOMIC_RELAXED);
    while (value > there &&
           !__atomic_compare_exchange(address, &there, &value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
#endif
}

/// N numbers next to each other, aligned to their size: loaded at once.
template <typename T, int N> struct alignas(sizeof(T) * N) Pack {
    T value[N];
};

/// Adds N numbers to ones next to each other, aligned to their size. From sm_90 on, one atomic operation takes up to four.
template <typename T, int N> GF_FN void shared_add_all(T* address, const T values[N]) {
#if GF_SIMT
    for (int n = 0; n < N; ++n) shared_add(&address[n], values[n]);
#else
    // All are read before any is written: one vector where N is the length of one.
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

// A warp, which on the host is alone.
#if GF_SIMT
#define GF_WARP 32u
#define GF_ALL_LANES 0xffffffffu
GF_FN uint32_t lane_of_warp() { return threadIdx.x & 31u; }
#else
#define GF_WARP 1u
GF_FN uint32_t lane_of_warp() { return 0; }
#endif

/// Takes `count` consecutive places from a counter and returns the first. For warp kernels: all lanes call it together with
/// the same count.
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

/// Asks for memory that is wanted soon. GPUs hide the wait behind other threads instead.
GF_FN void prefetch(const void* address) {
#if GF_SIMT
    (void)address;
#else
    __builtin_prefetch(address, 0, 2);
#endif
}

GF_FN float exponential(float x) { return expf(x); }
GF_FN double exponential(double x) { return exp(x); }

template <typename T> GF_FN T min_of(T a, T b) { return b < a ? b : a; }
template <typename T> GF_FN T max_of(T a, T b) { return a < b ? b : a; }
template <typename T> GF_FN T clamp_to(T x, T low, T high) { return min_of(max_of(x, low), high); }

}  // namespace
