// The bands of a Fourier grid: a level is looked up not at x but at one band of
//   gamma(x) = (x, sin y, cos y, sin 2 y, cos 2 y, ..., sin 2^k y, cos 2^k y),   y = 2 x - 1,
// axis by axis, with the values of [-1, 1] brought to [0, 1]. Band 0 is x itself, band 2 k + 1 the sine and band 2 k + 2 the
// cosine of 2^k y. The released FourierGrid of Zhao et al. (CVPR 2024): one dense grid a band, their features averaged.
#pragma once
#include "../args.h"
#include "../sincos.cuh"

namespace {

GF_FN float band_frequency(uint32_t band) { return (float)(1u << ((band - 1u) / 2u)); }

/// The band's coordinate of x, in [0, 1].
template <typename T> GF_FN T band_coordinate(uint32_t band, T x) {
    if (band == 0) return x;
    T sine, cosine;
    sin_cos((T)band_frequency(band) * ((T)2 * x - (T)1), sine, cosine);
    return clamp_to((T)0.5 + (T)0.5 * ((band & 1u) ? sine : cosine), (T)0, (T)1);
}

template <typename T> GF_FN T band_derivative(uint32_t band, T x) {
    if (band == 0) return (T)1;
    const T frequency = (T)band_frequency(band);
    T sine, cosine;
    sin_cos(frequency * ((T)2 * x - (T)1), sine, cosine);
    return frequency * ((band & 1u) ? cosine : -sine);
}

/// Where a level is looked up for the point x.
template <typename T, int D> GF_FN void level_point(const GridLevel& level, const T x[D], T own[D]) {
    GF_UNROLL
    for (int k = 0; k < D; ++k) own[k] = band_coordinate(level.band, x[k]);
}

/// Sets of F features that the grid gives, and the one that a level adds to.
GF_FN uint32_t feature_sets(const GridLayout& grid) { return grid.averaged ? 1 : grid.n_levels; }
GF_FN uint32_t feature_set(const GridLayout& grid, uint32_t l) { return grid.averaged ? 0 : l; }

/// How much a level's features count in its set.
template <typename T> GF_FN T level_share(const GridLayout& grid) {
    return grid.averaged ? (T)1 / (T)grid.n_levels : (T)1;
}

}  // namespace
