// Real spherical harmonics of a unit direction, degrees 1 to 4 (bands 0 to 3): 1, 4, 9 or 16 values, ordered by band
// and then by m from -l to l, with the Condon-Shortley signs of Instant-NGP. Checked against tests/vectors.
#pragma once
#include "core/target.cuh"

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

/// dL_dd[k] += sum_i dL_dbasis[i] d basis[i] / d d[k], for the polynomials above, also where d is not of length 1.
GF_FN void add_harmonics_gradient(const float d[3], uint32_t degree, const float g[16], float dL_dd[3]) {
    const float x = d[0], y = d[1], z = d[2];
    if (degree < 2) return;
    const float c1 = 0.48860251190291987f;
    dL_dd[0] -= c1 * g[3];
    dL_dd[1] -= c1 * g[1];
    dL_dd[2] += c1 * g[2];
    if (degree < 3) return;
    const float c2 = 1.0925484305920792f, c20 = 0.94617469575756008f, c22 = 0.54627421529603959f;
    dL_dd[0] += c2 * (y * g[4] - z * g[7]) + 2.0f * c22 * x * g[8];
    dL_dd[1] += c2 * (x * g[4] - z * g[5]) - 2.0f * c22 * y * g[8];
    dL_dd[2] += c2 * (-y * g[5] - x * g[7]) + 2.0f * c20 * z * g[6];
    if (degree < 4) return;
    const float a = 0.59004358992664352f, b = 2.8906114426405538f, c = 0.45704579946446572f, e = 0.3731763325901154f,
                h = 1.4453057213202769f;
    const float xx = x * x, yy = y * y, zz = z * z;
    dL_dd[0] += -6.0f * a * x * y * g[9] + b * y * z * g[10] + c * (1.0f - 5.0f * zz) * g[13] + 2.0f * h * x * z * g[14] +
                3.0f * a * (yy - xx) * g[15];
    dL_dd[1] += 3.0f * a * (yy - xx) * g[9] + b * x * z * g[10] + c * (1.0f - 5.0f * zz) * g[11] - 2.0f * h * y * z * g[14] +
                6.0f * a * x * y * g[15];
    dL_dd[2] += b * x * y * g[10] - 10.0f * c * z * (y * g[11] + x * g[13]) + e * (15.0f * zz - 3.0f) * g[12] +
                h * (xx - yy) * g[14];
}

}  // namespace
