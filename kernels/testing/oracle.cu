// Functions of the library's headers as kernels, for comparison with the oracle (tests/vectors).
#include "args.h"
#include "core/rng.cuh"
#include "encoding/spherical_harmonics.cuh"
#include "radiance/composite.cuh"

GF_ITEM_KERNEL(spherical_harmonics_f64, SphereArgs) {
    double* basis = a.basis + GF_MAX_HARMONICS * (size_t)i;
    spherical_harmonics<double>(a.direction + 3 * (size_t)i, a.degree, GF_MAX_HARMONICS, basis);
}

GF_ITEM_KERNEL(philox, RandomArgs) {
    const Random4 draw = philox4x32(a.counter + 4 * (size_t)i, a.key);
    for (int k = 0; k < 4; ++k) a.out[4 * (size_t)i + k] = draw.x[k];
}

// Composites a whole ray, forward and backward.
GF_ITEM_KERNEL(composite_ray_f64, CompositeRayArgs) {
    (void)i, (void)j;
    Composite<double> composite = {1.0, {0.0, 0.0, 0.0}, 0.0};
    for (uint32_t s = 0; s < a.n; ++s) a.weights[s] = composite.add(a.density[s], a.color + 3 * s, a.dt[s], a.t[s]);
    for (int c = 0; c < 3; ++c) a.pixel[c] = composite.color[c] + composite.transmittance * a.background[c];
    a.pixel[3] = composite.depth;
    a.pixel[4] = 1.0 - composite.transmittance;
    a.pixel[5] = composite.transmittance;
    composite = {1.0, {0.0, 0.0, 0.0}, 0.0};
    for (uint32_t s = 0; s < a.n; ++s) {
        const double* color = a.color + 3 * s;
        const double weight = composite.add(a.density[s], color, a.dt[s], a.t[s]);
        a.dL_ddensity[s] = density_gradient(composite, a.pixel, color, a.dt[s], a.dL_dcolor);
        for (int c = 0; c < 3; ++c) a.dL_dsample[3 * s + c] = weight * a.dL_dcolor[c];
    }
}
