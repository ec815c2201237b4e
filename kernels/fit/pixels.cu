// Samples of an image: drawn for a training step, or one per pixel of a rendered image. The image is mapped to
// [0, 1]^2, each axis separately, so that all of a grid is used.
#include "args.h"
#include "core/rng.cuh"

namespace {

GF_FN float channel(const DrawPixelsArgs& a, size_t at) {
    if (a.format == PIXELS_U8) return (float)((const uint8_t*)a.pixels)[at] * (1.0f / 255.0f);
    if (a.format == PIXELS_U16) return (float)((const uint16_t*)a.pixels)[at] * (1.0f / 65535.0f);
    return ((const float*)a.pixels)[at];
}

/// Returns a pixel along one axis: the one at number / strata of the way, where number is a stratum plus a random
/// offset in [0, 1).
GF_FN uint32_t pixel_in(float number, uint32_t strata, uint32_t size) {
    return min_of((uint32_t)(number / (float)strata * (float)size), size - 1);
}

}  // namespace

// One item per sample: a random pixel of its stratum, at the pixel's centre. Consecutive samples lie close to each
// other, and so do the nodes that they read.
GF_ITEM_KERNEL(draw_pixels, DrawPixelsArgs) {
    const uint32_t number = a.first_sample + i;
    const Random4 draw = random_draw(a.seed, RANDOM_IMAGE_PIXEL, a.step, number);
    const bool has_stratum = number < a.columns * a.rows;
    const float u = random_unit(draw.x[0]), v = random_unit(draw.x[1]);
    const uint32_t x = has_stratum ? pixel_in((float)(number % a.columns) + u, a.columns, a.width)
                                   : random_below(draw.x[0], a.width);
    const uint32_t y = has_stratum ? pixel_in((float)(number / a.columns) + v, a.rows, a.height)
                                   : random_below(draw.x[1], a.height);
    a.position[2 * (size_t)i] = ((float)x + 0.5f) / (float)a.width;
    a.position[2 * (size_t)i + 1] = ((float)y + 0.5f) / (float)a.height;
    const size_t pixel = (size_t)y * a.width + x;
    for (uint32_t c = 0; c < a.n_channels; ++c)
        a.target[(size_t)i * a.n_channels + c] = channel(a, pixel * a.n_channels + c);
}

// One item per pixel of a rendered image.
GF_ITEM_KERNEL(pixel_centers, PixelCentersArgs) {
    const uint32_t pixel = a.first_pixel + i;
    a.position[2 * (size_t)i] = a.origin[0] + a.step[0] * ((float)(pixel % a.width) + 0.5f);
    a.position[2 * (size_t)i + 1] = a.origin[1] + a.step[1] * ((float)(pixel / a.width) + 0.5f);
}
