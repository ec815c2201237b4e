// Gradients of the kernel function of a point set with respect to positions: compared with finite differences.
#define GF_LEAST_BLOCKS 1
#include "encoding/points.cuh"

// One item per point.
GF_ITEM_KERNEL(points_nodes_backward_f64, PointsNodesArgs) {
    double x[3];
    place_of(a.points, a.position + a.points.dimensions * (size_t)i, x);
    const ActivePoints<double> active(a.points, x);
    double dL_dphi[GF_NEAREST + 1], dL_dx[3];
    GF_UNROLL
    for (int n = 0; n <= GF_NEAREST; ++n) dL_dphi[n] = a.dL_dphi[(size_t)i * (GF_NEAREST + 1) + n];
    active.position_gradient(a.points, x, dL_dphi, dL_dx);
    GF_UNROLL
    for (uint32_t k = 0; k < 3; ++k)
        if (k < a.points.dimensions) a.dL_dposition[a.points.dimensions * (size_t)i + k] = dL_dx[k];
}
