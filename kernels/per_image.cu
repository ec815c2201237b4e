// Numbers that are learned of each photograph: exposures, corrections of cameras.
#include "args.h"
#include "target.cuh"

// One item each of the six. Only differences between photographs can be told from such numbers: their mean is taken out, so
// that a view that has none of its own is one of the mean.
GF_ITEM_KERNEL(centre_per_image, CentreArgs) {
    (void)j;
    float sum = 0.0f;
    for (uint32_t photograph = 0; photograph < a.n_images; ++photograph) sum += a.value[6 * (size_t)photograph + i];
    const float mean = sum / (float)a.n_images;
    for (uint32_t photograph = 0; photograph < a.n_images; ++photograph)
        a.centred[6 * (size_t)photograph + i] = a.value[6 * (size_t)photograph + i] - mean;
}
