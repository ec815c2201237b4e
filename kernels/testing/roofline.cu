// Peak performance of the machine, measured by loops that do nothing else. For the benchmarks.
#include "args.h"
#include "core/tile.cuh"

// One item per long run of independent fused multiply-adds: GF_ROOFLINE_CHAINS chains of one vector (host) or one
// number.
GF_ITEM_KERNEL(roofline_fma, RooflineArgs) {
#if GF_SIMT
    typedef float Number;
    const float first = (float)i;
#else
    typedef Lanes Number;
    const Lanes first = Lanes{} + (float)i;
#endif
    Number chain[GF_ROOFLINE_CHAINS];
    GF_UNROLL
    for (int c = 0; c < GF_ROOFLINE_CHAINS; ++c) chain[c] = first + (float)c;
    const float factor = a.input[0], addend = a.input[1];
    for (uint32_t turn = 0; turn < a.turns; ++turn) {
        GF_UNROLL
        for (int c = 0; c < GF_ROOFLINE_CHAINS; ++c) chain[c] = chain[c] * factor + addend;
    }
    Number sum = chain[0];
    GF_UNROLL
    for (int c = 1; c < GF_ROOFLINE_CHAINS; ++c) sum += chain[c];
#if GF_SIMT
    a.output[i] = sum;
#else
    a.output[i] = sum[0] + sum[GF_LANES - 1];
    if (i == 0) *a.lanes = GF_LANES;
#endif
}

// One item per four consecutive numbers: output = input, in the widest accesses that the memory allows.
GF_ITEM_KERNEL(roofline_copy, RooflineArgs) {
    ((Pack<float, 4>*)a.output)[i] = ((const Pack<float, 4>*)a.input)[i];
}

// One item per sum of `turns` groups of four numbers at random places in `input`, whose number of groups is a power of
// two.
GF_ITEM_KERNEL(roofline_gather, RooflineArgs) {
    float sum[4] = {};
    uint32_t place = i * 2654435761u;
    for (uint32_t turn = 0; turn < a.turns; ++turn) {
        place = place * 1664525u + 1013904223u;
        const Pack<float, 4> group = ((const Pack<float, 4>*)a.input)[(place >> 4) & (a.n_groups - 1)];
        for (int k = 0; k < 4; ++k) sum[k] += group.value[k];
    }
    a.output[i] = sum[0] + sum[1] + sum[2] + sum[3];
}
