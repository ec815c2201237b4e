// The active nodes alone in fp32, the arithmetic of training: compared with the oracle.
#define GF_LEAST_BLOCKS 1
#include "encoding/nodes.cuh"

// One item per point.
GF_ITEM_KERNEL(active_nodes_1d_f32, ActiveNodesArgs) { active_nodes_point<float, 1>(a, i); }
GF_ITEM_KERNEL(active_nodes_2d_f32, ActiveNodesArgs) { active_nodes_point<float, 2>(a, i); }
GF_ITEM_KERNEL(active_nodes_3d_f32, ActiveNodesArgs) { active_nodes_point<float, 3>(a, i); }
