// The emulated target: CUDA's names for threads, barriers, warp exchange, atomics, fp16 and tensor cores in plain C++,
// so that tests run the branches that otherwise only GPUs run. The threads of a block are fibers of one thread; the
// scheduler is in emulated.cpp.
//
// It finds wrong indices; missing barriers and races on shared memory (run the fibers in two orders and compare the
// results); barriers that not all threads reach; and reads of uninitialized shared memory (it starts as NaN).
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define GF_FN inline
#define GF_TILE_FN inline

// ---------------------------------------------------------------------------------------------------------------------
// Launches and the scheduler.

/// What the threads of a launch did, added to what is there (core/counters.h).
struct EmulatedCounts {
    uint64_t blocks;
    uint64_t bytes_read, bytes_written, bytes_added;  // in global memory, by plain reads and writes and by additions
    uint64_t sectors_read, sectors_written;           // of 32 bytes, as often as different requests of warps touch them
    uint64_t additions;                               // atomic additions to global memory, of a number or a vector
    uint64_t collide_in_warp;                         // those whose request has an earlier one to the same address
    uint64_t collide_in_block;                        // those whose block has one to the same address
    uint64_t block_barriers, warp_barriers;
    uint64_t warp_steps, lane_steps;  // basic blocks run by warps, and by their lanes: at most 32 times as many
};

struct EmulatedOptions {
    uint32_t reverse;        // 1: blocks, and fibers between two barriers, run last to first
    EmulatedCounts* counts;  // null: counts nothing, as do builds without the feature `counters`
};

typedef void (*EmulatedThread)(const void* arguments, uint32_t n_items);

struct EmulatedLaunch {
    const char* kernel;
    EmulatedThread thread;  // runs the kernel for one thread
    const void* arguments;
    uint32_t n_items;
    uint32_t blocks, rows;
    uint32_t shared_bytes;
    uint32_t has_barriers;  // 0: threads run one after another, without fibers
};

struct EmulatedIndex {
    uint32_t x, y, z;
};

/// Built-in variables of the running thread.
struct EmulatedNow {
    EmulatedIndex thread, block, block_size;
    unsigned char* shared;
};

#define GF_EMULATED_SLOTS 6

extern "C" {
extern __thread EmulatedNow gf_emulated_now;
/// Runs a launch. Returns null, or an error message that is valid until the next launch of this thread.
const char* gf_emulated_launch(const EmulatedLaunch* launch, const EmulatedOptions* options);
void gf_emulated_block_barrier(const char* file, int line);
void gf_emulated_warp_barrier(const char* file, int line);
/// Words through which the lanes of the running warp exchange values, GF_EMULATED_SLOTS per lane.
uint64_t* gf_emulated_slots();
}

#define threadIdx gf_emulated_now.thread
#define blockIdx gf_emulated_now.block
#define blockDim gf_emulated_now.block_size

#define GF_EMULATED_SYMBOL(name, Blocks, shared, barriers)                                                             \
    extern "C" const char* name##_emulated(const void* arguments, uint32_t n_items, uint32_t rows,                     \
                                           const EmulatedOptions* options) {                                           \
        const EmulatedLaunch launch = {#name, name##_thread, arguments, n_items, Blocks, rows, shared, barriers};      \
        return gf_emulated_launch(&launch, options);                                                                   \
    }

#define GF_ITEM_KERNEL(name, Args)                                                                                     \
    GF_ITEM_BODY(name, Args);                                                                                          \
    static void name##_thread(const void* arguments, uint32_t n_items) {                                               \
        const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;                                                      \
        if (i < n_items) name##_item(*static_cast<const Args*>(arguments), i, blockIdx.y);                             \
    }                                                                                                                  \
    GF_EMULATED_SYMBOL(name, (n_items + GF_BLOCK - 1) / GF_BLOCK, 0, 0)                                                  \
    GF_ITEM_BODY(name, Args)

