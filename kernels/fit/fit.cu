// Kernels of fields fitted to values, for networks up to 64 and up to 128 neurons wide; and their losses.
// Shared memory leaves room for only a few blocks, each of which may use as many registers as it needs.
#define GF_LEAST_BLOCKS 1
#include "fit/fit.cuh"

namespace {

struct Loss {
    float value;
    float derivative;  // with respect to y
};

GF_FN Loss loss_of(uint32_t kind, float y, float t) {
    const float error = y - t;
    if (kind == LOSS_MAPE) {
        const float scale = 1.0f / (fabsf(t) + 0.01f);
        return {fabsf(error) * scale, error == 0.0f ? 0.0f : copysignf(scale, error)};
    }
    const float scale = kind == LOSS_RELATIVE_L2 ? 1.0f / (y * y + 0.01f) : 1.0f;
    return {scale * error * error, 2.0f * scale * error};
}

}  // namespace

GF_TILE_KERNEL(fit_forward_64, FitArgs, NetworkShared<64>) { fit_forward_tile(a, tile, shared); }
GF_TILE_KERNEL(fit_forward_128, FitArgs, NetworkShared<128>) { fit_forward_tile(a, tile, shared); }
GF_TILE_KERNEL(fit_backward_64, FitArgs, NetworkShared<64>) { fit_backward_tile(a, tile, shared); }
GF_TILE_KERNEL(fit_backward_128, FitArgs, NetworkShared<128>) { fit_backward_tile(a, tile, shared); }

// One item per sample: its loss and the gradient with respect to its values.
GF_ITEM_KERNEL(fit_loss, FitLossArgs) {
    if (i >= *a.count) return;
    const float share = 1.0f / (float)a.n_outputs, scale = a.scale * share;
    float sum = 0.0f, squared = 0.0f;
    for (uint32_t c = 0; c < a.n_outputs; ++c) {
        const size_t at = (size_t)i * a.n_outputs + c;
        const float error = a.output[at] - a.target[at];
        const Loss loss = loss_of(a.kind, a.output[at], a.target[at]);
        a.dL_doutput[at] = scale * loss.derivative;
        sum += loss.value;
        squared += error * error;
    }
    a.loss[i] = share * sum;
    a.squared_error[i] = share * squared;
}

// One item per GF_STATISTICS_PART samples: their sums.
GF_ITEM_KERNEL(fit_statistics, FitLossArgs) {
    const uint32_t begin = i * GF_STATISTICS_PART, end = min_of(begin + GF_STATISTICS_PART, *a.count);
    float loss = 0.0f, squared_error = 0.0f;
    for (uint32_t s = begin; s < end; ++s) {
        loss += a.loss[s];
        squared_error += a.squared_error[s];
    }
    shared_add(&a.sums[0], loss);
    shared_add(&a.sums[1], squared_error);
}
