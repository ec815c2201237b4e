// Sine and cosine of one body for all targets and both precisions: the compilers' own differ from target to target, keep a
// stack frame on GPUs (for arguments of any size), and do not vectorise on every host.
#pragma once
#include "target.cuh"

namespace {

GF_FN float nearest(float x) { return rintf(x); }
GF_FN double nearest(double x) { return rint(x); }
GF_FN float exponential(float x) { return expf(x); }
GF_FN double exponential(double x) { return exp(x); }

/// Terms of the Taylor series within a quarter turn about 0, at which the rest falls below rounding.
template <typename T> struct SeriesTerms {
    static const int count = sizeof(T) == 8 ? 9 : 5;
};

/// Sine and cosine of r + quarters pi / 2, for |r| <= pi / 4.
template <typename T> GF_FN void sin_cos_near(T r, int32_t quarters, T& sine, T& cosine) {
    const T r2 = r * r;
    T s = (T)1, c = (T)1;  // Horner: s = 1 - r2/(2 3) (1 - r2/(4 5) (...)), c = 1 - r2/(1 2) (1 - r2/(3 4) (...))
    GF_UNROLL
    for (int n = SeriesTerms<T>::count - 1; n > 0; --n) {
        s = (T)1 - r2 * ((T)1 / (T)(2 * n * (2 * n + 1))) * s;
        c = (T)1 - r2 * ((T)1 / (T)((2 * n - 1) * 2 * n)) * c;
    }
    s *= r;
    const bool odd = quarters & 1;
    const T along = odd ? c : s, across = odd ? s : c;
    sine = quarters & 2 ? -along : along;
    cosine = (quarters + 1) & 2 ? -across : across;
}

/// Of an angle in radians, up to some 10^4: pi / 2 is taken off in parts whose products with the quarters are exact.
template <typename T> GF_FN void sin_cos(T angle, T& sine, T& cosine) {
    const T quarters = nearest(angle * (T)0.63661977236758134308);
    T r = angle;
    if (sizeof(T) == 8) {
        r -= quarters * (T)1.570796325802803;
        r -= quarters * (T)9.920935791635221e-10;
        r -= quarters * (T)5.170182981794105e-19;
    } else {
        r -= quarters * (T)1.5703125;
        r -= quarters * (T)0.0004837512969970703;
        r -= quarters * (T)7.549533620476723e-8;
        r -= quarters * (T)2.563344e-12;
    }
    sin_cos_near(r, (int32_t)quarters, sine, cosine);
}

/// Of pi t: exact for large t, too.
template <typename T> GF_FN void sin_cos_pi(T t, T& sine, T& cosine) {
    const T quarters = nearest((T)2 * t);
    const T r = (t - (T)0.5 * quarters) * (T)3.14159265358979323846;
    sin_cos_near(r, (int32_t)quarters, sine, cosine);
}

}  // namespace
