// The bands of a Fourier grid. A level is not looked up at x but at one band of
//   gamma(x) = (x, sin y, cos y, sin 2 y, cos 2 y, ..., sin 2^k y, cos 2^k y),   y = 2 x - 1,
// axis by axis, with values in [-1, 1] mapped to [0, 1]. Band 0 is x itself, band 2 k + 1 is the sine and band 2 k + 2
// the cosine of 2^k y. This is the released FourierGrid of Zhao et al. (CVPR 2024): one dense grid per band, with
// averaged features.
#pragma once
#include "args.h"
#include "core/sincos.cuh"

namespace {

GF_FN float band_frequency(uint32_t band) { return (float)(1u << ((band - 1u) / 2u)); }

/// Returns the band's coordinate of x, in [0, 1].
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

/// Computes the coordinates at which a level is looked up for the point x.
template <typename T, int D> GF_FN void level_point(const GridLevel& level, const T x[D], T own[D]) {
    GF_UNROLL
    for (int k = 0; k < D; ++k) own[k] = band_coordinate(level.band, x[k]);
}

/// Number of sets of F features that the grid outputs, and (below) the index of the set that a level adds to.
GF_FN uint32_t feature_sets(const GridLayout& grid) { return grid.averaged ? 1 : grid.n_levels; }
GF_FN uint32_t feature_set(const GridLayout& grid, uint32_t l) { return grid.averaged ? 0 : l; }

/// Weight of a level's features in its set.
template <typename T> GF_FN T level_share(const GridLayout& grid) {
    return grid.averaged ? (T)1 / (T)grid.n_levels : (T)1;
}

}  // namespace
