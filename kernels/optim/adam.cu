// Adam (Kingma and Ba 2015) over entries, which skips those that no sample touched, and an exponential moving average
// of the values for inference.
#include "args.h"
#include "core/target.cuh"

namespace {

GF_FN float looked_up(const float* table, uint32_t n, uint32_t k) { return table[min_of(k, n - 1)]; }

/// Returns the moving average after further steps in which the value did not change; `decay` is the product of the
/// decays of these steps.
GF_FN float relax(float average, float value, float decay) { return value + decay * (average - value); }

template <int W> GF_FN Pack<float, W>& entry_of(float* numbers, uint32_t i) { return ((Pack<float, W>*)numbers)[i]; }

template <int W> GF_FN void update_entry(const AdamArgs& a, uint32_t i) {
    const Pack<float, W> gradient = entry_of<W>(a.gradient, i);
    bool touched = false;
    for (int k = 0; k < W; ++k) touched = touched || gradient.value[k] != 0.0f;
    if (!touched) return;
    const uint32_t updates = ++a.steps[i];
    const float rate = a.learning_rate * looked_up(a.corrections, a.n_corrections, updates);
    const Pack<float, W> before = entry_of<W>(a.value, i);
    Pack<float, W> after, moment1 = entry_of<W>(a.moment1, i), moment2 = entry_of<W>(a.moment2, i);
    GF_UNROLL
    for (int k = 0; k < W; ++k) {
        const float g = gradient.value[k] * a.gradient_scale + a.l2_reg * before.value[k];
        moment1.value[k] = a.beta1 * moment1.value[k] + (1.0f - a.beta1) * g;
        moment2.value[k] = a.beta2 * moment2.value[k] + (1.0f - a.beta2) * g * g;
        after.value[k] = before.value[k] - rate * moment1.value[k] / (sqrtf(moment2.value[k]) + a.epsilon);
    }
    entry_of<W>(a.gradient, i) = Pack<float, W>{};
    entry_of<W>(a.moment1, i) = moment1;
    entry_of<W>(a.moment2, i) = moment2;
    entry_of<W>(a.value, i) = after;
    if (a.copy) {
        Pack<compute_t, W> copy;
        for (int k = 0; k < W; ++k) copy.value[k] = (compute_t)after.value[k];
        ((Pack<compute_t, W>*)a.copy)[i] = copy;
    }
    if (!a.average) return;
    const float stood_still = looked_up(a.decays, a.n_decays, a.step - 1 - a.average_step[i]);
    Pack<float, W> average = entry_of<W>(a.average, i);
    GF_UNROLL
    for (int k = 0; k < W; ++k)
        average.value[k] = relax(relax(average.value[k], before.value[k], stood_still), after.value[k], a.decays[1]);
    entry_of<W>(a.average, i) = average;
    a.average_step[i] = a.step;
}

}  // namespace

// One item per entry of `width` parameters. Each entry counts its own updates, so that the bias correction is also
// right for entries that are first touched late.
GF_ITEM_KERNEL(adam, AdamArgs) {
    switch (a.width) {
        case 1: update_entry<1>(a, i); break;
        case 2: update_entry<2>(a, i); break;
        case 4: update_entry<4>(a, i); break;
        default: update_entry<8>(a, i); break;
    }
}

// The moving average at the current step. One item per entry.
GF_ITEM_KERNEL(average_now, AverageArgs) {
    const float decay = looked_up(a.decays, a.n_decays, a.step - a.average_step[i]);
    for (uint32_t k = 0; k < a.width; ++k) {
        const size_t p = (size_t)i * a.width + k;
        a.now[p] = relax(a.average[p], a.value[p], decay);
    }
}

// sum[n] = sum over parts, in order; n is a multiple of GF_SUM_WIDTH. One item per GF_SUM_WIDTH numbers, which the host
// adds as vectors.
GF_ITEM_KERNEL(sum_parts, SumArgs) {
    const size_t begin = (size_t)i * GF_SUM_WIDTH;
    float sum[GF_SUM_WIDTH] = {};
    for (uint32_t part = 0; part < a.n_parts; ++part) {
        GF_UNROLL
        for (int k = 0; k < GF_SUM_WIDTH; ++k) sum[k] += a.parts[(size_t)part * a.n + begin + k];
    }
    GF_UNROLL
    for (int k = 0; k < GF_SUM_WIDTH; ++k) a.sum[begin + k] = sum[k];
}
