// Camera optimization: each camera learns a rotation about its position and a translation together with the field, as
// in BARF (Lin et al., ICCV 2021). Samples keep their distance along a ray while the ray moves, so a sample at
// x = o + s d contributes to the gradients with respect to both origin and direction:
//   dL/do = sum dL/dx,  dL/dd = sum s dL/dx + dL/dd of the viewing direction.
#include "encoding/encode.cuh"
#include "radiance/rotation.cuh"
#include "radiance/space.cuh"

namespace {

template <int F> GF_FN void add_level_gradients(const PositionGradientArgs& a, uint32_t i, const float x[3], float dL_dx[3]) {
    const float share = level_share<float>(a.grid);
    GF_ROLLED
    for (uint32_t l = 0; l < a.grid.n_levels; ++l) {
        const GridLevel& level = a.grid.levels[l];
        const float* dL_dfeatures = a.dL_dfeatures + ((size_t)feature_set(a.grid, l) * a.samples.capacity + i) * F;
        float values[F];
        for (int f = 0; f < F; ++f) values[f] = share * dL_dfeatures[f];
        add_position_gradient<float, 3, F>(level, level.scale, a.grid.kernel, x, (const compute_t*)a.table, values, dL_dx);
    }
}

/// Returns the distance of a sample of ray i from its camera, which is at `origin`. There are not enough registers to
/// keep the marched ray, so it is read from memory where it differs from the ray in space.
GF_FN float sample_distance(const CameraGradientArgs& a, uint32_t i, const float origin[3], float t) {
    if (a.space.map != SPACE_NDC) return t;
    const size_t n = a.rays.capacity;
    float from[3], along[3];
    for (int k = 0; k < 3; ++k) {
        from[k] = a.rays.origin[k * n + i];
        along[k] = a.rays.direction[k * n + i];
    }
    return distance_at(a.space, origin, from, along, t);
}

}  // namespace

// One item per sample: the gradient with respect to its position in the field.
GF_ITEM_KERNEL(position_gradient, PositionGradientArgs) {
    if (i >= a.samples.count[a.round + 1]) return;
    float x[3], dL_dx[3] = {};
    for (int k = 0; k < 3; ++k) x[k] = a.samples.position[3 * (size_t)i + k];
    switch (a.grid.n_features) {
        case 1: add_level_gradients<1>(a, i, x, dL_dx); break;
        case 2: add_level_gradients<2>(a, i, x, dL_dx); break;
        case 4: add_level_gradients<4>(a, i, x, dL_dx); break;
        default: add_level_gradients<8>(a, i, x, dL_dx); break;
    }
    for (int k = 0; k < 3; ++k) a.dL_dposition[3 * (size_t)i + k] = dL_dx[k];
}

// One item per ray: its contribution to the gradient with respect to its camera's correction.
GF_ITEM_KERNEL(camera_gradient, CameraGradientArgs) {
    const size_t n = a.rays.capacity;
    if (a.rays.t[i] == GF_RAY_DROPPED) return;
    const uint32_t camera = a.rays.camera[i];
    float origin[3], direction[3], dL_dorigin[3] = {}, dL_ddirection[3] = {};
    for (int k = 0; k < 3; ++k) {
        origin[k] = a.cameras[camera].camera_to_world[4 * k + 3];
        direction[k] = a.rays.view[k * n + i];
    }
    for (uint32_t round = 0; round < a.rounds; ++round) {
        const uint32_t count = a.rays.segment_count[round * n + i], first = a.rays.segment_begin[round * n + i];
        for (size_t s = first; s < (size_t)first + count; ++s) {
            float point[3], dL_dpoint[3];
            const float distance = sample_distance(a, i, origin, a.samples.t[s]);
            for (int k = 0; k < 3; ++k) point[k] = origin[k] + distance * direction[k];
            space_gradient(a.space, a.cascades, point, a.dL_dposition + 3 * s, dL_dpoint);
            for (int k = 0; k < 3; ++k) {
                dL_dorigin[k] += dL_dpoint[k];
                dL_ddirection[k] += distance * dL_dpoint[k] + a.dL_dview[3 * s + k];
            }
        }
    }
    float turn[3], dL_drotation[3];
    cross(direction, dL_ddirection, turn);  // with respect to a further rotation after exp(w)
    rotation_gradient(a.correction + 6 * (size_t)camera, turn, dL_drotation);
    float* own = a.dL_dcorrection + 6 * (size_t)camera;
    for (int k = 0; k < 3; ++k) {
        shared_add(&own[k], dL_drotation[k]);
        shared_add(&own[3 + k], dL_dorigin[k]);
    }
}

// One item per camera: applies its correction.
GF_ITEM_KERNEL(correct_cameras, CorrectCamerasArgs) {
    Camera camera = a.cameras[i];
    const float* own = a.correction + 6 * (size_t)i;
    for (int column = 0; column < 3; ++column) {
        float axis[3], turned[3];
        for (int row = 0; row < 3; ++row) axis[row] = camera.camera_to_world[4 * row + column];
        rotate(own, axis, turned);
        for (int row = 0; row < 3; ++row) camera.camera_to_world[4 * row + column] = turned[row];
    }
    for (int row = 0; row < 3; ++row) camera.camera_to_world[4 * row + 3] += own[3 + row];
    a.corrected[i] = camera;
}
