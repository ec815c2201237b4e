// Exposure of the photographs: of each three gains (their logarithms) and three offsets, by channel.
#include "args.h"
#include "target.cuh"

// One item each of the six. Only differences between photographs can be told from them: their mean is taken out, so that a
// picture without an exposure of its own is one of the mean exposure.
GF_ITEM_KERNEL(prepare_exposure, ExposureArgs) {
    (void)j;
    float sum = 0.0f;
    for (uint32_t photograph = 0; photograph < a.n_photographs; ++photograph) sum += a.value[6 * (size_t)photograph + i];
    const float mean = sum / (float)a.n_photographs;
    for (uint32_t photograph = 0; photograph < a.n_photographs; ++photograph)
        a.exposure[6 * (size_t)photograph + i] = a.value[6 * (size_t)photograph + i] - mean;
}
