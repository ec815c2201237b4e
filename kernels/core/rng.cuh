// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A draw is a pure function of (seed, purpose, step, item), so it is the same on every target and for any number of
// threads.
#pragma once
#include "core/target.cuh"

namespace {

struct Random4 {
    uint32_t x[4];
};

GF_FN Random4 philox4x32(const uint32_t counter[4], const uint32_t key[2]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        const uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

/// Purpose of a draw; draws of different purposes use separate streams.
enum RandomPurpose : uint32_t {
    RANDOM_PIXEL = 0,
    RANDOM_BACKGROUND = 1,
    RANDOM_OCCUPANCY = 2,
    RANDOM_PARAMETERS = 3,
    RANDOM_IMAGE_PIXEL = 4,
    RANDOM_SURFACE = 16,  // and 17; further streams use the following pairs
    RANDOM_CUBE = 32,     // further streams use the following numbers
};

GF_FN Random4 random_draw(uint32_t seed, uint32_t purpose, uint32_t step, uint32_t item) {
    const uint32_t counter[4] = {item, step, purpose, 0};
    const uint32_t key[2] = {seed, 0x67726964u};  // "grid"
    return philox4x32(counter, key);
}

/// Returns a number in [0, 1) with 24 random bits.
GF_FN float random_unit(uint32_t bits) { return (float)(bits >> 8) * (1.0f / 16777216.0f); }

/// Returns an integer in [0, n), by multiplication (bias below n / 2^32).
GF_FN uint32_t random_below(uint32_t bits, uint32_t n) { return (uint32_t)(((uint64_t)bits * n) >> 32); }

}  // namespace
