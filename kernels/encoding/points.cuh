// Scattered nodes. At x, the k nearest nodes within the reach 3 h are active. They are weighted by a Gaussian of their
// distance, minus its value at the reach so that it fades out there:
//   e_i     = exp(-|x - p_i|^2 / (2 h^2)) - c          c = exp(-9 / 2), e_i = 0 where |x - p_i| > 3 h
//   phi_i   = e_i / (sum e + c)
//   phi_out = c / (sum e + c)                          weight of one more row of features, for everything out of reach
// The weights add up to 1 everywhere, also far from all nodes, where only the last row is left. Without it, a point in
// empty space would take the features of a surface far away.
#pragma once
#include "args.h"
#include "core/sincos.cuh"
#include "core/tile.cuh"

#define GF_REACH 3.0f                // in bandwidths
#define GF_OUT_OF_REACH 0.011108996538242306  // exp(-GF_REACH^2 / 2)

namespace {

GF_FN float root(float x) { return sqrtf(x); }
GF_FN double root(double x) { return sqrt(x); }

/// Converts a point [D] to a point in space.
template <typename T> GF_FN void place_of(const PointSet& points, const T* position, T x[3]) {
    for (uint32_t k = 0; k < 3; ++k) x[k] = k < points.dimensions ? position[k] : (T)0.5;
}

/// The nearest nodes found so far, by increasing distance. Slots past k are never filled.
template <typename T> struct Nearest {
    T distance2[GF_NEAREST];
    uint32_t node[GF_NEAREST];

    GF_FN Nearest(const PointSet& points) {
        const T reach = (T)GF_REACH * (T)points.bandwidth;
        GF_UNROLL
        for (uint32_t n = 0; n < GF_NEAREST; ++n) {
            distance2[n] = n < points.k ? reach * reach : (T)-1;
            node[n] = points.n_nodes;
        }
    }

    /// Returns the squared distance below which a node is inserted.
    GF_FN T worst(uint32_t k) const {
        T worst = distance2[0];
        GF_UNROLL
        for (uint32_t n = 1; n < GF_NEAREST; ++n) worst = n < k ? distance2[n] : worst;
        return worst;
    }

    GF_FN void insert(T d2, uint32_t i) {
        GF_UNROLL
        for (uint32_t n = 0; n < GF_NEAREST; ++n) {
            const bool nearer = d2 < distance2[n];
            const T pushed_d2 = nearer ? distance2[n] : d2;
            const uint32_t pushed = nearer ? node[n] : i;
            distance2[n] = nearer ? d2 : distance2[n];
            node[n] = nearer ? i : node[n];
            d2 = pushed_d2;
            i = pushed;
        }
    }
};

/// A nearest-neighbour search around one point, by shells of cells.
template <typename T> struct Search {
    const PointSet& points;
    const T* x;
    int32_t resolution;
    T side;
    int32_t cell[3];
    Nearest<T> found;

    GF_FN Search(const PointSet& points, const T x[3])
        : points(points), x(x), resolution((int32_t)points.resolution), side((T)1 / (T)points.resolution), found(points) {
        GF_UNROLL
        for (int k = 0; k < 3; ++k) cell[k] = clamp_to((int32_t)(x[k] * (T)points.resolution), 0, resolution - 1);
    }

    /// Returns the distance along one axis from the point to a cell.
    GF_FN T gap(int axis, int32_t c) const {
        const T low = (T)c * side;
        return max_of(max_of(low - x[axis], x[axis] - (low + side)), (T)0);
    }

    /// Visits the nodes in cells [begin, end] of a row along x that may be near enough. `gap2` is the squared distance
    /// from the point to the row across the other two axes.
    GF_FN void visit(int32_t begin, int32_t end, int32_t y, int32_t z, T gap2) {
        const T left = found.worst(points.k) - gap2;
        if (!(left > (T)0)) return;
        const T reach = root(left) * (T)points.resolution, u = x[0] * (T)points.resolution;
        begin = max_of(max_of(begin, 0), (int32_t)max_of(u - reach - (T)1e-3, (T)0));
        end = min_of(min_of(end, resolution - 1), (int32_t)(u + reach + (T)1e-3));
        if (begin > end) return;
        const size_t row = (size_t)(y + resolution * z) * points.resolution;
        const uint32_t last = points.first[row + end + 1];
        T worst = found.worst(points.k);
        GF_ROLLED
        for (uint32_t i = points.first[row + begin]; i < last; ++i) {
            T d2 = (T)0;
            GF_UNROLL
            for (int k = 0; k < 3; ++k) {
                const T offset = x[k] - (T)points.node[3 * (size_t)i + k];
                d2 += offset * offset;
            }
            if (!(d2 < worst)) continue;
            found.insert(d2, i);
            worst = found.worst(points.k);
        }
    }

    /// Visits the cells whose largest offset from the point's own cell is r.
    GF_FN void visit_shell(int32_t r) {
        GF_ROLLED
        for (int32_t dz = -r; dz <= r; ++dz) {
            const int32_t z = cell[2] + dz;
            if (z < 0 || z >= resolution) continue;
            const T gap_z = gap(2, z);
            GF_ROLLED
            for (int32_t dy = -r; dy <= r; ++dy) {
                const int32_t y = cell[1] + dy;
                if (y < 0 || y >= resolution) continue;
                const T gap_y = gap(1, y), gap2 = gap_y * gap_y + gap_z * gap_z;
                const bool whole = dz == -r || dz == r || dy == -r || dy == r;
                // Of an inner row, only the two ends belong to this shell.
                GF_ROLLED
                for (int32_t part = 0; part < (whole ? 1 : 2); ++part)
                    visit(part ? cell[0] + r : cell[0] - r, whole || part ? cell[0] + r : cell[0] - r, y, z, gap2);
            }
        }
    }

    /// Returns the distance from the point within which all cells have been visited after shell r. The faces of the
    /// cube do not limit it.
    GF_FN T seen(int32_t r) const {
        T nearest = (T)4;
        GF_UNROLL
        for (int k = 0; k < 3; ++k) {
            if (cell[k] - r > 0) nearest = min_of(nearest, x[k] - (T)(cell[k] - r) * side);
            if (cell[k] + r + 1 < resolution) nearest = min_of(nearest, (T)(cell[k] + r + 1) * side - x[k]);
        }
        return nearest;
    }

    GF_FN void run() {
        GF_ROLLED
        for (int32_t r = 0; r < resolution; ++r) {
            visit_shell(r);
            const T all = seen(r);
            if (all * all >= found.worst(points.k)) break;
        }
    }
};

/// The active nodes of a point and their weights; phi[GF_NEAREST] is the weight of everything out of reach.
template <typename T> struct ActivePoints {
    uint32_t node[GF_NEAREST];
    T gaussian[GF_NEAREST];  // exp(-d^2 / (2 h^2)), 0 where there is no node
    T phi[GF_NEAREST + 1];
    T total;                 // sum e + c

    GF_FN ActivePoints(const PointSet& points, const T x[3]) {
        Search<T> search(points, x);
        search.run();
        const T out = (T)GF_OUT_OF_REACH, factor = (T)-0.5 / ((T)points.bandwidth * (T)points.bandwidth);
        total = out;
        GF_UNROLL
        for (int n = 0; n < GF_NEAREST; ++n) {
            node[n] = search.found.node[n];
            const bool active = node[n] != points.n_nodes;
            gaussian[n] = active ? exponential(factor * search.found.distance2[n]) : (T)0;
            phi[n] = active ? max_of(gaussian[n] - out, (T)0) : (T)0;
            total += phi[n];
        }
        GF_UNROLL
        for (int n = 0; n < GF_NEAREST; ++n) phi[n] /= total;
        phi[GF_NEAREST] = out / total;
    }

    /// Computes dL/dx from dL/dphi [GF_NEAREST + 1]; the choice of nodes is treated as constant.
    GF_FN void position_gradient(const PointSet& points, const T x[3], const T* dL_dphi, T dL_dx[3]) const {
        T mean = (T)0;
        GF_UNROLL
        for (int n = 0; n <= GF_NEAREST; ++n) mean += phi[n] * dL_dphi[n];
        GF_UNROLL
        for (int k = 0; k < 3; ++k) dL_dx[k] = (T)0;
        GF_UNROLL
        for (int n = 0; n < GF_NEAREST; ++n) {
            if (!(phi[n] > (T)0)) continue;
            const T slope = -gaussian[n] / ((T)points.bandwidth * (T)points.bandwidth) * (dL_dphi[n] - mean) / total;
            GF_UNROLL
            for (int k = 0; k < 3; ++k) dL_dx[k] += slope * (x[k] - (T)points.node[3 * (size_t)node[n] + k]);
        }
    }
};

}  // namespace
