// Real spherical harmonics of a unit direction, degrees 1 to 6 (bands 0 to 5): 1, 4, 9, 16, 25 or 36 values, ordered by
// band and then by m from -l to l, with the Condon-Shortley signs of Instant-NGP. Checked against tests/vectors.
#pragma once
#include "core/target.cuh"

namespace {

/// Real and imaginary parts a[m], b[m] of (x + iy)^m: the factors of the harmonics in the azimuth.
template <typename T> struct Azimuth {
    T a[6], b[6];

    GF_FN Azimuth(T x, T y) {
        a[0] = (T)1, b[0] = (T)0;
        for (int m = 1; m < 6; ++m) {
            a[m] = x * a[m - 1] - y * b[m - 1];
            b[m] = x * b[m - 1] + y * a[m - 1];
        }
    }
};

/// Normalization and sign N_lm of the harmonics of bands 4 and 5, with m from 0 to l.
constexpr double N_40 = 0.10578554691520431, N_41 = -0.66904654355728921, N_42 = 0.47308734787878002,
                 N_43 = -1.7701307697799305, N_44 = 0.62583573544917614;
constexpr double N_50 = 0.11695032245342358, N_51 = -0.45294665119569694, N_52 = 2.3967683924866618,
                 N_53 = -0.48923829943525038, N_54 = 2.0756623148810411, N_55 = -0.65638205684017015;

/// Polynomials p[m] in z of band 4, normalization and sign included: the harmonics are p[m] a[m] and p[m] b[m].
template <typename T> GF_FN void polar_4(T z, T p[5]) {
    const T zz = z * z;
    p[0] = (T)N_40 * ((T)3 + zz * ((T)-30 + (T)35 * zz));
    p[1] = (T)N_41 * z * ((T)7 * zz - (T)3);
    p[2] = (T)N_42 * ((T)7 * zz - (T)1);
    p[3] = (T)N_43 * z;
    p[4] = (T)N_44;
}

/// Polynomials in z of band 5.
template <typename T> GF_FN void polar_5(T z, T p[6]) {
    const T zz = z * z;
    p[0] = (T)N_50 * z * ((T)15 + zz * ((T)-70 + (T)63 * zz));
    p[1] = (T)N_51 * ((T)1 + zz * ((T)-14 + (T)21 * zz));
    p[2] = (T)N_52 * z * ((T)3 * zz - (T)1);
    p[3] = (T)N_53 * ((T)9 * zz - (T)1);
    p[4] = (T)N_54 * z;
    p[5] = (T)N_55;
}

/// Derivatives of polar_4 by z.
GF_FN void polar_gradient_4(float z, float p[5]) {
    const float zz = z * z;
    p[0] = (float)N_40 * z * (140.0f * zz - 60.0f);
    p[1] = (float)N_41 * (21.0f * zz - 3.0f);
    p[2] = (float)N_42 * 14.0f * z;
    p[3] = (float)N_43;
    p[4] = 0.0f;
}

/// Derivatives of polar_5 by z.
GF_FN void polar_gradient_5(float z, float p[6]) {
    const float zz = z * z;
    p[0] = (float)N_50 * (15.0f + zz * (-210.0f + 315.0f * zz));
    p[1] = (float)N_51 * z * (-28.0f + 84.0f * zz);
    p[2] = (float)N_52 * (9.0f * zz - 1.0f);
    p[3] = (float)N_53 * 18.0f * z;
    p[4] = (float)N_54;
    p[5] = 0.0f;
}

/// Writes the 2L + 1 values of band L.
template <int L, typename T, typename Out> GF_FN void write_band(const T* polar, const Azimuth<T>& of, Out* basis) {
    Out* middle = basis + L * (L + 1);
    middle[0] = (Out)polar[0];
    for (int m = 1; m <= L; ++m) {
        middle[m] = (Out)(polar[m] * of.a[m]);
        middle[-m] = (Out)(polar[m] * of.b[m]);
    }
}

/// Writes `n` values, at least degree²; those behind the bands of the degree are 0.
template <typename T, typename Out> GF_FN void spherical_harmonics(const T d[3], uint32_t degree, uint32_t n, Out* basis) {
    const T x = d[0], y = d[1], z = d[2];
    for (uint32_t i = degree * degree; i < n; ++i) basis[i] = (Out)0;
    basis[0] = (Out)(T)0.28209479177387814;
    if (degree < 2) return;
    basis[1] = (Out)((T)-0.48860251190291987 * y);
    basis[2] = (Out)((T)0.48860251190291987 * z);
    basis[3] = (Out)((T)-0.48860251190291987 * x);
    if (degree < 3) return;
    const T xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
    basis[4] = (Out)((T)1.0925484305920792 * xy);
    basis[5] = (Out)((T)-1.0925484305920792 * yz);
    basis[6] = (Out)((T)0.94617469575756008 * zz - (T)0.31539156525251999);
    basis[7] = (Out)((T)-1.0925484305920792 * xz);
    basis[8] = (Out)((T)0.54627421529603959 * (xx - yy));
    if (degree < 4) return;
    basis[9] = (Out)((T)0.59004358992664352 * y * (yy - (T)3 * xx));
    basis[10] = (Out)((T)2.8906114426405538 * xy * z);
    basis[11] = (Out)((T)0.45704579946446572 * y * ((T)1 - (T)5 * zz));
    basis[12] = (Out)((T)0.3731763325901154 * z * ((T)5 * zz - (T)3));
    basis[13] = (Out)((T)0.45704579946446572 * x * ((T)1 - (T)5 * zz));
    basis[14] = (Out)((T)1.4453057213202769 * z * (xx - yy));
    basis[15] = (Out)((T)0.59004358992664352 * x * ((T)3 * yy - xx));
    if (degree < 5) return;
    const Azimuth<T> azimuth(x, y);
    T polar[6];
    polar_4(z, polar);
    write_band<4>(polar, azimuth, basis);
    if (degree < 6) return;
    polar_5(z, polar);
    write_band<5>(polar, azimuth, basis);
}

/// Adds the gradient of band L with respect to the direction; g holds the gradient with respect to all values.
template <int L, typename Gradient>
GF_FN void add_band_gradient(const float* polar, const float* polar_gradient, const Azimuth<float>& of, const Gradient& g,
                             float dL_dd[3]) {
    const int middle = L * (L + 1);
    dL_dd[2] += polar_gradient[0] * g(middle);
    for (int m = 1; m <= L; ++m) {
        const float real = g(middle + m), imaginary = g(middle - m), slope = (float)m * polar[m];
        dL_dd[0] += slope * (of.a[m - 1] * real + of.b[m - 1] * imaginary);
        dL_dd[1] += slope * (of.a[m - 1] * imaginary - of.b[m - 1] * real);
        dL_dd[2] += polar_gradient[m] * (of.a[m] * real + of.b[m] * imaginary);
    }
}

/// dL_dd[k] += sum_i g(i) d basis[i] / d d[k], for the polynomials above, also where d is not of length 1.
template <typename Gradient>
GF_FN void add_harmonics_gradient(const float d[3], uint32_t degree, const Gradient& g, float dL_dd[3]) {
    const float x = d[0], y = d[1], z = d[2];
    if (degree < 2) return;
    const float c1 = 0.48860251190291987f;
    dL_dd[0] -= c1 * g(3);
    dL_dd[1] -= c1 * g(1);
    dL_dd[2] += c1 * g(2);
    if (degree < 3) return;
    const float c2 = 1.0925484305920792f, c20 = 0.94617469575756008f, c22 = 0.54627421529603959f;
    dL_dd[0] += c2 * (y * g(4) - z * g(7)) + 2.0f * c22 * x * g(8);
    dL_dd[1] += c2 * (x * g(4) - z * g(5)) - 2.0f * c22 * y * g(8);
    dL_dd[2] += c2 * (-y * g(5) - x * g(7)) + 2.0f * c20 * z * g(6);
    if (degree < 4) return;
    const float a = 0.59004358992664352f, b = 2.8906114426405538f, c = 0.45704579946446572f, e = 0.3731763325901154f,
                h = 1.4453057213202769f;
    const float xx = x * x, yy = y * y, zz = z * z;
    dL_dd[0] += -6.0f * a * x * y * g(9) + b * y * z * g(10) + c * (1.0f - 5.0f * zz) * g(13) + 2.0f * h * x * z * g(14) +
                3.0f * a * (yy - xx) * g(15);
    dL_dd[1] += 3.0f * a * (yy - xx) * g(9) + b * x * z * g(10) + c * (1.0f - 5.0f * zz) * g(11) - 2.0f * h * y * z * g(14) +
                6.0f * a * x * y * g(15);
    dL_dd[2] += b * x * y * g(10) - 10.0f * c * z * (y * g(11) + x * g(13)) + e * (15.0f * zz - 3.0f) * g(12) +
                h * (xx - yy) * g(14);
    if (degree < 5) return;
    const Azimuth<float> azimuth(x, y);
    float polar[6], polar_gradient[6];
    polar_4(z, polar);
    polar_gradient_4(z, polar_gradient);
    add_band_gradient<4>(polar, polar_gradient, azimuth, g, dL_dd);
    if (degree < 6) return;
    polar_5(z, polar);
    polar_gradient_5(z, polar_gradient);
    add_band_gradient<5>(polar, polar_gradient, azimuth, g, dL_dd);
}

}  // namespace
