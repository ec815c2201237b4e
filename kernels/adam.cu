// Adam (Kingma and Ba 2015) over entries, with those that no sample touched left alone, and an exponential moving average
// of the values for inference.
#include "args.h"
#include "target.cuh"

namespace {

GF_FN float looked_up(const float* table, uint32_t n, uint32_t k) { return table[min_of(k, n - 1)]; }

/// The moving average after further steps in which the value stood still; `decay` is the decay of all of them.
GF_FN float relax(float average, float value, float decay) { return value + decay * (average - value); }

template <int W> GF_FN void update_entry(const AdamArgs& a, uint32_t i) {
    const size_t begin = (size_t)i * W;
    float gradient[W];
    bool touched = false;
    for (int k = 0; k < W; ++k) {
        gradient[k] = a.gradient[begin + k];
        touched = touched || gradient[k] != 0.0f;
    }
    if (!touched) return;
    const uint32_t updates = ++a.steps[i];
    const float rate = a.learning_rate * looked_up(a.corrections, a.n_corrections, updates);
    float before[W], after[W];
    for (int k = 0; k < W; ++k) {
        const size_t p = begin + k;
        before[k] = a.value[p];
        const float g = gradient[k] * a.gradient_scale + a.l2_reg * before[k];
        const float moment1 = a.beta1 * a.moment1[p] + (1.0f - a.beta1) * g;
        const float moment2 = a.beta2 * a.moment2[p] + (1.0f - a.beta2) * g * g;
        after[k] = before[k] - rate * moment1 / (sqrtf(moment2) + a.epsilon);
        a.gradient[p] = 0.0f;
        a.moment1[p] = moment1;
        a.moment2[p] = moment2;
        a.value[p] = after[k];
    }
    if (a.copy)
        for (int k = 0; k < W; ++k) ((compute_t*)a.copy)[begin + k] = (compute_t)after[k];
    if (!a.average) return;
    const float stood_still = looked_up(a.decays, a.n_decays, a.step - 1 - a.average_step[i]);
    for (int k = 0; k < W; ++k) {
        float* average = &a.average[begin + k];
        *average = relax(relax(*average, before[k], stood_still), after[k], a.decays[1]);
    }
    a.average_step[i] = a.step;
}

}  // namespace

// One item an entry of `width` parameters. An entry counts its own updates, so that one first touched late is corrected for
// its zero moments like all others.
GF_ITEM_KERNEL(adam, AdamArgs) {
    (void)j;
    switch (a.width) {
        case 1: update_entry<1>(a, i); break;
        case 2: update_entry<2>(a, i); break;
        case 4: update_entry<4>(a, i); break;
        default: update_entry<8>(a, i); break;
    }
}

// The moving average as of now. One item an entry.
GF_ITEM_KERNEL(average_now, AverageArgs) {
    (void)j;
    const float decay = looked_up(a.decays, a.n_decays, a.step - a.average_step[i]);
    for (uint32_t k = 0; k < a.width; ++k) {
        const size_t p = (size_t)i * a.width + k;
        a.now[p] = relax(a.average[p], a.value[p], decay);
    }
}

// sum[n] = sum over parts, in their order; n is a multiple of GF_SUM_WIDTH. One item GF_SUM_WIDTH numbers, which the host
// adds as vectors.
GF_ITEM_KERNEL(sum_parts, SumArgs) {
    (void)j;
    const size_t begin = (size_t)i * GF_SUM_WIDTH;
    float sum[GF_SUM_WIDTH] = {};
    for (uint32_t part = 0; part < a.n_parts; ++part) {
        GF_UNROLL
        for (int k = 0; k < GF_SUM_WIDTH; ++k) sum[k] += a.parts[(size_t)part * a.n + begin + k];
    }
    GF_UNROLL
    for (int k = 0; k < GF_SUM_WIDTH; ++k) a.sum[begin + k] = sum[k];
}
