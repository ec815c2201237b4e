// MulFAGrid in training, where the kernel function has more than one layer.
#define GF_LEAST_BLOCKS 1
#include "grid/mulfa_multi_layer.cuh"

GF_TILE_KERNEL(mulfa_multi_layer_encode_2d, MulfaArgs, LayeredShared) {
    (void)j;
    choose_tile<2, LayeredValues>(a, tile, shared, false);
}
GF_TILE_KERNEL(mulfa_multi_layer_encode_3d, MulfaArgs, LayeredShared) {
    (void)j;
    choose_tile<3, LayeredValues>(a, tile, shared, false);
}
GF_TILE_KERNEL(mulfa_multi_layer_backward_2d, MulfaArgs, LayeredShared) {
    (void)j;
    choose_tile<2, LayeredValues>(a, tile, shared, true);
}
GF_TILE_KERNEL(mulfa_multi_layer_backward_3d, MulfaArgs, LayeredShared) {
    (void)j;
    choose_tile<3, LayeredValues>(a, tile, shared, true);
}
