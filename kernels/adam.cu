// Adam (Kingma and Ba 2015) over entries, with those that no sample touched left alone, and an exponential moving average
// of the values for inference.
#include "args.h"
#include "target.cuh"

namespace {

/// decay^n
GF_FN float power(float decay, uint32_t n) { return n == 0 ? 1.0f : powf(decay, (float)n); }

/// The moving average after `n` further steps in which the value stood still.
GF_FN float relax(float average, float value, float decay_n) { return value + decay_n * (average - value); }

}  // namespace

// One item an entry of `width` parameters. An entry counts its own updates, so that one first touched late is corrected for
// its zero moments like all others.
GF_ITEM_KERNEL(adam, AdamArgs) {
    (void)j;
    const size_t begin = (size_t)i * a.width;
    bool touched = false;
    for (uint32_t k = 0; k < a.width; ++k) touched = touched || a.gradient[begin + k] != 0.0f;
    if (!touched) return;
    const uint32_t updates = ++a.steps[i];
    const float correction1 = 1.0f - power(a.beta1, updates), correction2 = 1.0f - power(a.beta2, updates);
    const float rate = a.learning_rate * sqrtf(correction2) / correction1;
    const float stood_still = a.average ? power(a.average_decay, a.step - 1 - a.average_step[i]) : 0.0f;
    for (uint32_t k = 0; k < a.width; ++k) {
        const size_t p = begin + k;
        const float value = a.value[p];
        const float gradient = a.gradient[p] * a.gradient_scale + a.l2_reg * value;
        const float moment1 = a.beta1 * a.moment1[p] + (1.0f - a.beta1) * gradient;
        const float moment2 = a.beta2 * a.moment2[p] + (1.0f - a.beta2) * gradient * gradient;
        const float updated = value - rate * moment1 / (sqrtf(moment2) + a.epsilon);
        a.gradient[p] = 0.0f;
        a.moment1[p] = moment1;
        a.moment2[p] = moment2;
        a.value[p] = updated;
        if (a.average) a.average[p] = relax(relax(a.average[p], value, stood_still), updated, a.average_decay);
        if (a.copy) ((compute_t*)a.copy)[p] = (compute_t)updated;
    }
    if (a.average) a.average_step[i] = a.step;
}

// The moving average as of now. One item an entry.
GF_ITEM_KERNEL(average_now, AverageArgs) {
    (void)j;
    const float decay = power(a.decay, a.step - a.average_step[i]);
    for (uint32_t k = 0; k < a.width; ++k) {
        const size_t p = (size_t)i * a.width + k;
        const float now = relax(a.average[p], a.value[p], decay);
        a.now[p] = now;
        if (a.copy) ((compute_t*)a.copy)[p] = (compute_t)now;
    }
}

// sum[i] = sum over parts, in their order. One item a number.
GF_ITEM_KERNEL(sum_parts, SumArgs) {
    (void)j;
    float sum = 0.0f;
    for (uint32_t part = 0; part < a.n_parts; ++part) sum += a.parts[(size_t)part * a.n + i];
    a.sum[i] = sum;
}