#define GF_WARP_KERNEL(name, Args)                                                                                     \
    GF_ITEM_BODY(name, Args);                                                                                          \
    static void name##_thread(const void* arguments, uint32_t n_items) {                                               \
        const uint32_t i = (blockIdx.x * blockDim.x + threadIdx.x) / 32;                                               \
        if (i < n_items) name##_item(*static_cast<const Args*>(arguments), i, blockIdx.y);                             \
    }                                                                                                                  \
    GF_EMULATED_SYMBOL(name, (n_items * 32 + GF_BLOCK - 1) / GF_BLOCK, 0, 1)                                             \
    GF_ITEM_BODY(name, Args)

#define GF_TILE_KERNEL(name, Args, Shared)                                                                             \
    GF_TILE_BODY(name, Args, Shared);                                                                                  \
    static void name##_thread(const void* arguments, uint32_t) {                                                       \
        Shared& shared = *reinterpret_cast<Shared*>(gf_emulated_now.shared);                                           \
        name##_tile(*static_cast<const Args*>(arguments), blockIdx.x, blockIdx.y, shared);                             \
    }                                                                                                                  \
    GF_EMULATED_SYMBOL(name, n_items, sizeof(Shared), 1)                                                               \
    GF_TILE_BODY(name, Args, Shared)

// ---------------------------------------------------------------------------------------------------------------------
// Barriers, warp exchange, atomics. Only one fiber runs at a time, so plain additions are atomic.

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    gf_emulated_block_barrier(file, line);
}

inline void __syncwarp(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    gf_emulated_warp_barrier(file, line);
}

template <typename T>
inline T __shfl_sync(unsigned, T value, unsigned lane, const char* file = __builtin_FILE(),
                     int line = __builtin_LINE()) {
    static_assert(sizeof(T) <= sizeof(uint64_t), "a slot holds 8 bytes");
    uint64_t* slots = gf_emulated_slots();
    memcpy(&slots[threadIdx.x & 31u], &value, sizeof(T));
    gf_emulated_warp_barrier(file, line);
    memcpy(&value, &slots[lane & 31u], sizeof(T));
    gf_emulated_warp_barrier(file, line);
    return value;
}

/// Returns one bit per lane.
inline uint32_t __ballot_sync(unsigned, bool is_set, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    uint64_t* slots = gf_emulated_slots();
    slots[threadIdx.x & 31u] = is_set;
    gf_emulated_warp_barrier(file, line);
    uint32_t bits = 0;
    for (uint32_t lane = 0; lane < 32; ++lane) bits |= (uint32_t)slots[lane] << lane;
    gf_emulated_warp_barrier(file, line);
    return bits;
}

inline uint32_t __popc(uint32_t bits) { return (uint32_t)__builtin_popcount(bits); }

#if defined(GF_COUNTED)
extern "C" void gf_count_addition(const void* address, size_t bytes, const void* place);
/// Marks a function that reports its accesses itself.
#define GF_COUNTS_ITSELF __attribute__((noinline, no_sanitize_thread))
#define GF_COUNT_ADDITION(address) gf_count_addition(address, sizeof *(address), __builtin_return_address(0))
#else
#define GF_COUNTS_ITSELF
#define GF_COUNT_ADDITION(address)
#endif

template <typename T> GF_COUNTS_ITSELF inline T atomicAdd(T* address, T value) {
    GF_COUNT_ADDITION(address);
    const T before = *address;
    *address = before + value;
    return before;
}

