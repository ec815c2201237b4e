// Sine and cosine with one implementation for all targets and both precisions. The compilers' own versions differ
// between targets, need a stack frame on GPUs (to support arguments of any size), and do not vectorise on every host.
#pragma once
#include "core/columns.cuh"

namespace {

GF_FN float nearest(float x) { return rintf(x); }
GF_FN double nearest(double x) { return rint(x); }
GF_FN int32_t to_int(float x) { return (int32_t)x; }
GF_FN int32_t to_int(double x) { return (int32_t)x; }
template <typename T> GF_FN T choose(bool first, T a, T b) { return first ? a : b; }
template <typename T> struct ScalarOf {
    typedef T type;
};

#if !GF_SIMT
template <> struct ScalarOf<Columns> {
    typedef float type;
};
/// Rounds to the nearest integer: adding 1.5 2^23 leaves no bits for the fraction of a number below 2^22.
GF_FN Columns nearest(Columns x) { return (x + 12582912.0f) - 12582912.0f; }
GF_FN IntColumns to_int(Columns x) { return __builtin_convertvector(x, IntColumns); }
GF_FN Columns choose(IntColumns first, Columns a, Columns b) { return first ? a : b; }
#endif

#if !GF_SIMT
/// Returns e^x for x up to 88, by a Taylor series after reduction to within half a factor of 2. Results that would fall
/// below the smallest normal number stay near it.
GF_FN Columns exponential(Columns x) {
    x = choose(x < -87.0f, Columns{} - 87.0f, x);  // keeps NaN
    const Columns twos = nearest(x * 1.44269504088896341f);
    const Columns r = (x - twos * 0.693359375f) + twos * 2.12194440054690583e-4f;
    Columns sum = Columns{} + 1.0f;
    GF_UNROLL
    for (int n = 7; n > 0; --n) sum = 1.0f + sum * r * (1.0f / (float)n);
    return sum * (Columns)((to_int(twos) + 127) << 23);  // the bits of a power of 2
}
#endif

/// Number of Taylor terms that reach rounding accuracy for |r| <= pi / 4.
template <typename T> struct SeriesTerms {
    static const int count = sizeof(T) == 8 ? 9 : 5;
};

/// Computes the sine and cosine of r + quarters pi / 2, for |r| <= pi / 4; T is a scalar or a vector of columns.
template <typename T, typename Int> GF_FN void sin_cos_near(T r, Int quarters, T& sine, T& cosine) {
    typedef typename ScalarOf<T>::type S;
    const T r2 = r * r;
    // Horner: s = 1 - r2/(2 3) (1 - r2/(4 5) (...)), c = 1 - r2/(1 2) (1 - r2/(3 4) (...))
    T s = r2 * (S)0 + (S)1, c = s;
    GF_UNROLL
    for (int n = SeriesTerms<S>::count - 1; n > 0; --n) {
        s = (S)1 - r2 * ((S)1 / (S)(2 * n * (2 * n + 1))) * s;
        c = (S)1 - r2 * ((S)1 / (S)((2 * n - 1) * 2 * n)) * c;
    }
    s *= r;
    const auto odd = (quarters & 1) != 0;
    const T along = choose(odd, c, s), across = choose(odd, s, c);
    sine = choose((quarters & 2) != 0, -along, along);
    cosine = choose(((quarters + 1) & 2) != 0, -across, across);
}

/// Computes the sine and cosine of an angle in radians, up to about 10^4: pi / 2 is subtracted in parts whose products
/// with `quarters` are exact.
template <typename T> GF_FN void sin_cos(T angle, T& sine, T& cosine) {
    typedef typename ScalarOf<T>::type S;
    const T quarters = nearest(angle * (S)0.63661977236758134308);
    T r = angle;
    if (sizeof(S) == 8) {
        r -= quarters * (S)1.570796325802803;
        r -= quarters * (S)9.920935791635221e-10;
        r -= quarters * (S)5.170182981794105e-19;
    } else {
        r -= quarters * (S)1.5703125;
        r -= quarters * (S)0.0004837512969970703;
        r -= quarters * (S)7.549533620476723e-08;
        r -= quarters * (S)2.563344e-12;
    }
    sin_cos_near(r, to_int(quarters), sine, cosine);
}

/// Computes the sine and cosine of pi t; the range reduction is exact, for large t too.
template <typename T> GF_FN void sin_cos_pi(T t, T& sine, T& cosine) {
    typedef typename ScalarOf<T>::type S;
    const T quarters = nearest((S)2 * t);
    const T r = (t - (S)0.5 * quarters) * (S)3.14159265358979323846;
    sin_cos_near(r, to_int(quarters), sine, cosine);
}

}  // namespace
