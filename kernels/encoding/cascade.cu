// The cascade of levels, in place on the features of all levels: for up to 64 and up to 128 features.
#define GF_LEAST_BLOCKS 1  // shared memory leaves room for only a few blocks
#include "encoding/cascade.cuh"

GF_TILE_KERNEL(cascade_forward_64, CascadeArgs, CascadeShared<64>) { cascade_forward_tile(a, shared, tile); }
GF_TILE_KERNEL(cascade_forward_128, CascadeArgs, CascadeShared<128>) { cascade_forward_tile(a, shared, tile); }
GF_TILE_KERNEL(cascade_backward_64, CascadeArgs, CascadeBackwardShared<64>) {
    cascade_backward_tile(a, shared, tile);
}
GF_TILE_KERNEL(cascade_backward_128, CascadeArgs, CascadeBackwardShared<128>) {
    cascade_backward_tile(a, shared, tile);
}
