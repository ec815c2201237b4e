// Distances to a mesh and its winding numbers, by a bounding volume hierarchy of boxes with eight children per node
// (src/mesh/bvh/build.rs).
//
// Distance: depth first, nearest child first, skipping boxes that are farther than the nearest triangle found so far.
// Winding number: Barill, Dym, Schmidt, Levin and Jacobson, "Fast winding numbers for soups and clouds" (SIGGRAPH
// 2018): far children count as dipoles, near triangles by their solid angle.
#pragma once
#include "args.h"
#include "core/tile.cuh"
#include "core/simd.cuh"

namespace {

/// Stack of nodes still to be visited: one column per thread of a block; the host handles one point at a time.
#if GF_SIMT
#define GF_STACK_COLUMNS GF_TILE
#else
#define GF_STACK_COLUMNS 1
#endif

struct BvhStack {
    uint32_t node[GF_BVH_STACK * GF_STACK_COLUMNS];
    float distance2[GF_BVH_STACK * GF_STACK_COLUMNS];

    GF_FN static uint32_t at(uint32_t s, uint32_t height) {
        return height * GF_STACK_COLUMNS + (GF_STACK_COLUMNS > 1 ? s : 0);
    }
};

GF_FN wide3 wide_point(const float p[3]) { return {wide_of(p[0]), wide_of(p[1]), wide_of(p[2])}; }

/// Returns the squared distances to boxes, columns [6, 8]; infinite for missing children.
GF_FN wide box_distance2(const float* bounds, wide3 p) {
    const wide3 low = load_wide3(bounds) - p, high = p - load_wide3(bounds + 3 * GF_GROUP);
    const wide zero = wide_of(0.0f);
    const wide3 out = {wide_max(wide_max(low.x, high.x), zero), wide_max(wide_max(low.y, high.y), zero),
                       wide_max(wide_max(low.z, high.z), zero)};
    return dot(out, out);
}

/// Returns the squared distance to an edge from a point that is given relative to the start of the edge.
GF_FN wide edge_distance2(wide3 edge, wide3 p) {
    const wide along = dot(edge, p) / wide_max(dot(edge, edge), wide_of(1e-37f));
    const wide3 apart = p - edge * wide_min(wide_max(along, wide_of(0.0f)), wide_of(1.0f));
    return dot(apart, apart);
}

/// Returns the squared distances to triangles, columns [9, 8]: to the plane if the point projects into the triangle,
/// otherwise to the nearest edge. Triangles without area only have edges.
GF_FN wide triangle_distance2(const float* corner, wide3 p) {
    const wide3 a = load_wide3(corner), b = load_wide3(corner + 3 * GF_GROUP), c = load_wide3(corner + 6 * GF_GROUP);
    const wide3 ab = b - a, bc = c - b, ca = a - c, ap = p - a, bp = p - b, cp = p - c;
    const wide3 normal = cross(ab, bc);
    const wide outside = wide_max(wide_max(dot(cross(ab, normal), ap), dot(cross(bc, normal), bp)), dot(cross(ca, normal), cp));
    const wide above = dot(normal, ap), area2 = dot(normal, normal);
    const wide edges = wide_min(wide_min(edge_distance2(ab, ap), edge_distance2(bc, bp)), edge_distance2(ca, cp));
    const wide plane = above * above / wide_max(area2, wide_of(1e-37f));
    return outside < 0.0f ? plane : edges;
}

/// Returns half the solid angles of triangles as seen from p, positive from inside (Van Oosterom and Strackee, "The
/// solid angle of a plane triangle", 1983, equation 8).
GF_FN wide half_solid_angle(const float* corner, wide3 p) {
    const wide3 a = load_wide3(corner) - p, b = load_wide3(corner + 3 * GF_GROUP) - p,
                c = load_wide3(corner + 6 * GF_GROUP) - p;
    const wide la = wide_sqrt(dot(a, a)), lb = wide_sqrt(dot(b, b)), lc = wide_sqrt(dot(c, c));
    const wide volume = dot(a, cross(b, c));
    return wide_atan2(volume, la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb);
}

/// Returns the squared distance to the nearest triangle and sets `hit` to its index, eight times block plus lane. If no
/// triangle is nearer than `best`, returns `best` and leaves `hit` unchanged.
GF_FN float nearest_distance2(const Bvh& bvh, const float point[3], float best, uint32_t& hit, BvhStack& stack, uint32_t s) {
    const wide3 p = wide_point(point);
    uint32_t height = 0, node = 0;
    while (true) {
        const float* bounds = bvh.bounds + (size_t)node * (6 * GF_GROUP);
        const uint32_t* child = bvh.child + (size_t)node * GF_GROUP;
        // The nearest inner child is visited next; the others go on the stack.
        uint32_t next = GF_BVH_NONE;
        float next_distance2 = 0.0f;
        for (int c = 0; c < GF_GROUP; c += GF_AT_ONCE) {
            const wide distances2 = box_distance2(bounds + c, p);
            for (int lane = 0; lane < GF_AT_ONCE; ++lane) {
                float distance2 = lane_of(distances2, lane);
                uint32_t other = child[c + lane];
                if (!(distance2 < best)) continue;
                if (other & GF_BVH_LEAF) {
                    const uint32_t block = other & ~GF_BVH_LEAF;
                    for (int t = 0; t < GF_GROUP; t += GF_AT_ONCE) {
                        const wide found = triangle_distance2(bvh.corner + (size_t)block * (9 * GF_GROUP) + t, p);
                        for (int l = 0; l < GF_AT_ONCE; ++l) {
                            if (!(lane_of(found, l) < best)) continue;
                            best = lane_of(found, l);
                            hit = block * GF_GROUP + (uint32_t)(t + l);
                        }
                    }
                    continue;
                }
                if (next != GF_BVH_NONE) {
                    const bool is_nearer = distance2 < next_distance2;
                    const uint32_t top = BvhStack::at(s, height++);
                    stack.node[top] = is_nearer ? next : other;
                    stack.distance2[top] = is_nearer ? next_distance2 : distance2;
                    if (!is_nearer) continue;
                }
                next = other;
                next_distance2 = distance2;
            }
        }
        if (next != GF_BVH_NONE && next_distance2 < best) {
            node = next;
            continue;
        }
        do {
            if (height == 0) return best;
            --height;
        } while (!(stack.distance2[BvhStack::at(s, height)] < best));
        node = stack.node[BvhStack::at(s, height)];
    }
}

/// Returns the winding number of the mesh around a point: 1 inside a closed mesh, 0 outside. Triangles whose bounding
/// sphere is farther away than `accuracy` times its radius count as one dipole (Barill et al., equation 6 and section
/// 4).
GF_FN float winding_number(const Bvh& bvh, const float point[3], float accuracy, BvhStack& stack, uint32_t s) {
    const wide3 p = wide_point(point);
    const wide zero = wide_of(0.0f);
    wide dipoles = zero, angles = zero;
    uint32_t height = 0, node = 0;
    while (true) {
        const float* dipole = bvh.dipole + (size_t)node * (7 * GF_GROUP);
        const uint32_t* child = bvh.child + (size_t)node * GF_GROUP;
        for (int c = 0; c < GF_GROUP; c += GF_AT_ONCE) {
            const wide3 towards = load_wide3(dipole + c) - p, area = load_wide3(dipole + 3 * GF_GROUP + c);
            const wide distance2 = dot(towards, towards);
            const wide reach2 = load_wide(dipole + 6 * GF_GROUP + c) * (accuracy * accuracy);
            // Near children are resolved into their triangles. A missing child has a reach of -1 and no area.
            const wide far = distance2 - reach2;
            const wide dipole_term = dot(towards, area) / (distance2 * wide_sqrt(wide_max(distance2, wide_of(1e-37f))));
            dipoles += far > 0.0f ? dipole_term : zero;
            for (int lane = 0; lane < GF_AT_ONCE; ++lane) {
                if (lane_of(far, lane) > 0.0f) continue;
                const uint32_t near = child[c + lane];
                if (!(near & GF_BVH_LEAF)) {
                    stack.node[BvhStack::at(s, height++)] = near;
                    continue;
                }
                const float* corner = bvh.corner + (size_t)(near & ~GF_BVH_LEAF) * (9 * GF_GROUP);
                for (int t = 0; t < GF_GROUP; t += GF_AT_ONCE) angles += half_solid_angle(corner + t, p);
            }
        }
        if (height == 0) break;
        node = stack.node[BvhStack::at(s, --height)];
    }
    float sum = 0.0f;
    for (int lane = 0; lane < GF_AT_ONCE; ++lane) sum += lane_of(dipoles, lane) + 2.0f * lane_of(angles, lane);
    return sum * 0.07957747154594767f;  // 1 / 4 pi
}

}  // namespace
