// Adam (Kingma and Ba 2015) over entries, which skips those that no sample touched, and an exponential moving average
// of the values for inference.
#include "args.h"
#include "core/columns.cuh"

namespace {

GF_FN float looked_up(const float* table, uint32_t n, uint32_t k) { return table[min_of(k, n - 1)]; }

/// Returns the moving average after further steps in which the value did not change; `decay` is the product of the
/// decays of these steps.
GF_FN float relax(float average, float value, float decay) { return value + decay * (average - value); }

template <int W> GF_FN Pack<float, W>& entry_of(float* numbers, uint32_t i) { return ((Pack<float, W>*)numbers)[i]; }

GF_FN float root_of(float x) { return sqrtf(x); }
#if !GF_SIMT
GF_FN Columns root_of(Columns x) { return columns_sqrt(x); }
#endif

/// Updates numbers and the moments of their gradients: one of each, or a vector of them.
template <typename T> GF_FN void adam_rule(const AdamArgs& a, T gradient, T rate, T& value, T& moment1, T& moment2) {
    const T g = gradient * a.gradient_scale + a.l2_reg * value;
    moment1 = a.beta1 * moment1 + (1.0f - a.beta1) * g;
    moment2 = a.beta2 * moment2 + (1.0f - a.beta2) * g * g;
    value = value - rate * moment1 / (root_of(moment2) + a.epsilon);
}

/// Brings the moving average of an entry up to date, given its values before and after the step.
template <int W> GF_FN void update_average(const AdamArgs& a, uint32_t i, const float* before, const float* after) {
    const float stood_still = looked_up(a.decays, a.n_decays, a.step - 1 - a.average_step[i]);
    Pack<float, W> average = entry_of<W>(a.average, i);
    GF_UNROLL
    for (int k = 0; k < W; ++k)
        average.value[k] = relax(relax(average.value[k], before[k], stood_still), after[k], a.decays[1]);
    entry_of<W>(a.average, i) = average;
    a.average_step[i] = a.step;
}

template <int W> GF_FN void update_entry(const AdamArgs& a, uint32_t i) {
    const Pack<float, W> gradient = entry_of<W>(a.gradient, i);
    bool touched = false;
    for (int k = 0; k < W; ++k) touched = touched || gradient.value[k] != 0.0f;
    if (!touched) return;
    const uint32_t updates = ++a.steps[i];
    const float rate = a.learning_rate * looked_up(a.corrections, a.n_corrections, updates);
    const Pack<float, W> before = entry_of<W>(a.value, i);
    Pack<float, W> after = before, moment1 = entry_of<W>(a.moment1, i), moment2 = entry_of<W>(a.moment2, i);
    GF_UNROLL
    for (int k = 0; k < W; ++k)
        adam_rule(a, gradient.value[k], rate, after.value[k], moment1.value[k], moment2.value[k]);
    entry_of<W>(a.gradient, i) = Pack<float, W>{};
    entry_of<W>(a.moment1, i) = moment1;
    entry_of<W>(a.moment2, i) = moment2;
    entry_of<W>(a.value, i) = after;
    if (a.copy) {
        Pack<compute_t, W> copy;
        for (int k = 0; k < W; ++k) copy.value[k] = (compute_t)after.value[k];
        ((Pack<compute_t, W>*)a.copy)[i] = copy;
    }
    if (a.average) update_average<W>(a, i, before.value, after.value);
}

#if !GF_SIMT
/// Updates the entries of a vector of numbers. Entries without a gradient stay as they are. Which entries have one
/// follows no pattern, so a branch per entry would often be mispredicted; the result is chosen by a mask instead, and a
/// vector is skipped only if none of its entries has a gradient.
template <int W> GF_FN void update_vector(const AdamArgs& a, uint32_t first) {
    const int n_entries = GF_LANES / W;
    const size_t at = (size_t)first * W;
    const Columns gradient = load_columns(a.gradient + at);
    IntColumns touched = gradient != 0.0f;  // -1 where true
    GF_UNROLL
    for (int distance = 1; distance < W; distance *= 2) touched |= swap_lanes(touched, distance);
    int32_t any = 0;
    for (int e = 0; e < n_entries; ++e) any |= touched[e * W];
    if (!any) return;
    Columns rate;
    for (int e = 0; e < n_entries; ++e) {
        const uint32_t updates = a.steps[first + e] -= touched[e * W];
        const float own = a.learning_rate * looked_up(a.corrections, a.n_corrections, updates);
        for (int k = 0; k < W; ++k) rate[e * W + k] = own;
    }
    const Columns before = load_columns(a.value + at);
    const Columns old1 = load_columns(a.moment1 + at), old2 = load_columns(a.moment2 + at);
    Columns after = before, moment1 = old1, moment2 = old2;
    adam_rule(a, gradient, rate, after, moment1, moment2);
    store_columns(a.gradient + at, Columns{});
    store_columns(a.moment1 + at, touched ? moment1 : old1);
    store_columns(a.moment2 + at, touched ? moment2 : old2);
    store_columns(a.value + at, touched ? after : before);
    if (!a.average) return;
    float was[GF_LANES], is[GF_LANES];
    store_columns(was, before);
    store_columns(is, after);
    for (int e = 0; e < n_entries; ++e)
        if (touched[e * W]) update_average<W>(a, first + e, &was[e * W], &is[e * W]);
}
#endif

/// Updates the entries of an item: one, or on the host those of GF_ADAM_NUMBERS numbers.
template <int W> GF_FN void update_item(const AdamArgs& a, uint32_t i) {
#if GF_SIMT
    update_entry<W>(a, i);
#else
    const uint32_t end = min_of((i + 1) * (GF_ADAM_NUMBERS / W), a.n_entries);
    uint32_t entry = i * (GF_ADAM_NUMBERS / W);
    if constexpr (W <= GF_LANES) {
        for (; entry + GF_LANES / W <= end; entry += GF_LANES / W) update_vector<W>(a, entry);
    }
    for (; entry < end; ++entry) update_entry<W>(a, entry);
#endif
}

}  // namespace

// One item per entry of `width` parameters, or on the host per GF_ADAM_NUMBERS parameters. Each entry counts its own
// updates, so that the bias correction is also right for entries that are first touched late.
GF_ITEM_KERNEL(adam, AdamArgs) {
    switch (a.width) {
        case 1: update_item<1>(a, i); break;
        case 2: update_item<2>(a, i); break;
        case 4: update_item<4>(a, i); break;
        default: update_item<8>(a, i); break;
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
