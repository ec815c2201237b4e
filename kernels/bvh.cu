// Distances to a mesh and their signs.
#include "bvh.cuh"

// Unsigned distance of each point; a known bound spares the search what lies beyond.
GF_TILE_KERNEL(bvh_distance, BvhArgs, BvhStack) {
    (void)j;
    const uint32_t first = tile * GF_TILE;
    GF_FOR_EACH_IN_TILE(s, min_of(a.n - first, (uint32_t)GF_TILE)) {
        const size_t i = (size_t)first + s;
        const float point[3] = {a.position[3 * i], a.position[3 * i + 1], a.position[3 * i + 2]};
        // Rounding must not put the triangle that the bound comes from beyond it.
        const float bound = a.bound ? a.bound[i] * 1.0001f + 1e-6f : 1e18f;
        uint32_t hit = GF_BVH_NONE;
        const float best = nearest_distance2(a.bvh, point, bound * bound, hit, shared, s);
        a.distance[i] = hit == GF_BVH_NONE ? bound : sqrtf(best);
        if (a.triangle) a.triangle[i] = hit == GF_BVH_NONE ? GF_BVH_NONE : a.bvh.triangle[hit];
    }
}

// The winding number of each point, or the sign that it gives to the point's distance: negative inside.
GF_TILE_KERNEL(bvh_winding, BvhArgs, BvhStack) {
    (void)j;
    const uint32_t first = tile * GF_TILE;
    GF_FOR_EACH_IN_TILE(s, min_of(a.n - first, (uint32_t)GF_TILE)) {
        const size_t i = (size_t)first + s;
        const float point[3] = {a.position[3 * i], a.position[3 * i + 1], a.position[3 * i + 2]};
        const float winding = winding_number(a.bvh, point, a.accuracy, shared, s);
        if (a.winding) a.winding[i] = winding;
        if (a.distance && winding > 0.5f) a.distance[i] = -a.distance[i];
    }
}
