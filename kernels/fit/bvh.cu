// Distances to a mesh and their signs, by the tree in bvh.cuh.
#include "fit/bvh.cuh"

// Computes the unsigned distance of each point. A known upper bound prunes the search.
GF_TILE_KERNEL(bvh_distance, BvhArgs, BvhStack) {
    const uint32_t first = tile * GF_TILE;
    GF_FOR_EACH_IN_TILE(s, min_of(a.n - first, (uint32_t)GF_TILE)) {
        const size_t i = (size_t)first + s;
        const float point[3] = {a.position[3 * i], a.position[3 * i + 1], a.position[3 * i + 2]};
        // The margin keeps rounding from excluding the triangle that the bound comes from.
        const float bound = a.bound ? a.bound[i] * 1.0001f + 1e-6f : 1e18f;
        uint32_t hit = GF_BVH_NONE;
        const float best = nearest_distance2(a.bvh, point, bound * bound, hit, shared, s);
        a.distance[i] = hit == GF_BVH_NONE ? bound : sqrtf(best);
        if (a.triangle) a.triangle[i] = hit == GF_BVH_NONE ? GF_BVH_NONE : a.bvh.triangle[hit];
    }
}

// Computes the winding number of each point, or negates the point's distance where the winding number says inside, or
// both.
GF_TILE_KERNEL(bvh_winding, BvhArgs, BvhStack) {
    const uint32_t first = tile * GF_TILE;
    GF_FOR_EACH_IN_TILE(s, min_of(a.n - first, (uint32_t)GF_TILE)) {
        const size_t i = (size_t)first + s;
        const float point[3] = {a.position[3 * i], a.position[3 * i + 1], a.position[3 * i + 2]};
        const float winding = winding_number(a.bvh, point, a.accuracy, shared, s);
        if (a.winding) a.winding[i] = winding;
        if (a.distance && winding > 0.5f) a.distance[i] = -a.distance[i];
    }
}