inline int __float_as_int(float value) {
    int bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline int atomicMax(int* address, int value) {
    int before;
    memcpy(&before, address, sizeof before);  // the memory may hold a float
    if (value > before) memcpy(address, &value, sizeof value);
    return before;
}

// CUDA's vector types. They may alias memory of other types.
struct __attribute__((may_alias, aligned(16))) uint4 {
    uint32_t x, y, z, w;
};
struct __attribute__((may_alias, aligned(8))) float2 {
    float x, y;
};
struct __attribute__((may_alias, aligned(16))) float4 {
    float x, y, z, w;
};
GF_COUNTS_ITSELF inline void atomicAdd(float2* address, float2 value) {
    GF_COUNT_ADDITION(address);
    address->x += value.x;
    address->y += value.y;
}
GF_COUNTS_ITSELF inline void atomicAdd(float4* address, float4 value) {
    GF_COUNT_ADDITION(address);
    address->x += value.x;
    address->y += value.y;
    address->z += value.z;
    address->w += value.w;
}

// ---------------------------------------------------------------------------------------------------------------------
// fp16: 16-bit storage, fp32 arithmetic. Implemented here because not every C++17 compiler has such a type.

/// Rounds to nearest, ties to even.
inline uint16_t gf_half_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint32_t sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u) return (uint16_t)(sign | 0x7fffu);
    if (bits >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);  // from 65520 up: infinity
    if (bits < 0x38800000u) {
        // Below 2^-14, fp16 has steps of 2^-24, as fp32 has between 0.5 and 1: the addition does the rounding.
        float shifted;
        memcpy(&shifted, &bits, 4);
        shifted += 0.5f;
        memcpy(&bits, &shifted, 4);
        return (uint16_t)(sign | (bits - 0x3f000000u));
    }
    bits += 0xfffu + (bits >> 13 & 1u);
    return (uint16_t)(sign | (bits - 0x38000000u) >> 13);
}

inline float gf_half_value(uint16_t half) {
    uint32_t bits = (uint32_t)(half & 0x7fffu) << 13;
    float value;
    memcpy(&value, &bits, 4);
    value *= 5.192296858534828e33f;  // 2^112: the difference of the exponents' biases
    memcpy(&bits, &value, 4);
    if ((half & 0x7c00u) == 0x7c00u) bits |= 0x7f800000u;  // infinity and NaN
    bits |= (uint32_t)(half & 0x8000u) << 16;
    memcpy(&value, &bits, 4);
    return value;
}

struct gf_half {
    uint16_t bits;
    gf_half() = default;
    explicit gf_half(float value) : bits(gf_half_bits(value)) {}
    operator float() const { return gf_half_value(bits); }
};

// ---------------------------------------------------------------------------------------------------------------------
// Tensor cores.

/// mma.m16n8k16: computes the lane's four sums, from the rows and columns that the lanes of the warp hold
/// (kernels/core/tile.cuh).
inline void gf_emulated_mma_m16n8k16(float sum[4], const uint32_t left[4], const uint32_t right[2],
                                     const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    uint64_t* slots = gf_emulated_slots();
    const unsigned lane = threadIdx.x & 31u;
    float own[12];  // two per word, the left matrix first
    for (unsigned n = 0; n < 12; ++n) {
        const uint32_t word = n < 8 ? left[n / 2] : right[n / 2 - 4];
        own[n] = gf_half_value((uint16_t)(word >> 16 * (n % 2)));
    }
    memcpy(&slots[GF_EMULATED_SLOTS * lane], own, sizeof own);
    gf_emulated_warp_barrier(file, line);
    // Element k of a row of the left matrix (words 0 to 3 of a lane) or of a column of the right one (words 4 and 5).
    const auto number = [&](unsigned owner, unsigned word, unsigned k) {
        float value;
        const uint64_t* there = &slots[GF_EMULATED_SLOTS * (4 * owner + k % 8 / 2)];
        memcpy(&value, (const char*)there + 4 * (2 * word + k % 2), sizeof value);
        return value;
    };
    float rows[2][16], columns[2][16];
    for (unsigned k = 0; k < 16; ++k) {
        for (unsigned n = 0; n < 2; ++n) {
            rows[n][k] = number(lane / 4, n + k / 8 * 2, k);
            columns[n][k] = number(lane % 4 * 2 + n, 4 + k / 8, k);
        }
    }
    for (unsigned n = 0; n < 4; ++n)
        for (unsigned k = 0; k < 16; ++k) sum[n] += rows[n / 2][k] * columns[n % 2][k];
    gf_emulated_warp_barrier(file, line);
}
