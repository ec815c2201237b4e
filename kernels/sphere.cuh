// Real spherical harmonics of a unit direction, degrees 1 to 4 (bands 0 to 3): 1, 4, 9 or 16 values, ordered by band and
// then by m from -l to l, with the Condon-Shortley signs of Instant-NGP. Checked against tests/vectors.
#pragma once
#include "target.cuh"

namespace {

template <typename T> GF_FN void spherical_harmonics(const T d[3], uint32_t degree, T basis[16]) {
    const T x = d[0], y = d[1], z = d[2];
    for (int i = 0; i < 16; ++i) basis[i] = (T)0;
    basis[0] = (T)0.28209479177387814;
    if (degree < 2) return;
    basis[1] = (T)-0.48860251190291987 * y;
    basis[2] = (T)0.48860251190291987 * z;
    basis[3] = (T)-0.48860251190291987 * x;
    if (degree < 3) return;
    const T xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
    basis[4] = (T)1.0925484305920792 * xy;
    basis[5] = (T)-1.0925484305920792 * yz;
    basis[6] = (T)0.94617469575756008 * zz - (T)0.31539156525251999;
    basis[7] = (T)-1.0925484305920792 * xz;
    basis[8] = (T)0.54627421529603959 * (xx - yy);
    if (degree < 4) return;
    basis[9] = (T)0.59004358992664352 * y * (yy - (T)3 * xx);
    basis[10] = (T)2.8906114426405538 * xy * z;
    basis[11] = (T)0.45704579946446572 * y * ((T)1 - (T)5 * zz);
    basis[12] = (T)0.3731763325901154 * z * ((T)5 * zz - (T)3);
    basis[13] = (T)0.45704579946446572 * x * ((T)1 - (T)5 * zz);
    basis[14] = (T)1.4453057213202769 * z * (xx - yy);
    basis[15] = (T)0.59004358992664352 * x * ((T)3 * yy - xx);
}

}  // namespace
