// The occupancy grid: which cells contain density worth sampling (Instant-NGP, appendix C). Each cell keeps a decaying
// maximum of the optical thickness of a step, over all samples that training takes in it and over random points,
// without which empty cells could never fill. The occupancy bits are derived from these maxima.
#include "args.h"
#include "core/rng.cuh"

namespace {

GF_FN uint32_t visited_cell(const OccupancyArgs& a, uint32_t i) { return (a.first + i) * a.stride + a.phase; }

}  // namespace

// One item per visited cell: a random point in it.
GF_ITEM_KERNEL(occupancy_points, OccupancyArgs) {
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
    // The remainder is the cascade; the largest one fills the field's [0, 1]^3.
    const float side = (float)(1u << block) / (float)(1u << (a.cascades - 1));
    for (int k = 0; k < 3; ++k) a.samples.position[3 * (size_t)i + k] = (unit[k] - 0.5f) * side + 0.5f;
}

// One item per visited cell, after the field has set the densities.
GF_ITEM_KERNEL(occupancy_update, OccupancyArgs) {
    float* value = a.value + visited_cell(a, i);
    *value = max_of(*value, a.samples.density[i] * a.step_size);
}

// One item per training sample: updates the cells that contain it, in the smallest cascade that does and in all larger
// ones, with the density that the field has there.
GF_ITEM_KERNEL(occupancy_accumulate, OccupancyAccumulateArgs) {
    if (i >= min_of(a.samples.count[a.round], a.samples.capacity)) return;
    const float thickness = a.samples.density[i] * a.step_size;
    const float* position = a.samples.position + 3 * (size_t)i;
    float reach = 0.0f, from_centre[3];
    for (int k = 0; k < 3; ++k) {
        from_centre[k] = position[k] - 0.5f;
        reach = max_of(reach, fabsf(from_centre[k]));
    }
    const uint32_t blocks = a.resolution / 4;
    float side = 1.0f;  // side of the cascade in the field
    for (uint32_t cascade = a.cascades; cascade-- > 0 && reach <= 0.5f * side; side *= 0.5f) {
        uint32_t block = cascade, bit = 0;
        for (int k = 3; k-- > 0;) {
            const float place = (from_centre[k] / side + 0.5f) * (float)a.resolution;
            const uint32_t cell = (uint32_t)(int32_t)clamp_to(place, 0.0f, (float)(a.resolution - 1));
            block = block * blocks + cell / 4u;
            bit = bit * 4u + cell % 4u;
        }
        shared_max(a.value + (size_t)block * 64u + bit, thickness);
    }
}

// One item per cell.
GF_ITEM_KERNEL(occupancy_decay, OccupancyDecayArgs) {
    a.value[i] *= a.decay;
}

// The mean, summed in an order that does not depend on the threads: sums of parts first, then their sum.
GF_ITEM_KERNEL(occupancy_parts, OccupancyBitsArgs) {
    const uint32_t begin = i * GF_OCCUPANCY_PART, end = min_of(begin + GF_OCCUPANCY_PART, a.n_cells);
    float sum = 0.0f;
    for (uint32_t cell = begin; cell < end; ++cell) sum += a.value[cell];
    a.part[i] = sum;
}

GF_ITEM_KERNEL(occupancy_mean, OccupancyBitsArgs) {
    double sum = 0.0;
    for (uint32_t part = 0; part * GF_OCCUPANCY_PART < a.n_cells; ++part) sum += (double)a.part[part];
    *a.mean = (float)(sum / (double)a.n_cells);
}

// One item per word of 64 cells.
GF_ITEM_KERNEL(occupancy_bits, OccupancyBitsArgs) {
    const float threshold = min_of(a.threshold, *a.mean);
    uint64_t word = 0;
    for (uint32_t bit = 0; bit < 64u; ++bit)
        word |= (uint64_t)(a.value[(size_t)i * 64u + bit] > threshold) << bit;
    a.bits[i] = word;
}

// One item per word of 64 blocks: which of them are not empty.
GF_ITEM_KERNEL(occupancy_blocks, OccupancyBitsArgs) {
    const uint32_t groups = a.resolution / 16, blocks = a.resolution / 4;
    // Values of z past a cascade's last group continue in the next cascade.
    const uint32_t x = i % groups * 4, y = i / groups % groups * 4, z = i / (groups * groups) * 4;
    uint64_t word = 0;
    for (uint32_t bit = 0; bit < 64u; ++bit) {
        const uint32_t block = (x + (bit & 3u)) + blocks * ((y + (bit >> 2 & 3u)) + blocks * (z + (bit >> 4)));
        word |= (uint64_t)(a.bits[block] != 0) << bit;
    }
    a.occupied_blocks[i] = word;
}
