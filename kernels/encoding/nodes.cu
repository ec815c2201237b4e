// The active nodes alone: the rows of Phi, and the gradients of the kernel function. For analysis.
#define GF_LEAST_BLOCKS 1
#include "encoding/nodes.cuh"

// One item per point.
GF_ITEM_KERNEL(active_nodes_1d_f64, ActiveNodesArgs) { active_nodes_point<double, 1>(a, i); }
GF_ITEM_KERNEL(active_nodes_2d_f64, ActiveNodesArgs) { active_nodes_point<double, 2>(a, i); }
GF_ITEM_KERNEL(active_nodes_3d_f64, ActiveNodesArgs) { active_nodes_point<double, 3>(a, i); }
GF_ITEM_KERNEL(active_nodes_backward_1d_f64, ActiveNodesArgs) { active_nodes_point_backward<double, 1>(a, i); }
GF_ITEM_KERNEL(active_nodes_backward_2d_f64, ActiveNodesArgs) { active_nodes_point_backward<double, 2>(a, i); }
GF_ITEM_KERNEL(active_nodes_backward_3d_f64, ActiveNodesArgs) { active_nodes_point_backward<double, 3>(a, i); }
