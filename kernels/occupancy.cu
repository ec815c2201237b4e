// The occupancy grid: which cells hold density worth sampling (Instant-NGP, appendix C). A refresh visits a share of the
// cells at a random point each, keeps a decaying maximum of the optical thickness of a step, and renews the bits.
#include "args.h"
#include "rng.cuh"

namespace {

GF_FN uint32_t visited_cell(const OccupancyArgs& a, uint32_t i) { return (a.first + i) * a.stride + a.phase; }

}  // namespace

// One item a visited cell: a random point of it.
GF_ITEM_KERNEL(occupancy_points, OccupancyArgs) {
    (void)j;
    if (i == 0) {
        a.samples.count[0] = 0;
        a.samples.count[1] = a.n;
    }
    const uint32_t cell = visited_cell(a, i), blocks = a.resolution / 4;
    uint32_t block = cell / 64u;
    const uint32_t bit = cell % 64u;
    const uint32_t low[3] = {bit & 3u, (bit >> 2) & 3u, bit >> 4};
    const Random4 draw = random_draw(a.seed, RANDOM_OCCUPANCY, a.step, cell);
    float unit[3];
    for (int k = 0; k < 3; ++k) {
        unit[k] = ((float)(block % blocks * 4u + low[k]) + random_unit(draw.x[k])) / (float)a.resolution;
        block /= blocks;
    }
    // What is left is the cascade; the largest fills the field's [0, 1]^3.
    const float side = (float)(1u << block) / (float)(1u << (a.cascades - 1));
    for (int k = 0; k < 3; ++k) a.samples.position[3 * (size_t)i + k] = (unit[k] - 0.5f) * side + 0.5f;
}

// One item a visited cell, after the field has set the densities.
GF_ITEM_KERNEL(occupancy_update, OccupancyArgs) {
    (void)j;
    float* value = a.value + visited_cell(a, i);
    *value = max_of(*value * a.decay, a.samples.density[i] * a.step_size);
}

// The mean, in an order that does not depend on the threads: parts, then their sum.
GF_ITEM_KERNEL(occupancy_parts, OccupancyBitsArgs) {
    (void)j;
    const uint32_t begin = i * GF_OCCUPANCY_PART, end = min_of(begin + GF_OCCUPANCY_PART, a.n_cells);
    float sum = 0.0f;
    for (uint32_t cell = begin; cell < end; ++cell) sum += a.value[cell];
    a.part[i] = sum;
}

GF_ITEM_KERNEL(occupancy_mean, OccupancyBitsArgs) {
    (void)i, (void)j;
    double sum = 0.0;
    for (uint32_t part = 0; part * GF_OCCUPANCY_PART < a.n_cells; ++part) sum += (double)a.part[part];
    *a.mean = (float)(sum / (double)a.n_cells);
}

// One item a word of 64 cells.
GF_ITEM_KERNEL(occupancy_bits, OccupancyBitsArgs) {
    (void)j;
    const float threshold = min_of(a.threshold, *a.mean);
    uint64_t word = 0;
    for (uint32_t bit = 0; bit < 64u; ++bit)
        word |= (uint64_t)(a.value[(size_t)i * 64u + bit] > threshold) << bit;
    a.bits[i] = word;
}

// One item a word of 64 blocks: which of them are not empty.
GF_ITEM_KERNEL(occupancy_blocks, OccupancyBitsArgs) {
    (void)j;
    const uint32_t groups = a.resolution / 16, blocks = a.resolution / 4;
    const uint32_t x = i % groups * 4, y = i / groups % groups * 4, z = i / (groups * groups) * 4;  // z counts on into cascades
    uint64_t word = 0;
    for (uint32_t bit = 0; bit < 64u; ++bit) {
        const uint32_t block = (x + (bit & 3u)) + blocks * ((y + (bit >> 2 & 3u)) + blocks * (z + (bit >> 4)));
        word |= (uint64_t)(a.bits[block] != 0) << bit;
    }
    a.occupied_blocks[i] = word;
}
