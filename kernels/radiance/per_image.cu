// Per-image parameters: exposures and camera corrections.
#include "args.h"
#include "core/target.cuh"

// One item for each of the six parameters. Only differences between images are observable, so the mean is subtracted: a
// view without parameters of its own then corresponds to the mean.
GF_ITEM_KERNEL(centre_per_image, CentreArgs) {
    float sum = 0.0f;
    for (uint32_t image = 0; image < a.n_images; ++image) sum += a.value[6 * (size_t)image + i];
    const float mean = sum / (float)a.n_images;
    for (uint32_t image = 0; image < a.n_images; ++image)
        a.centred[6 * (size_t)image + i] = a.value[6 * (size_t)image + i] - mean;
}
