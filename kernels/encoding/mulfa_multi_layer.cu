// MulFAGrid in training with a kernel function of more than one layer.
#define GF_LEAST_BLOCKS 1
#include "encoding/mulfa_multi_layer.cuh"

GF_TILE_KERNEL(mulfa_multi_layer_encode_2d, MulfaArgs, LayeredShared) {
    choose_tile<2, LayeredValues>(a, tile, shared, false);
}
GF_TILE_KERNEL(mulfa_multi_layer_encode_3d, MulfaArgs, LayeredShared) {
    choose_tile<3, LayeredValues>(a, tile, shared, false);
}
GF_TILE_KERNEL(mulfa_multi_layer_backward_2d, MulfaArgs, LayeredShared) {
    choose_tile<2, LayeredValues>(a, tile, shared, true);
}
GF_TILE_KERNEL(mulfa_multi_layer_backward_3d, MulfaArgs, LayeredShared) {
    choose_tile<3, LayeredValues>(a, tile, shared, true);
}
