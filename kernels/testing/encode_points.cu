// The encoding alone, in fp32 and fp64, forward and backward: what the oracle computes.
#define GF_LEAST_BLOCKS 1
#include "encoding/encode.cuh"

namespace {

template <typename T, int D> GF_FN T level_scale(const EncodeArgs& a, uint32_t l) {
    return sizeof(T) == 8 ? (T)a.scale[l] : (T)a.grid.levels[l].scale;
}

template <typename T, int D, int F> GF_FN void encode_point(const EncodeArgs& a, uint32_t i) {
    const T* x = (const T*)a.position + (size_t)i * D;
    const T share = level_share<T>(a.grid);
    T* features = (T*)a.features + (size_t)i * feature_sets(a.grid) * F;
    for (uint32_t l = 0; l < a.grid.n_levels; ++l) {
        const GridLevel& level = a.grid.levels[l];
        T own[D], found[F];
        level_point<T, D>(level, x, own);
        gather<T, D, F>(active_nodes<T, D>(level, level_scale<T, D>(a, l), a.grid.kernel, own), (const T*)a.table, found);
        T* set = features + feature_set(a.grid, l) * F;
        for (int f = 0; f < F; ++f) set[f] = (a.grid.averaged && l ? set[f] : (T)0) + share * found[f];
    }
}

template <typename T, int D, int F> GF_FN void encode_point_backward(const EncodeArgs& a, uint32_t i) {
    const T* x = (const T*)a.position + (size_t)i * D;
    const T share = level_share<T>(a.grid);
    const T* dL_dfeatures = (const T*)a.dL_dfeatures + (size_t)i * feature_sets(a.grid) * F;
    T dL_dx[D] = {};
    GF_ROLLED
    for (uint32_t l = 0; l < a.grid.n_levels; ++l) {
        const GridLevel& level = a.grid.levels[l];
        const T scale = level_scale<T, D>(a, l);
        T own[D], values[F];
        level_point<T, D>(level, x, own);
        for (int f = 0; f < F; ++f) values[f] = share * dL_dfeatures[feature_set(a.grid, l) * F + f];
        scatter<T, D, F>(active_nodes<T, D>(level, scale, a.grid.kernel, own), values, (T*)a.dL_dtable);
        add_position_gradient<T, D, F>(level, scale, a.grid.kernel, x, (const T*)a.table, values, dL_dx);
    }
    for (int k = 0; k < D; ++k) ((T*)a.dL_dposition)[(size_t)i * D + k] = dL_dx[k];
}

}  // namespace

// 2D and 3D points with two features per level, as in the oracle. One item per point.
GF_ITEM_KERNEL(encode_2d_f32, EncodeArgs) { encode_point<float, 2, 2>(a, i); }
GF_ITEM_KERNEL(encode_3d_f32, EncodeArgs) { encode_point<float, 3, 2>(a, i); }
GF_ITEM_KERNEL(encode_2d_f64, EncodeArgs) { encode_point<double, 2, 2>(a, i); }
GF_ITEM_KERNEL(encode_3d_f64, EncodeArgs) { encode_point<double, 3, 2>(a, i); }
GF_ITEM_KERNEL(encode_backward_2d_f64, EncodeArgs) { encode_point_backward<double, 2, 2>(a, i); }
GF_ITEM_KERNEL(encode_backward_3d_f64, EncodeArgs) { encode_point_backward<double, 3, 2>(a, i); }
